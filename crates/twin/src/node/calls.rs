//! Agents and the service: calls, answers, and what the service's faults make of them.

use azure_devops::agent::{Answer, Call, CallId, Failure, FailureKind, Observation, Output};
use azure_devops::agent::{SetupAnswer, SetupCall, SetupResult, SetupStep, direct};
use azure_devops::faults::{Asked, Fate, Upset};
use azure_devops::{AgentId, PoolId, Refusal, Reply, Service, WaiterId};
use controllers::PodId;
use kubelet::{Input, entrypoint};
use model::fault::{CalledBy, NamedAnswer, Route, ServiceAnswer, Shown};
use model::{Event, Instant, Millis, Source};
use uuid::Uuid;

use super::life::{Access, Errand, ErrandState, Late, Life};
use super::waiters::{Waiting, Who};
use super::{Around, FaultAnswer, Nodes};

/// What is still to be done in a step.
#[derive(Debug)]
pub(super) enum Step {
    /// A listener's call has its answer.
    Answer(Who, CallId, Result<Answer, Failure>),
    /// A pod is told something.
    Tell(PodId, Input),
}

impl Nodes {
    pub(super) fn life(&mut self, who: Who) -> Option<&mut Life> {
        let life = self.pod_mut(who.pod)?.lives.get_mut(super::at(who.container))?.as_mut()?;
        (life.start == who.start).then_some(life)
    }

    /// Queues news for a start script.
    pub(super) fn tell_script(&mut self, who: Who, input: entrypoint::Input) {
        let Who { pod, container, start } = who;
        let input = Input::Entrypoint { container: super::at(container), start, input };
        self.steps.push_back(Step::Tell(pod, input));
    }

    /// Asks the service. What it brings about beside the reply goes to the log and into the queue.
    fn ask(&mut self, now: Instant, call: azure_devops::Call, around: &mut Around<'_>) -> Reply {
        self.calls += 1;
        let mut effects = std::mem::take(&mut self.effects);
        let reply = around.service.handle_into(now, call, &mut effects);
        let event = |fact| Event { at: now, by: Source::Service, fact };
        around.out.facts.extend(effects.facts.drain(..).map(event));
        for (waiter, answer) in effects.answered.drain(..) {
            self.poll_answered(now, waiter, answer, around);
        }
        self.effects = effects;
        reply
    }

    pub(super) fn poll_answered(
        &mut self,
        now: Instant,
        waiter: WaiterId,
        answer: Result<azure_devops::Answer, Refusal>,
        around: &mut Around<'_>,
    ) {
        let Some(Waiting { who, call, session, delay }) = self.waiters.remove(waiter) else { return };
        if self.life(who).is_none_or(|life| life.listener.is_none()) {
            // The client is gone. The message stays until it is deleted, so nothing is lost.
            return;
        }
        let answer = match answer {
            Ok(answer) => {
                let answer = self.on_its_way(now, session, answer, around);
                Ok(direct::polled(around.service, &answer))
            }
            Err(refusal) => Err(direct::failure(&refusal)),
        };
        self.deliver(now, who, call, answer, delay);
    }

    /// A poll's answer as it arrives: a message may get lost, or be sent again.
    fn on_its_way(
        &mut self,
        now: Instant,
        session: Uuid,
        answer: azure_devops::Answer,
        around: &mut Around<'_>,
    ) -> azure_devops::Answer {
        let azure_devops::Answer::Message(message) = &answer else { return answer };
        let (message, id) = (*message, message.id);
        let Some(on) = around.faults.on() else { return answer };
        if on.message(&asked(now, Route::Messages), session, message) != Fate::Lost {
            return answer;
        }
        self.ask(now, azure_devops::Call::Upset(Upset::LoseMessage { session, message: id }), around);
        azure_devops::Answer::NoMessage
    }

