//! The agent in a container, from one start of the container to its end.

use std::sync::Arc;

use azure_devops::agent::{Answer, CallId, Failure, Listener, Setup, SetupAnswer, SetupCall, direct};
use azure_devops::{BadToken, Caller, Service};
use kubelet::entrypoint::Package;
use model::Instant;

use super::template::{Organization, RunningAgent};

/// An agent.
#[derive(Debug)]
pub(super) struct Life {
    /// Which start of the container it belongs to, once it has been started.
    pub(super) start: u32,
    pub(super) organization: Arc<Organization>,
    pub(super) access: Access,
    pub(super) identity: direct::Identity,
    /// From its configuration to its removal.
    pub(super) registration: Option<direct::Registration>,
    pub(super) listener: Option<Listener>,
    pub(super) listens: bool,
    /// Whether a poll may reach its time limit: a fault keeps it from being answered in time.
    pub(super) unanswered: bool,
    /// `config.sh`, or `config.sh remove`.
    pub(super) errand: Option<Box<Errand>>,
    /// Answers that the service's faults hold back, in no order.
    pub(super) late: Vec<(Instant, Late)>,
}

/// A set-up under way.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) setup: Setup,
    pub(super) state: ErrandState,
    pub(super) removes: bool,
}

/// What a set-up waits for.
#[derive(Debug)]
pub(super) enum ErrandState {
    /// For the moment to make this call; it is given up so long after that.
    ToCall { call: SetupCall, at: Instant, limit: model::Millis },
    /// For an answer, until this instant.
    Called { until: Instant },
}

/// An answer that comes later.
#[derive(Debug)]
pub(super) enum Late {
    /// To a call of the listener.
    Answer(CallId, Result<Answer, Failure>),
    /// To a call of the set-up.
    Setup(Result<SetupAnswer, Failure>),
    /// To the script's question for a package.
    Package(Package),
}

/// Whom the service takes the agent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Somebody who may do everything.
    Open,
    /// Nobody.
    Refused,
    /// It is not asked: the address is another's.
    Unreachable,
}

impl Life {
    pub(super) fn new(agent: RunningAgent, service: &Service) -> Self {
        Self {
            start: 0,
            access: access(&agent.organization, service),
            unanswered: false,
            organization: agent.organization,
            identity: agent.identity,
            registration: None,
            listener: None,
            listens: false,
            errand: None,
            late: Vec::new(),
        }
    }

    /// Every process of the container is gone. Polls that are held have nobody to answer.
    pub(super) fn vanish(&mut self) {
        self.registration = None;
        self.listener = None;
        self.listens = false;
        self.errand = None;
        self.late.clear();
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let listener = self.listener.as_ref().and_then(|listener| {
            if self.unanswered { listener.next_deadline() } else { listener.next_deadline_but_for_polls() }
        });
        let errand = self.errand.as_ref().map(|errand| errand.next_deadline());
        let late = self.late.iter().map(|(at, _)| *at).min();
        earliest(earliest(listener, errand), late)
    }

    /// What comes of `curl -u user:TOKEN` and `jq`, which ask for the agent's package.
    pub(super) fn package(&self, service: &Service) -> Package {
        match (self.access, service.settings().switches.bad_token) {
            (Access::Open, _) => Package::Found,
            (Access::Unreachable, _) => Package::Unreachable,
            (Access::Refused, BadToken::SignInPage) => Package::Unreadable,
            (Access::Refused, BadToken::Unauthorized | BadToken::Redirect) => Package::NotOffered,
        }
    }

    /// An answer that was held back and is due.
    pub(super) fn take_late(&mut self, now: Instant) -> Option<Late> {
        let first = self.late.iter().enumerate().min_by_key(|(_, (at, _))| *at)?;
        let (position, (at, _)) = first;
        (*at <= now).then_some(position).map(|position| self.late.remove(position).1)
    }
}

/// Neither the service's address nor its token ever change.
fn access(organization: &Organization, service: &Service) -> Access {
    if organization.url != service.settings().url {
        return Access::Unreachable;
    }
    match service.authorize(Some(&organization.token)) {
        Ok(Caller::Owner) => Access::Open,
        _ => Access::Refused,
    }
}

impl Errand {
    fn next_deadline(&self) -> Instant {
        match self.state {
            ErrandState::ToCall { at, .. } => at,
            ErrandState::Called { until } => until,
        }
    }
}

pub(super) fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The set-up's pauses differ between agents; they matter only while the service is failing.
pub(super) fn setup_seed(name: &str) -> u64 {
    name.bytes().fold(0, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)))
}
