//! `Agent.Listener run`: a session, two loops of polls, and a job now and then.
//!
//! Source of the session and of the polls: microsoft/azure-pipelines-agent,
//! src/Agent.Listener/MessageListener.cs (`CreateSessionAsync`, `GetNextMessageAsync`, `KeepAlive`);
//! of messages, `--once` and the end: src/Agent.Listener/Agent.cs, `RunAsync`.

use std::time::Duration;

use model::{Instant, Millis};

use super::call::{Answer, Call, CallId, Failure, FailureKind, Observation, Output};
use super::calls::{Calls, earliest};
use super::exit_code;
use super::id::Id;
use super::job::{Job, JobMessage, Want, Wants, canceled_job};
use super::random::Random;
use crate::wire::{CANCEL_MESSAGE, JOB_MESSAGE};

/// `_sessionCreationRetryInterval`.
const SESSION_PAUSE: Millis = Millis::seconds(30);
/// `_sessionConflictRetryLimit`.
const SESSION_CONFLICT_LIMIT: Millis = Millis::minutes(4);
/// The pause after a poll that brought nothing.
const EMPTY_POLL_PAUSE: (Millis, Millis) = (Millis::seconds(5), Millis::seconds(15));
/// The back-off after one of the first failures in a row, and after a later one.
const EARLY_FAILURE_PAUSE: (Millis, Millis) = (Millis::seconds(15), Millis::seconds(30));
const LATE_FAILURE_PAUSE: (Millis, Millis) = (Millis::seconds(30), Millis::seconds(60));
const EARLY_FAILURES: u32 = 5;
/// The pause of `KeepAlive`.
const KEEP_ALIVE_PAUSE: Millis = Millis::seconds(30);

/// From the order to cancel a job to the end of its work, where nothing says otherwise. The real
/// worker lets its steps react and then runs those with `condition: always()`; how long that takes
/// is the pipeline's.
pub const CANCEL_TAKES: Millis = Millis::seconds(1);

/// How a listener is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Take one job, then exit (`--once`).
    pub once: bool,
    /// Where the random pauses come from.
    pub seed: u64,
    /// The date of instant 0, since 1970: locks are told as dates.
    pub epoch: Duration,
    /// From the order to cancel a job to the end of its work.
    pub cancel_takes: Millis,
}

impl Settings {
    /// A listener with the default time to cancel a job.
    #[must_use]
    pub fn new(once: bool, seed: u64, epoch: Duration) -> Self {
        Self { once, seed, epoch, cancel_takes: CANCEL_TAKES }
    }
}