    /// What faults do before a call is made: a message comes again, a lock is lost.
    fn before_call(
        &mut self,
        now: Instant,
        call: &azure_devops::Call,
        around: &mut Around<'_>,
    ) -> Option<azure_devops::Answer> {
        let Around { faults, service, .. } = around;
        let on = faults.on()?;
        match call {
            azure_devops::Call::Poll { session, after, .. } => {
                let again = on.again(*session, *after, |message| service.can_come_again(*session, message));
                return again.map(azure_devops::Answer::Message);
            }
            azure_devops::Call::CloseSession { session, .. } => on.session_ended(*session),
            azure_devops::Call::RenewJobRequest { request, .. }
                if on.loses_lock(&asked(now, Route::Locks)) =>
            {
                self.ask(now, azure_devops::Call::Upset(Upset::LoseLock(*request)), around);
            }
            _ => {}
        }
        None
    }

    fn deliver(
        &mut self,
        now: Instant,
        who: Who,
        call: CallId,
        answer: Result<Answer, Failure>,
        delay: Millis,
    ) {
        if delay == Millis::ZERO {
            self.steps.push_back(Step::Answer(who, call, answer));
        } else if let Some(life) = self.life(who) {
            life.late.push((now + delay, Late::Answer(call, answer)));
            self.touch(who.pod);
        }
    }

    /// Does what a listener wants, which lies in the list of outputs.
    pub(super) fn carry_out_outputs(&mut self, now: Instant, who: Who, around: &mut Around<'_>) {
        if self.outputs.is_empty() {
            return self.touch(who.pod);
        }
        let mut outputs = std::mem::take(&mut self.outputs);
        for output in outputs.drain(..) {
            match output {
                Output::Call { id, call } => self.call(now, who, id, &call, around),
                Output::Abandon(id) => {
                    if let Some(life) = self.life(who) {
                        life.late.retain(|(_, late)| !matches!(late, Late::Answer(call, _) if *call == id));
                    }
                }
                Output::Observed(Observation::Listening { .. }) => {
                    if let Some(life) = self.life(who) {
                        life.listens = true;
                    }
                    self.tell_script(who, entrypoint::Input::Listening);
                }
                Output::Observed(_) => {}
                Output::Exit(code) => {
                    if let Some(life) = self.life(who) {
                        life.listener = None;
                        life.listens = false;
                    }
                    self.tell_script(who, entrypoint::Input::AgentExited(code));
                }
            }
        }
        self.outputs = outputs;
        self.touch(who.pod);
    }

    /// Makes a listener's call.
    fn call(&mut self, now: Instant, who: Who, id: CallId, call: &Call, around: &mut Around<'_>) {
        let Some(life) = self.life(who) else { return };
        let Some(registration) = &life.registration else { return };
        let made = match life.access {
            Access::Open => direct::call(call, registration),
            Access::Refused => Err(direct::failure(&Refusal::Unauthorized)),
            Access::Unreachable => Err(unreachable()),
        };
        let fault = around.faults.intercept(now, route(call), CalledBy::Agent);
        let delay = fault.map_or(Millis::ZERO, |fault| fault.delay);
        // A poll that the service answers in time needs no clock of its own.
        life.unanswered |= delay > Millis::ZERO;
        let instead = fault.and_then(|fault| fault.answer).filter(|answer| !is_right(*answer));
        let answer = match (made, instead) {
            (_, Some(ServiceAnswer::Named(NamedAnswer::Hang))) => {
                life.unanswered = true;
                return;
            }
            (Ok(made), None) => {
                let polls = match &made {
                    azure_devops::Call::Poll { session, .. } => Some(*session),
                    _ => None,
                };
                let reply = match self.before_call(now, &made, around) {
                    Some(again) => return self.again(now, who, id, &again, delay, around.service),
                    None => self.ask(now, made, around),
                };
                match (reply, polls) {
                    (Reply::Held(waiter), session) => {
                        let session = session.unwrap_or_default();
                        self.waiters.insert(waiter, Waiting { who, call: id, session, delay });
                        return;
                    }
                    (Reply::Answer(answer), Some(session)) => {
                        let answer = self.on_its_way(now, session, answer, around);
                        direct::answer(around.service, call, Ok(answer))
                    }
                    (Reply::Answer(answer), None) => direct::answer(around.service, call, Ok(answer)),
                    (Reply::Refused(refusal), _) => direct::answer(around.service, call, Err(refusal)),
                }
            }
            (Err(failure), None) => Err(failure),
            (_, Some(instead)) => match failure_of(instead) {
                Some(failure) => Err(failure),
                None => unanswered(call),
            },
        };
        self.deliver(now, who, id, answer, delay);
    }

