//! `run`: the listener's decisions, carried out on sockets.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use azure_devops::agent::{
    Answer, Call, CallId, Failure, Listener, Observation, Output, Registration, Settings, exit_code, wire,
};
use clock::Clock;

use crate::Identity;
use crate::address::Address;
use crate::http::{Connection, exchange};

/// How an agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOptions {
    /// Take one job, then exit.
    pub once: bool,
    /// Where its random pauses come from.
    pub seed: u64,
}

/// An idle agent holds two; more are closed after use.
const IDLE_CONNECTIONS: usize = 2;

/// Runs a registered agent until it exits by itself or `stop` is there, and gives its exit code.
///
/// When `stop` completes the agent cancels its job and closes its session, as a real one does on
/// SIGTERM. A future that is dropped closes its sockets and does nothing else.
pub async fn run(
    clock: Clock,
    identity: &Identity,
    registration: &Registration,
    options: RunOptions,
    stop: impl Future<Output = ()>,
    mut observe: impl FnMut(Observation),
) -> i32 {
    let address = match Address::of(identity) {
        Ok(address) => Arc::new(address),
        Err(error) => {
            observe(Observation::SessionCreateFailed { message: error.to_string() });
            return exit_code::TERMINATED_ERROR;
        }
    };
    let settings = Settings::new(options.once, options.seed, clock.epoch());
    let mut listener = Box::new(Listener::new(settings));
    let mut calls = Calls { address, registration, under_way: Vec::new(), idle: Vec::new() };
    let mut stop = pin!(stop);
    let mut stopped = false;
    let mut outputs = listener.start(clock.now());
    loop {
        for output in outputs {
            match output {
                Output::Call { id, call } => calls.make(id, call),
                Output::Abandon(id) => calls.abandon(id),
                Output::Observed(observation) => observe(observation),
                Output::Exit(code) => return code,
            }
        }
        let deadline = listener.next_deadline().expect("a listener that has not ended awaits something");
        let due = pin!(clock.sleep_until(deadline));
        let event = next(stopped, stop.as_mut(), &mut calls, due).await;
        let now = clock.now();
        outputs = match event {
            Event::Answered(id, answer) => listener.answer(now, id, answer),
            Event::Due => listener.advance(now),
            Event::Stopped => {
                stopped = true;
                listener.stop(now)
            }
        };
    }
}

enum Event {
    Answered(CallId, Result<Answer, Failure>),
    Due,
    Stopped,
}

/// Whatever comes first; an answer that is there comes before a time limit that is over.
async fn next(
    stopped: bool,
    mut stop: Pin<&mut impl Future<Output = ()>>,
    calls: &mut Calls<'_>,
    mut due: Pin<&mut impl Future<Output = ()>>,
) -> Event {
    poll_fn(|context| {
        if !stopped && stop.as_mut().poll(context).is_ready() {
            return Poll::Ready(Event::Stopped);
        }
        if let Poll::Ready((id, answer)) = calls.poll(context) {
            return Poll::Ready(Event::Answered(id, answer));
        }
        due.as_mut().poll(context).map(|()| Event::Due)
    })
    .await
}

type Answered = (Option<Connection>, Result<Answer, Failure>);
type UnderWay = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// The calls under way, each with its connection, and connections between calls.
struct Calls<'agent> {
    address: Arc<Address>,
    registration: &'agent Registration,
    under_way: Vec<(CallId, UnderWay)>,
    idle: Vec<Connection>,
}

impl Calls<'_> {
    fn make(&mut self, id: CallId, call: Call) {
        let address = Arc::clone(&self.address);
        let request = wire::request(&call, self.registration);
        let idle = self.idle.pop();
        let made = Box::pin(async move {
            let (connection, response) = exchange(&address, &request, idle).await;
            let answer = response.and_then(|response| wire::answer(&call, response.status, &response.body));
            (connection, answer)
        });
        self.under_way.reserve_exact(1);
        self.under_way.push((id, made));
    }

    fn abandon(&mut self, id: CallId) {
        self.under_way.retain(|(under_way, _)| *under_way != id);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<(CallId, Result<Answer, Failure>)> {
        for position in 0..self.under_way.len() {
            let (id, call) = &mut self.under_way[position];
            if let Poll::Ready((connection, answer)) = call.as_mut().poll(context) {
                let id = *id;
                drop(self.under_way.remove(position));
                self.idle.extend(connection.filter(|_| self.idle.len() < IDLE_CONNECTIONS));
                return Poll::Ready((id, answer));
            }
        }
        Poll::Pending
    }
}
