//! What a journal's file is made of: frames, each with its length and checksums.
//!
//! ```text
//! "poolproof state\n"  frame  frame ...      frame = length (4)  its checksum (4)  payload's checksum (4)  payload
//! ```
//! The numbers are little-endian, the checksums CRC-32. A frame is written in one go, behind whole ones. So
//! one that is not whole can only be the last one, and was never acknowledged; a broken frame with something
//! behind it, or a length that is not what was written, means that the file was damaged.

/// What a journal's file begins with.
pub(super) const MAGIC: &[u8; 16] = b"poolproof state\n";
/// The bytes before a payload.
const HEAD: usize = 12;

/// Puts a payload into a frame. `None` if it is too long to be one, or empty.
pub(super) fn frame(payload: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(payload.len()).ok().filter(|length| *length > 0)?.to_le_bytes();
    let mut frame = Vec::with_capacity(HEAD + payload.len());
    frame.extend_from_slice(&length);
    frame.extend_from_slice(&crc32fast::hash(&length).to_le_bytes());
    frame.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    frame.extend_from_slice(payload);
    Some(frame)
}

/// What comes after the last whole frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing.
    Nothing,
    /// A frame that was not written to its end, from this byte on.
    Torn(usize),
    /// Something that no interrupted write leaves behind, from this byte on.
    Damaged(usize),
}

/// Reads a file's frames, up to the first that is not whole.
pub(super) fn read(bytes: &[u8]) -> (Vec<&[u8]>, Rest) {
    if bytes.len() < MAGIC.len() {
        let rest = if MAGIC.starts_with(bytes) { Rest::Torn(0) } else { Rest::Damaged(0) };
        return (Vec::new(), rest);
    }
    if !bytes.starts_with(MAGIC) {
        return (Vec::new(), Rest::Damaged(0));
    }
    let mut frames = Vec::new();
    let mut at = MAGIC.len();
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        if rest.is_empty() {
            return (frames, Rest::Nothing);
        }
        match first(rest) {
            Found::Frame(payload) => {
                frames.push(payload);
                at += HEAD + payload.len();
            }
            Found::Torn => return (frames, Rest::Torn(at)),
            // A power failure may keep a file's new length and not its content.
            Found::Damaged if rest.iter().all(|byte| *byte == 0) => return (frames, Rest::Torn(at)),
            Found::Damaged => return (frames, Rest::Damaged(at)),
        }
    }
}

/// What bytes begin with.
enum Found<'a> {
    Frame(&'a [u8]),
    Torn,
    Damaged,
}

fn first(bytes: &[u8]) -> Found<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Found::Torn };
    let [l0, l1, l2, l3, c0, c1, c2, c3, p0, p1, p2, p3] = *head;
    let length = [l0, l1, l2, l3];
    if crc32fast::hash(&length).to_le_bytes() != [c0, c1, c2, c3] {
        return Found::Damaged;
    }
    let Some(payload) =
        usize::try_from(u32::from_le_bytes(length)).ok().and_then(|length| rest.get(..length))
    else {
        return Found::Torn;
    };
    if crc32fast::hash(payload).to_le_bytes() == [p0, p1, p2, p3] {
        Found::Frame(payload)
    } else if payload.len() == rest.len() {
        Found::Torn
    } else {
        Found::Damaged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(payloads: &[&[u8]]) -> Vec<u8> {
        let frames = payloads.iter().flat_map(|payload| frame(payload).expect("not too long"));
        MAGIC.iter().copied().chain(frames).collect()
    }

    #[test]
    fn frames_are_read_as_they_were_written() {
        assert_eq!(read(&file(&[])), (vec![], Rest::Nothing));
        let long = vec![7; 100_000];
        let bytes = file(&[b"a", &long, b"\0\0\0"]);
        assert_eq!(read(&bytes), (vec![&b"a"[..], &long, b"\0\0\0"], Rest::Nothing));
        assert_eq!(frame(b""), None, "an empty frame would look like zeros");
    }

    #[test]
    fn a_file_that_is_cut_anywhere_keeps_every_frame_before_the_cut() {
        let bytes = file(&[b"first", b"second", b"third"]);
        let ends = [17, 35, 52].map(|end| MAGIC.len() + end);
        for cut in 0..bytes.len() {
            let (frames, rest) = read(&bytes[..cut]);
            assert_eq!(frames.len(), ends.iter().filter(|end| **end <= cut).count(), "cut at {cut}");
            let last = ends.iter().copied().filter(|end| *end <= cut).max().unwrap_or(MAGIC.len());
            let expected = if cut < MAGIC.len() {
                Rest::Torn(0)
            } else if cut == last {
                Rest::Nothing
            } else {
                Rest::Torn(last)
            };
            assert_eq!(rest, expected, "cut at {cut}");
        }
    }

    #[test]
    fn zeros_at_the_end_are_a_torn_write() {
        let mut bytes = file(&[b"first"]);
        let end = bytes.len();
        bytes.resize(end + 5000, 0);
        assert_eq!(read(&bytes), (vec![&b"first"[..]], Rest::Torn(end)));
    }

    #[test]
    fn any_changed_byte_of_a_frame_is_noticed() {
        let whole = file(&[b"first", b"second", b"third"]);
        let second = MAGIC.len() + 17;
        for at in second..second + 18 {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            assert_eq!(read(&bytes), (vec![&b"first"[..]], Rest::Damaged(second)), "changed at {at}");
        }
        let mut bytes = whole.clone();
        let last = bytes.len() - 1;
        bytes[last] ^= 0x10;
        assert_eq!(read(&bytes).1, Rest::Torn(second + 18), "it may never have been written");
        assert_eq!(read(b"something else altogether").1, Rest::Damaged(0));
        assert_eq!(read(b"what").1, Rest::Damaged(0));
    }
}
