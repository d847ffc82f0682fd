//! ZIP archives of texts, as clients download them: the files are stored, not packed.
//!
//! The form is PKWARE's APPNOTE.TXT 6.3.10, 4.3: local headers with their files, the central directory, its end. No
//! ZIP64: the logs of a build have an upper bound far below 4 GiB.

/// The version that is needed to unpack stored files.
const VERSION: u16 = 10;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// The first date that can be told, 1 January 1980: there is no clock here, and the same logs give the same bytes.
const DATE: u16 = (1 << 5) | 1;

/// An archive that is being written.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    files: u16,
}

impl Archive {
    /// Adds a file.
    pub(crate) fn add(&mut self, name: &str, content: &[u8]) {
        let offset = length(self.bytes.len());
        let mut entry = Vec::with_capacity(26);
        for number in [VERSION, FLAGS, 0, 0, DATE] {
            entry.extend_from_slice(&number.to_le_bytes());
        }
        for number in [crc32(content), length(content.len()), length(content.len())] {
            entry.extend_from_slice(&number.to_le_bytes());
        }
        let name_length = u16::try_from(name.len()).unwrap_or(u16::MAX);
        entry.extend_from_slice(&name_length.to_le_bytes());
        entry.extend_from_slice(&0_u16.to_le_bytes());

        self.bytes.extend_from_slice(b"PK\x03\x04");
        self.bytes.extend_from_slice(&entry);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(content);

        self.directory.extend_from_slice(b"PK\x01\x02");
        self.directory.extend_from_slice(&VERSION.to_le_bytes());
        self.directory.extend_from_slice(&entry);
        // No comment, the first disk, no attributes.
        self.directory.extend_from_slice(&[0; 10]);
        self.directory.extend_from_slice(&offset.to_le_bytes());
        self.directory.extend_from_slice(name.as_bytes());
        self.files = self.files.saturating_add(1);
    }

    /// The archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let offset = length(self.bytes.len());
        let size = length(self.directory.len());
        self.bytes.append(&mut self.directory);
        self.bytes.extend_from_slice(b"PK\x05\x06");
        for number in [0, 0, self.files, self.files] {
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [size, offset] {
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
        self.bytes.extend_from_slice(&0_u16.to_le_bytes());
        self.bytes
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// CRC-32 as ZIP has it: polynomial 0xEDB88320, reflected.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)] ^ (crc >> 8);
    !bytes.iter().fold(u32::MAX, step)
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut number = 0;
    while number < 256 {
        let mut crc = number as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[number] = crc;
        number += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_the_one_that_everybody_computes() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn an_archive_has_its_files_and_a_directory_that_leads_to_them() {
        let mut archive = Archive::default();
        archive.add("1.txt", b"one");
        archive.add("2.txt", b"two");
        let bytes = archive.finish();
        let end = bytes.len() - 22;
        assert_eq!(&bytes[end..end + 4], b"PK\x05\x06");
        assert_eq!(&bytes[end + 10..end + 12], [2, 0], "two files");
        let number =
            |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
        let directory = number(end + 16);
        assert_eq!(&bytes[directory..directory + 4], b"PK\x01\x02");
        assert_eq!(number(end + 12), end - directory, "its size");
        let second = directory + 46 + 5;
        let local = number(second + 42);
        assert_eq!(&bytes[local..local + 4], b"PK\x03\x04");
        assert_eq!(&bytes[local + 30..local + 38], b"2.txttwo");
        assert_eq!(number(local + 14), crc32(b"two") as usize);
    }

    #[test]
    fn an_archive_without_files_is_its_end() {
        let bytes = Archive::default().finish();
        assert_eq!((bytes.len(), &bytes[..4]), (22, &b"PK\x05\x06"[..]));
    }
}
