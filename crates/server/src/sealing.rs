//! The cryptography of agents: their RSA keys, signed assertions, and messages that only they can read.
//!
//! It is done here and not in the state machine: a simulation has nobody to keep secrets from, and nobody
//! should wait for it under an organisation's lock. What it draws comes from the machine's streams, so
//! the same run gives the same bytes.
//!
//! `rsa` is known to leak a private key by how long it computes (RUSTSEC-2023-0071). There is none here.

use std::fmt;

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use axum::body::Bytes;
use azure_devops::oauth::PublicKey;
use azure_devops::wire::MessageEnvelope;
use azure_devops::{Call, MessageId, Refusal, SessionEncryption, SessionKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rsa::BoxedUint;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use uuid::Uuid;

use crate::organization::{Encoded, Shared, refused};

/// Something that could not be encrypted; the key was checked, so this is a mistake here.
#[derive(Debug)]
struct NotSealed(String);

impl fmt::Display for NotSealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer could not be encrypted: {}", self.0)
    }
}

/// What of an answer only an agent with a key can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seal {
    /// Nothing.
    Nothing,
    /// The key of a new session.
    Session,
    /// A message of this session.
    Message(Uuid),
}

impl Seal {
    /// What is sealed of a call's answer.
    pub(crate) fn of(call: &Call) -> Self {
        match call {
            Call::OpenSession { .. } => Self::Session,
            Call::Poll { session, .. } => Self::Message(*session),
            _ => Self::Nothing,
        }
    }

    /// The answer as it is sent.
    pub(crate) fn done(self, organization: &Shared, answer: Encoded) -> Encoded {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Opened {
            session_id: Uuid,
        }
        let session = match self {
            _ if answer.status != OK => None,
            Self::Nothing => None,
            Self::Session => {
                serde_json::from_slice::<Opened>(&answer.body).ok().map(|opened| opened.session_id)
            }
            Self::Message(session) => Some(session),
        };
        let key = session.and_then(|session| organization.look(|service| service.session_key(session)));
        let (Some(session), Some(key)) = (session, key) else { return answer };
        let sealed = match self {
            Self::Session => seal_session(&answer.body, key),
            _ => {
                let iv = |message| organization.look(|service| service.message_iv(session, message));
                seal_message(&answer.body, &key, iv)
            }
        };
        match sealed {
            Ok(body) => Encoded { body, ..answer },
            Err(error) => refused(&Refusal::Invalid(error.to_string())),
        }
    }
}

/// The status of an answer with something in it.
const OK: u16 = 200;

/// The key of an agent, if it is one that can be used: 1,024 to 8,192 bits.
pub(crate) fn rsa_key(key: &PublicKey) -> Option<rsa::PublicKey> {
    let number = |text: &str| {
        let bytes = STANDARD.decode(text).ok()?;
        let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
        (!bytes.is_empty()).then(|| BoxedUint::from_be_slice_vartime(bytes))
    };
    rsa::PublicKey::new(number(&key.modulus)?, number(&key.exponent)?).ok()
}

/// Whether the owner of the key has signed this: RSA with SHA-256, as `RS256` is.
pub(crate) fn has_signed(key: &PublicKey, signed: &[u8], signature: &[u8]) -> bool {
    let Some(key) = rsa_key(key) else { return false };
    key.pkcs1v15_verify::<rsa::sha2::Sha256>(signed, signature).is_ok()
}

/// The answer to a new session, with the session's key.
fn seal_session(session: &Bytes, mut key: SessionKey) -> Result<Bytes, NotSealed> {
    #[derive(Serialize)]
    struct EncryptionKey {
        encrypted: bool,
        value: String,
    }
    let owner = rsa_key(&key.owner).ok_or_else(|| NotSealed("the agent's key is none".to_owned()))?;
    let failed = |error: rsa::Error| NotSealed(error.to_string());
    let value = match key.encryption {
        SessionEncryption::OaepSha256 => {
            owner.oaep_encrypt_with_rng::<rsa::sha2::Sha256, _>(&mut key.padding, &key.key).map_err(failed)?
        }
        SessionEncryption::OaepSha1 => {
            owner.oaep_encrypt_with_rng::<Sha1, _>(&mut key.padding, &key.key).map_err(failed)?
        }
        SessionEncryption::PlainKey | SessionEncryption::Off => key.key.to_vec(),
    };
    let encrypted = matches!(key.encryption, SessionEncryption::OaepSha1 | SessionEncryption::OaepSha256);
    let fips = key.encryption == SessionEncryption::OaepSha256;
    let value = EncryptionKey { encrypted, value: STANDARD.encode(value) };
    let value = serde_json::to_string(&value).map_err(|error| NotSealed(error.to_string()))?;
    // An object with members, so that there is a brace to cut off and something before it.
    let object = session.strip_suffix(b"}").ok_or_else(|| NotSealed("a session is an object".to_owned()))?;
    let mut sealed = object.to_vec();
    sealed.extend_from_slice(format!(",\"encryptionKey\":{value},\"useFipsEncryption\":{fips}}}").as_bytes());
    Ok(sealed.into())
}

/// A message whose body only the session's agent can read: AES-256 in CBC mode, padded as in PKCS #7.
fn seal_message(
    message: &Bytes,
    key: &SessionKey,
    iv: impl FnOnce(MessageId) -> [u8; 16],
) -> Result<Bytes, NotSealed> {
    let failed = |error: serde_json::Error| NotSealed(error.to_string());
    let mut envelope: MessageEnvelope = serde_json::from_slice(message).map_err(failed)?;
    let iv = iv(MessageId(envelope.message_id));
    let cipher = cbc::Encryptor::<Aes256>::new(&key.key.into(), &iv.into());
    envelope.body = STANDARD.encode(cipher.encrypt_padded_vec::<Pkcs7>(envelope.body.as_bytes()));
    envelope.iv = Some(STANDARD.encode(iv));
    Ok(serde_json::to_vec(&envelope).map_err(failed)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(modulus: &[u8], exponent: &[u8]) -> PublicKey {
        PublicKey { modulus: STANDARD.encode(modulus), exponent: STANDARD.encode(exponent) }
    }

    #[test]
    fn a_key_is_told_from_what_is_none() {
        let mut modulus = [0xb7; 256];
        assert!(rsa_key(&key(&modulus, &[1, 0, 1])).is_some());
        modulus[255] = 0;
        for none in [
            key(&modulus, &[1, 0, 1]),
            key(&[0], &[1, 0, 1]),
            key(&[0xb7; 64], &[1, 0, 1]),
            key(&[0xb7; 256], &[]),
            PublicKey { modulus: "not base64".to_owned(), exponent: "AQAB".to_owned() },
        ] {
            assert!(rsa_key(&none).is_none(), "{none:?}");
        }
    }

    #[test]
    fn a_signature_of_somebody_else_is_none() {
        assert!(!has_signed(&key(&[0xb7; 256], &[1, 0, 1]), b"header.payload", &[0x11; 256]));
    }
}