    /// A message that comes again.
    fn again(
        &mut self,
        now: Instant,
        who: Who,
        call: CallId,
        message: &azure_devops::Answer,
        delay: Millis,
        service: &Service,
    ) {
        self.deliver(now, who, call, Ok(direct::polled(service, message)), delay);
    }

    /// Goes on with a set-up as far as it gets.
    pub(super) fn carry_on(
        &mut self,
        now: Instant,
        who: Who,
        mut errand: Box<Errand>,
        mut step: SetupStep,
        around: &mut Around<'_>,
    ) {
        loop {
            match step {
                SetupStep::End(end) => {
                    let input = self.errand_ended(who, errand.removes, end.ok());
                    self.tell_script(who, input);
                    return;
                }
                SetupStep::Call { call, at, limit } if at > now => {
                    errand.state = ErrandState::ToCall { call, at, limit };
                    break;
                }
                SetupStep::Call { call, limit, .. } => match self.setup_call(now, who, &call, around) {
                    Some(answer) => step = errand.setup.answer(now, answer),
                    None => {
                        errand.state = ErrandState::Called { until: now + limit };
                        break;
                    }
                },
            }
        }
        if let Some(life) = self.life(who) {
            life.errand = Some(errand);
        }
        self.touch(who.pod);
    }

    fn errand_ended(&mut self, who: Who, removes: bool, end: Option<SetupResult>) -> entrypoint::Input {
        match (removes, end) {
            (false, Some(SetupResult::Registered { pool, agent, .. })) => {
                if let Some(life) = self.life(who) {
                    let (pool, agent, identity) = (PoolId(pool), AgentId(agent), life.identity.clone());
                    life.registration = Some(direct::Registration { pool, agent, identity });
                }
                entrypoint::Input::Configured
            }
            // Whatever the reason, `config.sh` exits with 1.
            (false, _) => entrypoint::Input::ConfigureFailed(1),
            (true, Some(_)) => entrypoint::Input::Removed,
            (true, None) => entrypoint::Input::RemoveFailed,
        }
    }

    /// Makes a call of the set-up. Nothing if its answer comes later, or never.
    fn setup_call(
        &mut self,
        now: Instant,
        who: Who,
        call: &SetupCall,
        around: &mut Around<'_>,
    ) -> Option<Result<SetupAnswer, Failure>> {
        let life = self.life(who)?;
        let made = match life.access {
            Access::Open => Ok(direct::setup_call(call, &life.identity)),
            Access::Refused => Err(direct::failure(&Refusal::Unauthorized)),
            Access::Unreachable => Err(unreachable()),
        };
        let FaultAnswer { answer: instead, mut delay, delay_per_row } =
            around.faults.intercept(now, setup_route(call), CalledBy::Agent).unwrap_or(NO_FAULT);
        let answer = match (made, instead.filter(|answer| !is_right(*answer))) {
            (_, Some(ServiceAnswer::Named(NamedAnswer::Hang))) => return None,
            (Ok(made), None) => {
                let answer = match self.ask(now, made, around) {
                    Reply::Answer(answer) => Ok(answer),
                    Reply::Refused(refusal) => Err(refusal),
                    Reply::Held(_) => return None,
                };
                direct::setup_answer(call, answer)
            }
            (Err(failure), None) => Err(failure),
            (_, Some(instead)) => match (failure_of(instead), call) {
                (Some(failure), _) => Err(failure),
                (None, SetupCall::RemoveAgent { .. }) => Ok(SetupAnswer::Done),
                (None, _) => Err(direct::broken_answer()),
            },
        };
        // It looks for a pool, or an agent, by its name: there is one row, or none.
        if matches!(answer, Ok(SetupAnswer::Found(Some(_)))) {
            delay += delay_per_row;
        }
        if delay == Millis::ZERO {
            return Some(answer);
        }
        if let Some(life) = self.life(who) {
            life.late.push((now + delay, Late::Setup(answer)));
        }
        None
    }

