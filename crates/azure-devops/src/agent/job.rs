//! One job, from the message that brings it to the event that ends it: the
//! lock's renewal, the work, and its cancellation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::event::JobResult;
use model::{Instant, Millis};
use serde::Deserialize;

use super::call::{Call, Completion, Failure, FailureKind};
use super::calls::earliest;
use super::id::Id;
use super::random::Random;
use crate::wire::DURATION_VARIABLE;

/// Source of the renewal's times: microsoft/azure-pipelines-agent, src/Agent.Listener/JobDispatcher.cs,
/// `RenewJobRequestAsync`.
const RENEW_EVERY: Millis = Millis::seconds(60);
const FIRST_RENEW_RETRIES: u32 = 5;
const FIRST_RENEW_PAUSE: (Millis, Millis) = (Millis::seconds(1), Millis::seconds(10));
const EARLY_PAUSES: u32 = 5;
const EARLY_PAUSE: (Millis, Millis) = (Millis::seconds(5), Millis::seconds(15));
const LATE_PAUSE: (Millis, Millis) = (Millis::seconds(15), Millis::seconds(30));
/// A job goes on for this long after its lock is over, in case the service comes back.
const BEYOND_THE_LOCK: Millis = Millis::minutes(5);

/// Source: the same agent, src/Agent.Worker/JobRunner.cs, `CompleteJobAsync`.
const COMPLETION_TRIES: u32 = 5;
const COMPLETION_PAUSE: Millis = Millis::seconds(5);

/// What the agent needs of a `PipelineAgentJobRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobMessage {
    /// The job request.
    pub request: u64,
    /// The job.
    pub job: Id,
    /// Its display name.
    pub name: Arc<str>,
    /// The project that its plan belongs to.
    pub scope: Id,
    /// The plan's kind.
    pub hub: Arc<str>,
    /// The plan.
    pub plan: Id,
    /// How long the work takes; no time at all if the service does not say.
    pub duration: Millis,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    plan: Plan,
    job_id: String,
    job_name: Option<String>,
    job_display_name: Option<String>,
    request_id: u64,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Plan {
    scope_identifier: String,
    plan_type: String,
    plan_id: String,
}

#[derive(Deserialize)]
struct Variable {
    value: Option<String>,
}

impl JobMessage {
    /// Reads a message's body.
    ///
    /// # Errors
    /// If it is not a job, with the parser's words.
    pub fn parse(body: &str) -> Result<Self, String> {
        let body: Body = serde_json::from_str(body).map_err(|error| error.to_string())?;
        let duration = body
            .variables
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(DURATION_VARIABLE))
            .and_then(|(_, variable)| variable.value.as_deref()?.parse().ok())
            .map_or(Millis::ZERO, Millis);
        let name = body.job_display_name.or(body.job_name).unwrap_or_else(|| body.job_id.clone());
        Ok(Self {
            request: body.request_id,
            job: body.job_id.as_str().into(),
            name: name.into(),
            scope: body.plan.scope_identifier.as_str().into(),
            hub: body.plan.plan_type.into(),
            plan: body.plan.plan_id.as_str().into(),
            duration,
        })
    }
}

/// The job that a `JobCancellation` means.
pub(super) fn canceled_job(body: &str) -> Option<Id> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Cancellation {
        job_id: String,
    }
    serde_json::from_str::<Cancellation>(body).ok().map(|cancellation| cancellation.job_id.as_str().into())
}

/// What a job wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// Make this call.
    Call(Call),
    /// The lock is held and the work begins: say so.
    Locked,
    /// The work is over: say so, and make this call.
    Completed(JobResult, Call),
    /// It has ended; whether the service knows is the service's business.
    Ended,
    /// It has ended without a word.
    Dropped(String),
    /// No renewal is awaited any more.
    ForgetRenewal,
}

/// What a job wants all at once: two things at the most.
pub(super) type Wants = [Option<Want>; 2];

const NOTHING: Wants = [None, None];

/// A job in the agent's hands.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) message: JobMessage,
    phase: Phase,
    renewal: Renewal,
    failures: u32,
    locked_until: Instant,
    cancel_takes: Millis,
    agent_shutting_down: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No work before the lock is held.
    Locking,
    /// The work ends at this instant.
    Working { until: Instant, result: JobResult },
    /// The plan is being told; the next try is due at this instant.
    Completing { result: JobResult, tries: u32, again: Option<Instant> },
    /// Over.
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Renewal {
    UnderWay,
    Due(Instant),
    Stopped,
}

impl Job {
    pub(super) fn new(message: JobMessage, cancel_takes: Millis, agent_shutting_down: bool) -> Self {
        Self {
            message,
            phase: Phase::Locking,
            renewal: Renewal::Stopped,
            failures: 0,
            locked_until: Instant::START,
            cancel_takes,
            agent_shutting_down,
        }
    }

    /// Whether the work is over and only the service remains to be told.
    pub(super) fn is_completing(&self) -> bool {
        matches!(self.phase, Phase::Completing { .. })
    }

