//! Keys of sessions: with one, an agent's messages are encrypted.
//!
//! The encryption itself is done in `server`, outside the organisation's lock: a simulation has nobody to
//! keep secrets from. Keys are derived here from the seed and what they are for, so nothing is kept.

use std::sync::Arc;

use model::stream;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use uuid::Uuid;

use crate::ids::MessageId;
use crate::oauth::PublicKey;
use crate::{Service, SessionEncryption};

/// The key of a session.
#[derive(Debug)]
pub struct SessionKey {
    /// The AES key.
    pub key: [u8; 32],
    /// Whom it is wrapped for.
    pub owner: Arc<PublicKey>,
    /// How it is told to the agent.
    pub encryption: SessionEncryption,
    /// What the wrapping draws from.
    pub padding: ChaCha8Rng,
}

impl Service {
    /// The key of a session, if its messages are encrypted: by a switch, and if its agent has a key.
    #[must_use]
    pub fn session_key(&self, session: Uuid) -> Option<SessionKey> {
        let encryption = self.settings.switches.session_encryption;
        let agent = self.agents.get(&self.sessions.get(&session.as_u128())?.agent)?;
        let owner = agent.key.clone().filter(|_| encryption != SessionEncryption::Off)?;
        let mut padding = self.seal_stream("session key", &session.to_string());
        let mut key = [0; 32];
        padding.fill_bytes(&mut key);
        Some(SessionKey { key, owner, encryption, padding })
    }

    /// What the encryption of a message begins with, another for each.
    #[must_use]
    pub fn message_iv(&self, session: Uuid, message: MessageId) -> [u8; 16] {
        let mut iv = [0; 16];
        self.seal_stream("message iv", &format!("{session}/{message}")).fill_bytes(&mut iv);
        iv
    }

    fn seal_stream(&self, purpose: &str, name: &str) -> ChaCha8Rng {
        stream::stream(self.settings.seed, &format!("azure devops {purpose}/{name}"))
    }
}
