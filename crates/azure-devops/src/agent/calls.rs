//! The calls of one agent that are under way: their time limits, and the tries
//! that the agent's HTTP layer makes by itself before anybody hears of a failure.

use model::{Instant, Millis};
use smallvec::SmallVec;

use super::call::{Answer, Call, CallId, Failure, FailureKind, Output};
use super::random::Random;

/// `VSTS_HTTP_TIMEOUT`'s default.
/// Source: microsoft/azure-pipelines-agent, src/Microsoft.VisualStudio.Services.Agent/Util/VssUtil.cs,
/// `CreateConnection`.
pub(super) const HTTP_TIMEOUT: Millis = Millis::seconds(100);
/// Calls about job requests wait less.
/// Source: the same agent, AgentServer.cs, `ConnectAsync`.
const JOB_REQUEST_TIMEOUT: Millis = Millis::seconds(60);
/// Source: the same agent, MessageListener.cs, `DeleteSessionAsync` and `DeleteMessageAsync`.
const DELETE_TIMEOUT: Millis = Millis::seconds(30);

/// `VSTS_HTTP_RETRY`'s default.
pub(super) const RETRIES: u32 = 3;
/// The back-off between those tries: this, plus (2^attempt - 1) times about one second.
/// Source: actions/runner (the public fork of the agent's SDK), VssHttpRetryMessageHandler.cs and
/// BackoffTimerHelper.cs, `GetExponentialBackoff` with the defaults of VssHttpRetryOptions.cs.
const LEAST_BACK_OFF: Millis = Millis::seconds(10);

/// The pause before the try after `attempt` (the first is 1).
pub(super) fn back_off(attempt: u32, random: &mut Random) -> Millis {
    let unit = random.between(Millis(800), Millis(1199));
    LEAST_BACK_OFF + Millis(unit.0 * (2u64.pow(attempt.min(16)) - 1))
}

/// Both polls.
const USUAL_CALLS: usize = 2;

#[derive(Debug)]
struct UnderWay {
    id: CallId,
    call: Call,
    attempt: u32,
    state: State,
    /// When the call is given up however many tries are left.
    end: Instant,
}

impl UnderWay {
    fn due(&self) -> Instant {
        let (State::Sent(at) | State::BackingOff(at)) = self.state;
        at.min(self.end)
    }
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Sent, and given up at this instant.
    Sent(Instant),
    /// Sent again at this instant.
    BackingOff(Instant),
}

/// The calls under way.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// An idle agent has two calls under way, for hours: they lie in it.
    under_way: SmallVec<[UnderWay; USUAL_CALLS]>,
    made: u32,
}

impl Calls {
    /// Makes a call.
    pub(super) fn make(&mut self, now: Instant, call: Call, outputs: &mut Vec<Output>) {
        let id = self.next_id();
        outputs.push(Output::Call { id, call: call.clone() });
        let state = State::Sent(now + limit(&call));
        let end = now + total_limit(&call);
        self.under_way.push(UnderWay { id, call, attempt: 1, state, end });
    }

    fn next_id(&mut self) -> CallId {
        self.made = self.made.wrapping_add(1);
        CallId(self.made)
    }

    /// Gives up every call that `which` names.
    pub(super) fn abandon(&mut self, which: impl Fn(&Call) -> bool, outputs: &mut Vec<Output>) {
        self.under_way.retain(|entry| {
            let abandoned = which(&entry.call);
            if abandoned && matches!(entry.state, State::Sent(_)) {
                outputs.push(Output::Abandon(entry.id));
            }
            !abandoned
        });
    }

    /// Takes an answer. `None` if nobody waits for it, or if the call is made again first.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        id: CallId,
        answer: Result<Answer, Failure>,
        random: &mut Random,
    ) -> Option<(Call, Result<Answer, Failure>)> {
        let position = self.under_way.iter().position(|entry| entry.id == id)?;
        let entry = &mut self.under_way[position];
        let again = matches!(&answer, Err(failure) if failure.kind == FailureKind::Unavailable);
        if again && entry.attempt <= RETRIES {
            entry.state = State::BackingOff(now + back_off(entry.attempt, random));
            entry.attempt += 1;
            return None;
        }
        Some((self.under_way.remove(position).call, answer))
    }

    /// When something is due next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.under_way.iter().fold(None, |first, entry| earliest(first, Some(entry.due())))
    }

    /// The same without polls that are being held.
    pub(super) fn next_deadline_but_for_polls(&self) -> Option<Instant> {
        let held = |entry: &&UnderWay| {
            matches!(entry.call, Call::Poll { .. } | Call::KeepAlive { .. })
                && matches!(entry.state, State::Sent(_))
        };
        let others = self.under_way.iter().filter(|entry| !held(entry));
        others.fold(None, |first, entry| earliest(first, Some(entry.due())))
    }

    /// Sends again what is due, and takes back one call whose time is over.
    pub(super) fn advance(&mut self, now: Instant, outputs: &mut Vec<Output>) -> Option<(Call, Failure)> {
        for entry in &mut self.under_way {
            if let State::BackingOff(at) = entry.state
                && at <= now
                && now < entry.end
            {
                entry.state = State::Sent(now + limit(&entry.call));
                outputs.push(Output::Call { id: entry.id, call: entry.call.clone() });
            }
        }
        let late = self.under_way.iter().position(|entry| entry.due() <= now)?;
        let entry = self.under_way.remove(late);
        if matches!(entry.state, State::Sent(_)) {
            outputs.push(Output::Abandon(entry.id));
        }
        let message = format!("The HTTP request timed out after {}.", limit(&entry.call));
        Some((entry.call, Failure::new(FailureKind::Unreachable, message)))
    }
}

/// The earlier of two instants, or the one that there is.
pub(super) fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn limit(call: &Call) -> Millis {
    match call {
        Call::OpenSession | Call::Poll { .. } | Call::KeepAlive { .. } | Call::Complete(_) => HTTP_TIMEOUT,
        Call::Renew { .. } => JOB_REQUEST_TIMEOUT,
        Call::CloseSession { .. } | Call::DeleteMessage { .. } => DELETE_TIMEOUT,
    }
}

/// The limit of all tries of a call together, where it has one.
fn total_limit(call: &Call) -> Millis {
    match call {
        Call::CloseSession { .. } | Call::DeleteMessage { .. } => DELETE_TIMEOUT,
        _ => Millis(u64::MAX),
    }
}