/// The machine.
#[derive(Debug)]
pub struct Listener {
    settings: Settings,
    random: Random,
    calls: Calls,
    session: Session,
    /// The session that calls name. It stays while a new one is asked for.
    session_id: Option<Id>,
    polling: Polling,
    /// The last message seen. It outlives its session, as `_lastMessageId` does.
    last_message: Option<u64>,
    /// When the keep-alive loop polls next; `None` while it polls, or before there is a session.
    keep_alive_at: Option<Instant>,
    failures: u32,
    conflicts: u32,
    trouble: bool,
    job: Option<Box<Job>>,
    /// A job that came while the one before it was still being reported.
    next_job: Option<Box<JobMessage>>,
    job_received: bool,
    ending: Option<i32>,
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Session {
    /// Not asked for, or being asked for.
    Opening,
    /// To be asked for again at this instant.
    Pausing(Instant),
    /// There.
    Open,
    /// Asked to end.
    Closing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Polling {
    /// Something else is awaited: a held poll, a message's deletion, a session.
    Waiting,
    /// The next poll starts at this instant.
    Pausing(Instant),
}

impl Listener {
    /// A listener that has not started yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let random = Random::new(settings.seed, "agent listener");
        Self {
            settings,
            random,
            calls: Calls::default(),
            session: Session::Opening,
            session_id: None,
            polling: Polling::Waiting,
            last_message: None,
            keep_alive_at: None,
            failures: 0,
            conflicts: 0,
            trouble: false,
            job: None,
            next_job: None,
            job_received: false,
            ending: None,
            ended: false,
        }
    }

    /// Begins.
    pub fn start(&mut self, now: Instant) -> Vec<Output> {
        let mut outputs = Vec::new();
        self.start_into(now, &mut outputs);
        outputs
    }

    /// The same, without a list of its own for what it wants.
    pub fn start_into(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        self.open_session(now, outputs);
    }

    /// Takes the answer to a call. An answer that nobody waits for is ignored.
    pub fn answer(&mut self, now: Instant, id: CallId, answer: Result<Answer, Failure>) -> Vec<Output> {
        let mut outputs = Vec::new();
        self.answer_into(now, id, answer, &mut outputs);
        outputs
    }

    /// The same, without a list of its own for what it wants.
    pub fn answer_into(
        &mut self,
        now: Instant,
        id: CallId,
        answer: Result<Answer, Failure>,
        outputs: &mut Vec<Output>,
    ) {
        if let Some((call, answer)) = self.calls.answered(now, id, answer, &mut self.random) {
            self.answered(now, &call, answer, outputs);
        }
    }

    /// Whether it holds a job, from the message that brings it until the service knows of its end.
    #[must_use]
    pub fn has_job(&self) -> bool {
        self.job.is_some()
    }

    /// When [`Self::advance`] has something to do, if no answer comes before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.ended {
            return None;
        }
        earliest(self.calls.next_deadline(), self.own_deadline())
    }

    /// The same without the time limits of polls under way: for somebody who knows that the service
    /// ends them before that, and does not want to come back in vain.
    #[must_use]
    pub fn next_deadline_but_for_polls(&self) -> Option<Instant> {
        if self.ended {
            return None;
        }
        earliest(self.calls.next_deadline_but_for_polls(), self.own_deadline())
    }

    fn own_deadline(&self) -> Option<Instant> {
        let session = match self.session {
            Session::Pausing(at) => Some(at),
            Session::Opening | Session::Open | Session::Closing => None,
        };
        let poll = match self.polling {
            Polling::Pausing(at) => Some(at),
            Polling::Waiting => None,
        };
        let job = self.job.as_ref().and_then(|job| job.next_deadline());
        earliest(earliest(session, poll), earliest(self.keep_alive_at, job))
    }

    /// Does what is due by now.
    pub fn advance(&mut self, now: Instant) -> Vec<Output> {
        let mut outputs = Vec::new();
        self.advance_into(now, &mut outputs);
        outputs
    }

    /// The same, without a list of its own for what it wants.
    pub fn advance_into(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        while !self.ended
            && let Some((call, failure)) = self.calls.advance(now, outputs)
        {
            self.answered(now, &call, Err(failure), outputs);
        }
        while !self.ended
            && let Some(want) = self.job.as_mut().and_then(|job| job.advance(now))
        {
            self.want(now, want, outputs);
        }
        if self.ended {
            return;
        }
        if matches!(self.session, Session::Pausing(at) if at <= now) {
            self.open_session(now, outputs);
        }
        if matches!(self.polling, Polling::Pausing(at) if at <= now) {
            self.poll(now, outputs);
        }
        if self.keep_alive_at.is_some_and(|at| at <= now) {
            self.poll_to_keep_alive(now, outputs);
        }
    }

    /// SIGTERM or SIGINT: the job is cancelled, the session closed, then the listener exits.
    pub fn stop(&mut self, now: Instant) -> Vec<Output> {
        let mut outputs = Vec::new();
        if self.ended || self.ending.is_some() {
            return outputs;
        }
        outputs.push(Output::Observed(Observation::Stopping));
        self.leave(now, exit_code::SUCCESS, &mut outputs);
        outputs
    }

    fn answered(
        &mut self,
        now: Instant,
        call: &Call,
        answer: Result<Answer, Failure>,
        outputs: &mut Vec<Output>,
    ) {
        match call {
            Call::OpenSession => match answer {
                Ok(Answer::Session { session }) => self.session_opened(now, session, outputs),
                Ok(other) => self.session_refused(now, &unexpected(&other), outputs),
                Err(failure) => self.session_refused(now, &failure, outputs),
            },
            Call::Poll { .. } => match answer {
                Ok(Answer::Message { message, kind, body }) => {
                    self.poll_succeeded(outputs);
                    self.last_message = Some(message);
                    self.message(now, message, &kind, &body, outputs);
                }
                Ok(Answer::Job { message, job }) => {
                    self.poll_succeeded(outputs);
                    self.last_message = Some(message);
                    let delete = self.job_message(now, Ok(*job), outputs);
                    self.after_message(now, message, delete, outputs);
                }
                Ok(Answer::Cancellation { message, job }) => {
                    self.poll_succeeded(outputs);
                    self.last_message = Some(message);
                    let delete = self.is_canceled(now, Some(&job), outputs);
                    self.after_message(now, message, delete, outputs);
                }
                Ok(_) => {
                    self.poll_succeeded(outputs);
                    self.pause_polling(now, Millis::ZERO);
                }
                Err(failure) => self.poll_failed(now, failure, outputs),
            },
            Call::KeepAlive { .. } => self.keep_alive_at = Some(now + KEEP_ALIVE_PAUSE),
            // A failure is logged only.
            Call::DeleteMessage { .. } => self.poll(now, outputs),
            Call::Renew { .. } => self.renewed(now, answer, outputs),
            Call::Complete(_) => {
                let answer = answer.map(|_| ());
                let wants = self.job.as_mut().map(|job| job.completion_answered(now, answer));
                self.want_all(now, wants.unwrap_or_default(), outputs);
            }
            Call::CloseSession { .. } => self.session_closed(answer, outputs),
        }
    }

    fn open_session(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        self.session = Session::Opening;
        self.calls.make(now, Call::OpenSession, outputs);
    }

    fn session_opened(&mut self, now: Instant, session: Id, outputs: &mut Vec<Output>) {
        self.reconnected(outputs);
        self.conflicts = 0;
        self.session = Session::Open;
        let recovered = self.session_id.replace(session.clone()).is_some();
        if recovered {
            // The loop goes on as after a poll that brought nothing.
            self.pause_polling(now, Millis::ZERO);
        } else {
            outputs.push(Output::Observed(Observation::Listening { session }));
            self.poll(now, outputs);
            self.poll_to_keep_alive(now, outputs);
        }
    }

    /// Source: MessageListener.cs, `IsSessionCreationExceptionRetriable`.
    fn session_refused(&mut self, now: Instant, failure: &Failure, outputs: &mut Vec<Output>) {
        let retry = match failure.kind {
            FailureKind::AccessTokenExpired => return self.leave(now, exit_code::SUCCESS, outputs),
            FailureKind::AgentNotFound => {
                outputs.push(Output::Observed(Observation::AgentMissing));
                false
            }
            FailureKind::SessionConflict => {
                outputs.push(Output::Observed(Observation::SessionExists));
                self.conflicts += 1;
                let patient = Millis(u64::from(self.conflicts) * SESSION_PAUSE.0) < SESSION_CONFLICT_LIMIT;
                if !patient {
                    outputs.push(Output::Observed(Observation::SessionExistsStopRetry));
                }
                patient
            }
            FailureKind::PoolNotFound | FailureKind::AccessDenied | FailureKind::Unauthorized => false,
            _ => true,
        };
        if retry {
            self.connect_error(&failure.message, outputs);
            self.session = Session::Pausing(now + SESSION_PAUSE);
            return;
        }
        let message = failure.message.clone();
        outputs.push(Output::Observed(Observation::SessionCreateFailed { message }));
        if self.session_id.is_none() {
            self.exit(exit_code::TERMINATED_ERROR, outputs);
        } else {
            self.leave(now, exit_code::RETRYABLE_ERROR, outputs);
        }
    }

    fn poll(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        if let (Some(session), None) = (self.session_id.clone(), self.ending) {
            let last_message = self.last_message;
            self.calls.make(now, Call::Poll { session, last_message }, outputs);
        }
        self.polling = Polling::Waiting;
    }

    fn poll_to_keep_alive(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        if let (Some(session), None) = (self.session_id.clone(), self.ending) {
            self.calls.make(now, Call::KeepAlive { session }, outputs);
        }
        self.keep_alive_at = None;
    }

    /// Waits as after a poll that brought nothing, and before that for `more`.
    fn pause_polling(&mut self, now: Instant, more: Millis) {
        let pause = self.random.between(EMPTY_POLL_PAUSE.0, EMPTY_POLL_PAUSE.1);
        self.polling = Polling::Pausing(now + more + pause);
    }

    fn poll_succeeded(&mut self, outputs: &mut Vec<Output>) {
        self.failures = 0;
        self.reconnected(outputs);
    }

    /// Source: MessageListener.cs, `GetNextMessageAsync` and `IsGetNextMessageExceptionRetriable`; what
    /// is thrown there ends the process in Program.cs, `MainAsync`.
    fn poll_failed(&mut self, now: Instant, failure: Failure, outputs: &mut Vec<Output>) {
        match failure.kind {
            FailureKind::AccessTokenExpired => self.leave(now, exit_code::SUCCESS, outputs),
            FailureKind::SessionExpired => self.open_session(now, outputs),
            FailureKind::AgentNotFound
            | FailureKind::PoolNotFound
            | FailureKind::AccessDenied
            | FailureKind::Unauthorized => {
                outputs.push(Output::Observed(Observation::Failed { message: failure.message }));
                self.leave(now, exit_code::RETRYABLE_ERROR, outputs);
            }
            _ => {
                self.connect_error(&failure.message, outputs);
                self.failures += 1;
                let pause =
                    if self.failures <= EARLY_FAILURES { EARLY_FAILURE_PAUSE } else { LATE_FAILURE_PAUSE };
                let pause = self.random.between(pause.0, pause.1);
                self.pause_polling(now, pause);
            }
        }
    }

    fn connect_error(&mut self, message: &str, outputs: &mut Vec<Output>) {
        if !self.trouble {
            outputs.push(Output::Observed(Observation::ConnectError { message: message.to_owned() }));
        }
        self.trouble = true;
    }

    fn reconnected(&mut self, outputs: &mut Vec<Output>) {
        if self.trouble {
            outputs.push(Output::Observed(Observation::Reconnected));
        }
        self.trouble = false;
    }

    fn message(&mut self, now: Instant, message: u64, kind: &str, body: &str, outputs: &mut Vec<Output>) {
        let delete = if kind.eq_ignore_ascii_case(JOB_MESSAGE) {
            self.job_message(now, JobMessage::parse(body), outputs)
        } else if kind.eq_ignore_ascii_case(CANCEL_MESSAGE) {
            self.is_canceled(now, canceled_job(body).as_ref(), outputs)
        } else {
            outputs.push(Output::Observed(Observation::MessageIgnored { kind: kind.to_owned() }));
            true
        };
        self.after_message(now, message, delete, outputs);
    }

    fn after_message(&mut self, now: Instant, message: u64, delete: bool, outputs: &mut Vec<Output>) {
        match &self.session_id {
            _ if self.ending.is_some() => {}
            Some(session) if delete => {
                let session = session.clone();
                self.calls.make(now, Call::DeleteMessage { session, message }, outputs);
            }
            _ => self.poll(now, outputs),
        }
    }

    /// Whether the message is to be deleted.
    fn job_message(
        &mut self,
        now: Instant,
        message: Result<JobMessage, String>,
        outputs: &mut Vec<Output>,
    ) -> bool {
        if self.settings.once && self.job_received {
            return false;
        }
        let message = match message {
            Ok(message) => message,
            Err(message) => {
                outputs.push(Output::Observed(Observation::Failed { message }));
                self.leave(now, exit_code::RETRYABLE_ERROR, outputs);
                return true;
            }
        };
        self.job_received = true;
        match &self.job {
            None => self.start_job(now, message, outputs),
            Some(job) if job.is_completing() => self.next_job = Some(Box::new(message)),
            Some(job) => {
                // JobDispatcher.cs, `EnsureDispatchFinished`: the new job's dispatch fails, the
                // running one goes on.
                let because = format!("job request {} still runs", job.message.request);
                let request = message.request;
                outputs.push(Output::Observed(Observation::JobDropped { request, because }));
            }
        }
        true
    }

    fn start_job(&mut self, now: Instant, message: JobMessage, outputs: &mut Vec<Output>) {
        let (request, name) = (message.request, message.name.clone());
        outputs.push(Output::Observed(Observation::JobStarted { request, name }));
        let mut job = Box::new(Job::new(message, self.settings.cancel_takes, self.settings.once));
        let want = job.start();
        self.job = Some(job);
        self.want(now, want, outputs);
    }

    /// Whether the message is to be deleted.
    fn is_canceled(&mut self, now: Instant, canceled: Option<&Id>, outputs: &mut Vec<Output>) -> bool {
        let canceled = self.cancellation(now, canceled, outputs);
        canceled || !(self.settings.once && self.job_received)
    }

    /// Whether the message meant the job at hand.
    fn cancellation(&mut self, now: Instant, canceled: Option<&Id>, outputs: &mut Vec<Output>) -> bool {
        let Some(job) = self.job.as_mut() else { return false };
        if canceled.is_none_or(|canceled| !canceled.is(&job.message.job)) {
            return false;
        }
        let wants = job.cancel(now);
        self.want_all(now, wants, outputs);
        true
    }

    fn renewed(&mut self, now: Instant, answer: Result<Answer, Failure>, outputs: &mut Vec<Output>) {
        let Some(job) = self.job.as_mut() else { return };
        let answer = answer.and_then(|answer| match answer {
            Answer::Renewed { locked_until } => Ok(locked_until),
            other => Err(unexpected(&other)),
        });
        let wants = job.renewed(now, answer, self.settings.epoch, &mut self.random);
        self.want_all(now, wants, outputs);
    }

    fn want_all(&mut self, now: Instant, wants: Wants, outputs: &mut Vec<Output>) {
        for want in wants.into_iter().flatten() {
            self.want(now, want, outputs);
        }
    }

    fn want(&mut self, now: Instant, want: Want, outputs: &mut Vec<Output>) {
        let Some(job) = &self.job else { return };
        let (request, name) = (job.message.request, &job.message.name);
        match want {
            Want::Call(call) => self.calls.make(now, call, outputs),
            Want::Locked => outputs.push(Output::Observed(Observation::JobLocked { request })),
            Want::Completed(result, call) => {
                let name = name.clone();
                outputs.push(Output::Observed(Observation::JobCompleted { request, name, result }));
                self.calls.make(now, call, outputs);
            }
            Want::ForgetRenewal => {
                self.calls.abandon(|call| matches!(call, Call::Renew { .. }), outputs);
            }
            Want::Ended => self.job_ended(now, outputs),
            Want::Dropped(because) => {
                outputs.push(Output::Observed(Observation::JobDropped { request, because }));
                self.job_ended(now, outputs);
            }
        }
    }

    fn job_ended(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        self.job = None;
        if self.ending.is_some() {
            self.close_session(now, outputs);
        } else if self.settings.once {
            self.leave(now, exit_code::SUCCESS, outputs);
        } else if let Some(next) = self.next_job.take() {
            self.start_job(now, *next, outputs);
        }
    }

    /// The loops end, the job is cancelled; when that is done the session is closed.
    fn leave(&mut self, now: Instant, code: i32, outputs: &mut Vec<Output>) {
        if self.ending.is_some() {
            return;
        }
        self.ending = Some(code);
        self.session = Session::Closing;
        self.polling = Polling::Waiting;
        self.keep_alive_at = None;
        let of_the_loops =
            |call: &Call| !matches!(call, Call::Renew { .. } | Call::Complete(_) | Call::CloseSession { .. });
        self.calls.abandon(of_the_loops, outputs);
        self.next_job = None;
        match self.job.as_mut() {
            Some(job) => {
                let wants = job.cancel(now);
                self.want_all(now, wants, outputs);
            }
            None => self.close_session(now, outputs),
        }
    }

    /// Whatever ended the loops (Agent.cs, `RunAsync`'s `finally`): an agent that was unregistered under
    /// its feet, as by `config.sh remove` in a trap, asks in vain.
    fn close_session(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        match self.session_id.clone() {
            Some(session) => self.calls.make(now, Call::CloseSession { session }, outputs),
            None => self.exit(self.ending.unwrap_or(exit_code::SUCCESS), outputs),
        }
    }

    /// A session that cannot be deleted takes the place of a success (Agent.cs, `RunAsync`'s
    /// `finally`: its exception ends up in Program.cs, `MainAsync`).
    fn session_closed(&mut self, answer: Result<Answer, Failure>, outputs: &mut Vec<Output>) {
        let mut code = self.ending.unwrap_or(exit_code::SUCCESS);
        if let Err(failure) = answer
            && code == exit_code::SUCCESS
        {
            code = exit_code::RETRYABLE_ERROR;
            outputs.push(Output::Observed(Observation::Failed { message: failure.message }));
        }
        self.exit(code, outputs);
    }

    fn exit(&mut self, code: i32, outputs: &mut Vec<Output>) {
        self.calls.abandon(|_| true, outputs);
        self.ended = true;
        outputs.push(Output::Exit(code));
    }
}

fn unexpected(answer: &Answer) -> Failure {
    Failure::new(FailureKind::Other, format!("unexpected answer: {answer:?}"))
}