    /// A set-up's call was not answered in time.
    pub(super) fn setup_timed_out(limit: Instant) -> Failure {
        Failure::new(FailureKind::Unreachable, format!("The HTTP request timed out at {limit}."))
    }
}

const NO_FAULT: FaultAnswer = FaultAnswer { answer: None, delay: Millis::ZERO, delay_per_row: Millis::ZERO };

/// An agent's request, as faults tell requests apart: emulated agents show the personal access token all along.
fn asked(now: Instant, route: Route) -> Asked {
    let credential = Shown::PersonalAccessToken;
    Asked { at: now, route: Some(route), caller: CalledBy::Agent, credential }
}

/// Whether an agent is answered as ever: what makes lists old or other makes no difference to one.
pub(super) fn is_right(answer: ServiceAnswer) -> bool {
    match answer {
        ServiceAnswer::Status(_) => false,
        ServiceAnswer::Named(named) => {
            named.is_special() || matches!(named, NamedAnswer::Stale | NamedAnswer::Reordered)
        }
    }
}

fn unreachable() -> Failure {
    Failure::new(FailureKind::Unreachable, "Connection refused")
}

/// What an agent makes of what is answered instead; nothing if it is a success without meaning.
fn failure_of(instead: ServiceAnswer) -> Option<Failure> {
    match instead {
        ServiceAnswer::Status(status) => direct::failure_of_status(status),
        ServiceAnswer::Named(NamedAnswer::SignInPage) => direct::failure_of_status(SIGN_IN_STATUS),
        ServiceAnswer::Named(NamedAnswer::Redirect) => direct::failure_of_status(REDIRECT_STATUS),
        ServiceAnswer::Named(NamedAnswer::TokenExpired) => direct::failure_of_status(EXPIRED_STATUS),
        ServiceAnswer::Named(_) => None,
    }
}

/// The status of a sign-in page.
const SIGN_IN_STATUS: u16 = 203;
/// The status of the way there.
const REDIRECT_STATUS: u16 = 302;
/// The status of an answer to an expired token.
const EXPIRED_STATUS: u16 = 401;

/// What a listener reads in a success that means nothing: calls that want no answer are content.
fn unanswered(call: &Call) -> Result<Answer, Failure> {
    match call {
        Call::CloseSession { .. } | Call::DeleteMessage { .. } | Call::Complete(_) => Ok(Answer::Done),
        Call::OpenSession | Call::Poll { .. } | Call::KeepAlive { .. } | Call::Renew { .. } => {
            Err(direct::broken_answer())
        }
    }
}

fn route(call: &Call) -> Route {
    match call {
        Call::OpenSession | Call::CloseSession { .. } => Route::Sessions,
        Call::Poll { .. } | Call::KeepAlive { .. } | Call::DeleteMessage { .. } => Route::Messages,
        Call::Renew { .. } => Route::Locks,
        Call::Complete(_) => Route::Plans,
    }
}

fn setup_route(call: &SetupCall) -> Route {
    match call {
        SetupCall::FindPool { .. } => Route::Pools,
        SetupCall::FindAgent { .. }
        | SetupCall::AddAgent { .. }
        | SetupCall::ReplaceAgent { .. }
        | SetupCall::RemoveAgent { .. } => Route::Agents,
    }
}