    /// The first renewal.
    pub(super) fn start(&mut self) -> Want {
        self.renewal = Renewal::UnderWay;
        Want::Call(Call::Renew { request: self.message.request })
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let renewal = match self.renewal {
            Renewal::Due(at) => Some(at),
            Renewal::UnderWay | Renewal::Stopped => None,
        };
        let phase = match self.phase {
            Phase::Working { until, .. } => Some(until),
            Phase::Completing { again, .. } => again,
            Phase::Locking | Phase::Over => None,
        };
        earliest(renewal, phase)
    }

    /// What is due by now. To be asked until it has nothing more to say.
    pub(super) fn advance(&mut self, now: Instant) -> Option<Want> {
        match self.phase {
            Phase::Working { until, result } if until <= now => return Some(self.complete(result)),
            Phase::Completing { result, tries, again: Some(again) } if again <= now => {
                self.phase = Phase::Completing { result, tries, again: None };
                return Some(Want::Call(self.completion(result)));
            }
            _ => {}
        }
        match self.renewal {
            Renewal::Due(at) if at <= now => Some(self.start()),
            _ => None,
        }
    }

    /// The lock's renewal was answered.
    pub(super) fn renewed(
        &mut self,
        now: Instant,
        answer: Result<Duration, Failure>,
        epoch: Duration,
        random: &mut Random,
    ) -> Wants {
        if self.renewal != Renewal::UnderWay {
            return NOTHING;
        }
        match answer {
            Ok(locked_until) => {
                self.failures = 0;
                self.locked_until = instant_of(locked_until, epoch);
                self.renewal = Renewal::Due(now + RENEW_EVERY);
                if self.phase == Phase::Locking {
                    let until = now + self.message.duration;
                    self.phase = Phase::Working { until, result: JobResult::Succeeded };
                    return [Some(Want::Locked), None];
                }
                NOTHING
            }
            Err(failure) => self.renewal_failed(now, &failure, random),
        }
    }

    fn renewal_failed(&mut self, now: Instant, failure: &Failure, random: &mut Random) -> Wants {
        let lost = matches!(failure.kind, FailureKind::JobNotFound | FailureKind::JobTokenExpired);
        self.failures += 1;
        let pause = match self.phase {
            Phase::Locking if lost || self.failures > FIRST_RENEW_RETRIES => {
                self.renewal = Renewal::Stopped;
                self.phase = Phase::Over;
                return [Some(Want::Dropped(format!("its lock could not be taken: {failure}"))), None];
            }
            Phase::Locking => FIRST_RENEW_PAUSE,
            _ if lost || now >= self.locked_until + BEYOND_THE_LOCK => {
                self.renewal = Renewal::Stopped;
                self.cancel_work(now);
                return NOTHING;
            }
            _ if self.failures > EARLY_PAUSES => LATE_PAUSE,
            _ => EARLY_PAUSE,
        };
        self.renewal = Renewal::Due(now + random.between(pause.0, pause.1));
        NOTHING
    }

    /// Somebody cancels the job, or the agent has to leave.
    pub(super) fn cancel(&mut self, now: Instant) -> Wants {
        if self.phase == Phase::Locking {
            // The real agent leaves the service to find out by itself, since plans of version 8
            // are told by the worker, and there was none (JobDispatcher.cs, `RunAsync` and
            // `CompleteJobRequestAsync`).
            self.phase = Phase::Over;
            self.renewal = Renewal::Stopped;
            let because = "it was cancelled before its lock was held".to_owned();
            return [Some(Want::ForgetRenewal), Some(Want::Dropped(because))];
        }
        self.cancel_work(now);
        NOTHING
    }

    fn cancel_work(&mut self, now: Instant) {
        if let Phase::Working { until, .. } = self.phase {
            let until = until.min(now + self.cancel_takes);
            self.phase = Phase::Working { until, result: JobResult::Canceled };
        }
    }

    fn complete(&mut self, result: JobResult) -> Want {
        self.phase = Phase::Completing { result, tries: 1, again: None };
        Want::Completed(result, self.completion(result))
    }

    fn completion(&self, result: JobResult) -> Call {
        Call::Complete(Box::new(Completion {
            scope: self.message.scope.clone(),
            hub: self.message.hub.clone(),
            plan: self.message.plan.clone(),
            job: self.message.job.clone(),
            request: self.message.request,
            result,
            agent_shutting_down: self.agent_shutting_down,
        }))
    }

    /// The plan has answered.
    pub(super) fn completion_answered(&mut self, now: Instant, answer: Result<(), Failure>) -> Wants {
        let Phase::Completing { result, tries, .. } = self.phase else { return NOTHING };
        let over = match answer {
            Ok(()) => true,
            Err(failure) => tries >= COMPLETION_TRIES || failure.kind == FailureKind::PlanNotFound,
        };
        if !over {
            self.phase = Phase::Completing { result, tries: tries + 1, again: Some(now + COMPLETION_PAUSE) };
            return NOTHING;
        }
        self.phase = Phase::Over;
        self.renewal = Renewal::Stopped;
        [Some(Want::ForgetRenewal), Some(Want::Ended)]
    }
}

fn instant_of(date: Duration, epoch: Duration) -> Instant {
    Instant(u64::try_from(date.saturating_sub(epoch).as_millis()).unwrap_or(u64::MAX))
}
