//! Names and UIDs as the API server and the Deployment controller make them.

use std::fmt::Write;

use model::stream::below;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::ids::Uid;

/// The letters of generated names: no vowels, no digits that look like them
/// (apimachinery 0.35.4, `pkg/util/rand/rand.go`, `alphanums`).
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Random characters behind a `generateName` (apiserver 0.35.4, `pkg/storage/names/generate.go`,
/// `randomLength`).
const RANDOM: usize = 5;
/// A longer `generateName` is cut (the same file, `MaxGeneratedNameLength`).
const LONGEST_PREFIX: usize = 58;
/// The bits of a version 4 UUID that are not random.
const UUID_MASK: u128 = 0x0000_0000_0000_f000_c000_0000_0000_0000;
/// Their values.
const UUID_BITS: u128 = 0x0000_0000_0000_4000_8000_0000_0000_0000;

/// `prefix` with five random characters behind it.
pub(crate) fn generate(prefix: &str, rng: &mut ChaCha8Rng) -> String {
    let mut name = String::with_capacity(prefix.len() + RANDOM);
    name.push_str(prefix);
    finish(name, rng)
}

/// The name of a pod of this owner: a dash and five random characters behind the owner's name.
pub(crate) fn child(owner: &str, rng: &mut ChaCha8Rng) -> String {
    let mut name = String::with_capacity(owner.len() + 1 + RANDOM);
    name.push_str(owner);
    name.push('-');
    finish(name, rng)
}

fn finish(mut name: String, rng: &mut ChaCha8Rng) -> String {
    if let Some((end, _)) = name.char_indices().nth(LONGEST_PREFIX) {
        name.truncate(end);
    }
    let mut draw = below(rng, 27_u64.pow(5));
    for _ in 0..RANDOM {
        let letter = usize::try_from(draw % 27).expect("below 27");
        name.push(char::from(LETTERS[letter]));
        draw /= 27;
    }
    name
}

/// The name of a Deployment's ReplicaSet: the template's hash is written in decimal, and each digit becomes a
/// letter.
///
/// Source: Kubernetes 1.35.4, `pkg/controller/controller_utils.go`, `ComputeHash`; apimachinery's
/// `SafeEncodeString`.
pub(crate) fn replica_set(deployment: &str, hash: u32) -> String {
    let mut name = format!("{deployment}-");
    let from = name.len();
    write!(name, "{hash}").expect("writing to a string never fails");
    let encoded: String =
        name[from..].bytes().map(|digit| char::from(LETTERS[usize::from(digit) % 27])).collect();
    name.truncate(from);
    name.push_str(&encoded);
    name
}

/// A random UID.
pub(crate) fn uid(rng: &mut ChaCha8Rng) -> Uid {
    let random = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
    Uid(random & !UUID_MASK | UUID_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_name_has_five_characters_more() {
        let mut rng = model::stream(1, "test");
        let name = generate("agents-", &mut rng);
        assert_eq!(name.len(), 12);
        assert!(name[7..].bytes().all(|letter| LETTERS.contains(&letter)), "{name}");
        assert_ne!(name, generate("agents-", &mut rng));
    }

    #[test]
    fn a_long_prefix_is_cut() {
        let name = generate(&"a".repeat(80), &mut model::stream(1, "test"));
        assert_eq!(name.len(), 63);
    }

    #[test]
    fn a_replica_set_carries_its_hash_in_letters() {
        // The remainders of the digits' codes by 27: `0` is the letter 21, `6` the letter 0.
        assert_eq!(replica_set("agents", 0), "agents-4");
        assert_eq!(replica_set("agents", 123), "agents-567");
        assert_eq!(replica_set("agents", u32::MAX), "agents-86f8fbc6f9");
    }

    #[test]
    fn a_uid_is_a_uuid_of_version_4() {
        let Uid(uid) = uid(&mut model::stream(1, "test"));
        assert_eq!(uid >> 76 & 0xf, 4);
        assert_eq!(uid >> 62 & 0b11, 0b10);
    }
}
