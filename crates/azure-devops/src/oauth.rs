//! How agents get their tokens: an agent registers a public key, signs an assertion with the
//! private one, and is issued a token for it.
//!
//! The signature and the shape of the assertion are `server`'s to check, which knows the key from
//! [`Service::key_of_client`]; what it claims is checked here. Issued tokens are kept until they run
//! out, and die with nothing else: the real ones are signed texts that nobody looks up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use model::Instant;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::call::Answer;
use crate::ids::AgentId;
use crate::limits::{MAX_ASSERTION_ID, MAX_ASSERTION_SECONDS, MAX_ISSUED_TOKENS};
use crate::{Refusal, Secret, Service};

/// How far an assertion's times may be off, in seconds: what .NET's checks of such tokens allow by default.
pub const CLOCK_SKEW_SECONDS: i64 = 300;
/// What listener tokens begin with. A job's begin with a number.
const LISTENER: &str = "listener";

/// An agent's public RSA key, as the wire has it: both numbers in base64, the highest byte first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    /// The exponent.
    pub exponent: String,
    /// The modulus.
    pub modulus: String,
}

/// What a signed assertion claims (RFC 7523). Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`.
    pub audience: String,
    /// `jti`.
    pub id: String,
    /// `nbf`.
    pub not_before: i64,
    /// `exp`.
    pub expires: i64,
}

/// A token that was issued.
#[derive(Debug, Clone)]
pub struct IssuedToken {
    /// The token.
    pub token: Secret,
    /// How long it opens anything, in seconds.
    pub expires_in: u64,
}

