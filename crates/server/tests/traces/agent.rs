//! What the agent can do with its key: sign an assertion, take a session's key out of its wrapping, read a message.

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use azure_devops::SessionEncryption;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rsa::BoxedUint;
use serde_json::{Value, json};

use crate::script;

/// An agent's key.
pub(crate) struct Key {
    private: rsa::PrivateKey,
    /// As it stands in a registration.
    pub(crate) public: Value,
}

impl Key {
    /// The key in the form of the agent's `.credentials_rsaparams`.
    pub(crate) fn load() -> Self {
        let text = std::fs::read_to_string(script::folder().join("agent_key.json")).expect("the key's file");
        let file: Value = serde_json::from_str(&text).expect("JSON");
        let number = |name: &str| {
            let text = file[name].as_str().expect("a number");
            BoxedUint::from_be_slice_vartime(&STANDARD.decode(text).expect("base64"))
        };
        let primes = vec![number("p"), number("q")];
        let exponent = number("exponent");
        let private = rsa::PrivateKey::from_components(number("modulus"), exponent, number("d"), primes);
        let public = json!({ "exponent": file["exponent"], "modulus": file["modulus"] });
        Self { private: private.expect("a key"), public }
    }

    /// A signed assertion.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "RS256", "typ": "JWT" });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.private.pkcs1v15_sign::<rsa::sha2::Sha256>(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.expect("a signature")))
    }

    /// The key in the answer to a new session, and how it came.
    pub(crate) fn session_key(&self, session: &Value) -> (Vec<u8>, SessionEncryption) {
        let given = &session["encryptionKey"];
        let Some(value) = given["value"].as_str() else { return (Vec::new(), SessionEncryption::Off) };
        let value = STANDARD.decode(value).expect("base64");
        match (given["encrypted"].as_bool(), session["useFipsEncryption"].as_bool()) {
            (Some(true), Some(true)) => {
                let key = self.private.oaep_decrypt::<rsa::sha2::Sha256>(&value);
                (key.expect("a key for us"), SessionEncryption::OaepSha256)
            }
            (Some(true), _) => {
                let key = self.private.oaep_decrypt::<sha1::Sha1>(&value);
                (key.expect("a key for us"), SessionEncryption::OaepSha1)
            }
            _ => (value, SessionEncryption::PlainKey),
        }
    }
}

/// What a message says.
pub(crate) fn read_message(key: &[u8], message: &Value) -> Value {
    let body = message["body"].as_str().expect("a body is a text");
    let Some(iv) = message["iv"].as_str().filter(|_| !key.is_empty()) else {
        return serde_json::from_str(body).expect("JSON as it is");
    };
    let iv = STANDARD.decode(iv).expect("base64");
    let cipher = cbc::Decryptor::<Aes256>::new_from_slices(key, &iv).expect("their lengths are right");
    let bytes = STANDARD.decode(body).expect("base64");
    let plain = cipher.decrypt_padded_vec::<Pkcs7>(&bytes).expect("it was encrypted with this key");
    serde_json::from_slice(&plain).expect("JSON")
}