/// Agents by their client ids, and the tokens that they were issued.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Clients {
    agents: BTreeMap<Uuid, AgentId>,
    /// The oldest first; all live equally long.
    tokens: VecDeque<ListenerToken>,
    /// The number of the next token.
    next: u64,
    /// Assertions that were used and have not run out, by their ends.
    used: BTreeSet<(i64, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ListenerToken {
    number: u64,
    secret: Uuid,
    agent: AgentId,
    expires: Instant,
}

impl ListenerToken {
    fn text(&self) -> Secret {
        Secret::new(&format!("{LISTENER}.{}.{}", self.number, self.secret.simple()))
    }
}

impl Service {
    /// Where agents get their tokens, which is also whom their assertions are for.
    #[must_use]
    pub fn authorization_url(&self) -> String {
        let url = &self.settings.url;
        let origin = url.rsplit_once('/').map_or(url.as_str(), |(origin, _)| origin);
        format!("{origin}/_apis/oauth2/token/{}", self.instance_id())
    }

    /// The key of the agent that has this client id.
    #[must_use]
    pub fn key_of_client(&self, client: Uuid) -> Option<Arc<PublicKey>> {
        let agent = self.clients.agents.get(&client)?;
        self.agents.get(agent)?.key.clone()
    }

    /// An agent's client id, which it keeps as long as it is registered.
    pub(crate) fn client_of_agent(&self, agent: AgentId) -> Uuid {
        self.named_guid("agent client", &agent.to_string())
    }

    /// The agent has a key, another key, or none any more.
    pub(crate) fn key_changed(&mut self, id: AgentId) {
        let has_key = self.agents.get(&id).is_some_and(|agent| agent.key.is_some());
        if has_key {
            let client = self.client_of_agent(id);
            self.clients.agents.insert(client, id);
        }
    }

    /// The agent was unregistered. Its tokens stay good: it is to learn that it is gone, not that it is a stranger.
    pub(crate) fn forget_client(&mut self, id: AgentId) {
        if !self.clients.agents.is_empty() {
            let client = self.client_of_agent(id);
            self.clients.agents.remove(&client);
        }
    }

    /// Whose listener token this is, at that instant.
    pub(crate) fn listener_of(&self, presented: &Secret, now: Instant) -> Option<AgentId> {
        let number = presented.expose().strip_prefix(LISTENER)?.strip_prefix('.')?.split_once('.')?.0;
        let number: u64 = number.parse().ok()?;
        let place = number.checked_sub(self.clients.tokens.front()?.number)?;
        let token = self.clients.tokens.get(usize::try_from(place).ok()?)?;
        (now < token.expires && token.text().matches(presented)).then_some(token.agent)
    }

    /// Issues a token for an assertion whose signature was checked.
    pub(crate) fn issue_token(&mut self, assertion: Assertion) -> Result<Answer, Refusal> {
        let agent = self.check_assertion(&assertion)?;
        let seconds = self.seconds_since_1970();
        let used = &mut self.clients.used;
        while used.first().is_some_and(|(expires, _)| expires.saturating_add(CLOCK_SKEW_SECONDS) < seconds) {
            used.pop_first();
        }
        // One that is forgotten before it has run out could be used again.
        if used.len() >= MAX_ISSUED_TOKENS {
            return Err(Refusal::Full { what: "used assertions", limit: MAX_ISSUED_TOKENS });
        }
        let life = self.settings.switches.listener_token_life;
        let number = self.clients.next;
        let secret = self.named_guid("listener token", &number.to_string());
        let token = ListenerToken { number, secret, agent, expires: self.now + life };
        let issued = IssuedToken { token: token.text(), expires_in: life.0 / 1000 };
        let clients = &mut self.clients;
        clients.next += 1;
        while clients.tokens.front().is_some_and(|oldest| oldest.expires <= self.now)
            || clients.tokens.len() >= MAX_ISSUED_TOKENS
        {
            clients.tokens.pop_front();
        }
        clients.tokens.push_back(token);
        clients.used.insert((assertion.expires, assertion.id));
        Ok(Answer::Token(Box::new(issued)))
    }

    /// Both texts about times are the real service's: an agent looks for `Current server time is`, and then
    /// tries again for half an hour (azure-pipelines-agent, ConfigurationManager.cs, `EnsureConnected`'s caller, and
    /// MessageListener.cs, `IsSessionCreationExceptionRetriable`).
    fn check_assertion(&self, claimed: &Assertion) -> Result<AgentId, Refusal> {
        let refused = |why: String| Err(Refusal::InvalidClient(why));
        let client = claimed.issuer.parse::<Uuid>().ok();
        let agent = client.and_then(|client| self.clients.agents.get(&client)).copied();
        let Some(agent) = agent else {
            return refused(format!("The client {} is not known.", claimed.issuer));
        };
        if !claimed.subject.eq_ignore_ascii_case(&claimed.issuer) {
            return refused("The subject of the bearer token is not its issuer.".to_owned());
        }
        let audience = self.authorization_url();
        if !claimed.audience.trim_end_matches('/').eq_ignore_ascii_case(&audience) {
            return refused(format!("The bearer token is for {}, not for {audience}.", claimed.audience));
        }
        let now = self.seconds_since_1970();
        if claimed.expires.saturating_add(CLOCK_SKEW_SECONDS) <= now {
            let (expired, now) = (date(claimed.expires), date(now));
            return refused(format!("The bearer token expired on {expired}. Current server time is {now}."));
        }
        if claimed.not_before.saturating_sub(CLOCK_SKEW_SECONDS) > now {
            let (from, now) = (date(claimed.not_before), date(now));
            return refused(format!(
                "The bearer token is not valid until {from}. Current server time is {now}."
            ));
        }
        if claimed.expires > now.saturating_add(MAX_ASSERTION_SECONDS + CLOCK_SKEW_SECONDS) {
            return refused(format!(
                "The bearer token is valid for too long: it may be for {MAX_ASSERTION_SECONDS} seconds."
            ));
        }
        if claimed.id.is_empty() {
            return refused("The bearer token has no identifier.".to_owned());
        }
        if claimed.id.len() > MAX_ASSERTION_ID {
            return refused(format!("The bearer token's identifier has more than {MAX_ASSERTION_ID} bytes."));
        }
        if self.clients.used.contains(&(claimed.expires, claimed.id.clone())) {
            return refused(format!("The bearer token {} was used before.", claimed.id));
        }
        Ok(agent)
    }

    fn seconds_since_1970(&self) -> i64 {
        let millis = self.settings.epoch.as_millis() + u128::from(self.now.0);
        i64::try_from(millis / 1000).unwrap_or(i64::MAX)
    }
}

/// A date as .NET writes it into messages.
fn date(seconds: i64) -> String {
    let date = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    date.strftime("%m/%d/%Y %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use model::Millis;

    use super::*;
    use crate::snapshot::no_settings;

    #[test]
    fn used_assertions_are_remembered_until_they_run_out_and_no_more_are_taken_meanwhile() {
        let mut service = Service::new(no_settings());
        let client = Uuid::from_u128(1);
        service.clients.agents.insert(client, AgentId(1));
        let audience = service.authorization_url();
        let assertion = |id: &str, now: i64| Assertion {
            issuer: client.to_string(),
            subject: client.to_string(),
            audience: audience.clone(),
            id: id.to_owned(),
            not_before: now,
            expires: now + 300,
        };
        service.clients.used.extend((1..MAX_ISSUED_TOKENS).map(|number| (300, format!("used {number}"))));
        service.issue_token(assertion("first", 0)).expect("a token");
        let full = service.issue_token(assertion("more", 0));
        assert!(matches!(full, Err(Refusal::Full { .. })), "{full:?}");
        let again = service.issue_token(assertion("first", 0));
        assert!(matches!(again, Err(Refusal::InvalidClient(_))), "it was used: {again:?}");
        let later = 300 + CLOCK_SKEW_SECONDS + 1;
        let _ = service.advance(Instant::START + Millis::seconds(601));
        service.issue_token(assertion("more", later)).expect("a token");
        assert_eq!(service.clients.used.len(), 1, "those that have run out are forgotten");
    }
}
