//! The scalers of one ScaledObject or ScaledJob: how they are made, kept, read, tried again and closed.
//!
//! K:pkg/scaling/scale_handler.go (`performGetScalersCache`, `ClearScalersCache`),
//! K:pkg/scaling/scalers_builder.go and K:pkg/scaling/cache/scalers_cache.go.
//!
//! A *cache* holds one scaler per trigger. Making it costs one request per trigger, one after the other, and
//! the first failure ends it. A *read* asks for the job requests; if that fails, the one scaler is
//! made anew (one more request) and asked once more. Each request has a deadline of its own,
//! the client's timeout. While a scaler is made anew its cache is locked (from 2.16): other readers
//! wait, and so does whoever closes it.

use std::collections::VecDeque;
use std::sync::Arc;

use model::{Instant, Millis};

use super::request::{Answer, Failure, Request};
use super::settings::{AzurePipelines, SettingsError};
use crate::rules::Rules;

/// The client's timeout for a whole request (K:cmd/operator/main.go, `KEDA_HTTP_DEFAULT_TIMEOUT`).
pub const DEFAULT_HTTP_TIMEOUT: Millis = Millis::seconds(3);
/// What a timeout of zero or less becomes (K:pkg/util/http.go, `CreateHTTPClient`).
pub const LEAST_HTTP_TIMEOUT: Millis = Millis(300);

/// Which piece of work a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// The controller brings the object in order.
    Reconcile,
    /// The loop's poll.
    Poll,
    /// A query of the HPA, by its number.
    Query(u64),
}

/// A request's number; never used twice by the same object.
pub type CallId = u64;
/// A cache's number.
pub type CacheKey = u64;

/// What goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wire {
    /// A request is sent.
    Request {
        /// Its number, for the answer.
        call: CallId,
        /// The trigger that it is for.
        trigger: usize,
        /// What is asked for.
        request: Request,
    },
    /// A request is given up: nobody waits for its answer any more.
    Abandon {
        /// Its number.
        call: CallId,
    },
}

/// How a piece of work goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There is a cache, or it cannot be made.
    Obtained {
        /// Who asked for it.
        task: Task,
        /// The cache, or why there is none.
        result: Result<CacheKey, String>,
    },
    /// A trigger was read.
    Read {
        /// Who read it.
        task: Task,
        /// The trigger.
        trigger: usize,
        /// What came of it.
        reading: Reading,
    },
}

/// What came of a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Jobs that count.
    Count(u64),
    /// An error, also after the retry.
    Failed(String),
    /// The cache was closed meanwhile: no value and no error (from 2.20).
    Closed,
}

/// The triggers of one generation of an object.
pub type Triggers = Arc<[Result<Arc<AzurePipelines>, SettingsError>]>;

/// The scalers of one object.
#[derive(Debug, Clone)]
pub struct Scalers {
    rules: &'static Rules,
    timeout: Millis,
    triggers: Triggers,
    generation: u64,
    current: Option<CacheKey>,
    caches: Vec<Cache>,
    builds: Vec<Build>,
    /// Who waits for a build to end before it looks for a cache.
    queue: VecDeque<Task>,
    calls: Vec<Call>,
    outcomes: VecDeque<Outcome>,
    next: u64,
}

#[derive(Debug, Clone)]
struct Scaler {
    settings: Arc<AzurePipelines>,
    pool: i64,
}

#[derive(Debug, Clone)]
struct Cache {
    key: CacheKey,
    generation: u64,
    scalers: Vec<Scaler>,
    closed: bool,
    /// Somebody waits for the lock to close it.
    closing: bool,
    /// The lock: the call that makes a scaler anew.
    refreshing: Option<CallId>,
    waiting: VecDeque<(Task, usize, Wants)>,
    context: Context,
    built_by: Task,
    /// Nobody was told yet that its scalers were built.
    untold: bool,
}

/// The context of whoever built a cache, which retries lived in until 2.20.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    Lives,
    Of(Task),
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wants {
    ToRead,
    ToRefresh,
}

#[derive(Debug, Clone)]
struct Build {
    key: CacheKey,
    task: Task,
    generation: u64,
    triggers: Triggers,
    scalers: Vec<Scaler>,
}

#[derive(Debug, Clone)]
struct Call {
    id: CallId,
    until: Instant,
    task: Task,
    cache: CacheKey,
    trigger: usize,
    step: Step,
    request: Request,
    settings: Arc<AzurePipelines>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Build,
    First,
    Refresh,
    Second,
}

impl Scalers {
    /// No scalers yet.
    #[must_use]
    pub fn new(rules: &'static Rules, timeout: Millis, triggers: Triggers, generation: u64) -> Self {
        Self {
            rules,
            timeout: if timeout == Millis::ZERO { LEAST_HTTP_TIMEOUT } else { timeout },
            triggers,
            generation,
            current: None,
            caches: Vec::new(),
            builds: Vec::new(),
            queue: VecDeque::new(),
            calls: Vec::new(),
            outcomes: VecDeque::new(),
            next: 0,
        }
    }

    /// The object was changed: caches of earlier generations stay until somebody asks for this one.
    pub fn change(&mut self, triggers: Triggers, generation: u64) {
        self.triggers = triggers;
        self.generation = generation;
    }

    /// The operator's process is gone, and everything that it held; `rules` are those of the next one.
    pub fn restart<A: From<Wire>>(&mut self, rules: &'static Rules, out: &mut Vec<A>) {
        out.extend(self.calls.drain(..).map(|call| Wire::Abandon { call: call.id }.into()));
        self.rules = rules;
        self.current = None;
        self.caches.clear();
        self.builds.clear();
        self.queue.clear();
        self.outcomes.clear();
    }

    /// The settings that a request is made with, for whoever answers it.
    #[must_use]
    pub fn settings_of(&self, call: CallId) -> Option<&AzurePipelines> {
        self.calls.iter().find(|known| known.id == call).map(|call| &*call.settings)
    }

    /// The settings and the pool of a cache's scaler.
    #[must_use]
    pub fn scaler(&self, cache: CacheKey, trigger: usize) -> Option<(&AzurePipelines, i64)> {
        let scaler = self.caches.iter().find(|known| known.key == cache)?.scalers.get(trigger)?;
        Some((&*scaler.settings, scaler.pool))
    }

    /// How many scalers of this cache were built since this was last asked.
    pub fn take_built(&mut self, cache: CacheKey) -> usize {
        let Some(found) = self.caches.iter_mut().find(|known| known.key == cache) else { return 0 };
        if std::mem::take(&mut found.untold) { found.scalers.len() } else { 0 }
    }

    /// Whether a poll built this cache.
    #[must_use]
    pub fn built_by_poll(&self, cache: CacheKey) -> bool {
        self.caches.iter().any(|known| known.key == cache && known.built_by == Task::Poll)
    }

    /// Whether there is a cache that new readers get.
    #[must_use]
    pub fn is_cached(&self) -> bool {
        self.current.is_some()
    }

    /// When the client gives up the request that has waited longest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.calls.iter().map(|call| call.until).min()
    }

    /// Requests that are not answered yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.calls.len()
    }

    /// What to go on with. To be asked after every other call, until there is nothing.
    pub fn next_outcome(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }

    /// Asks for a cache: of the object as it is now, or, as HPA queries do, whichever there is.
    pub fn obtain<A: From<Wire>>(&mut self, now: Instant, task: Task, out: &mut Vec<A>) {
        if self.rules.cache.builds_in_turn && !self.builds.is_empty() {
            self.queue.push_back(task);
            return;
        }
        let any = matches!(task, Task::Query(_));
        let current = self.current.and_then(|key| self.caches.iter().find(|cache| cache.key == key));
        if let Some(cache) = current.filter(|cache| any || cache.generation == self.generation) {
            self.outcomes.push_back(Outcome::Obtained { task, result: Ok(cache.key) });
            return;
        }
        let key = self.number();
        let (triggers, generation) = (Arc::clone(&self.triggers), self.generation);
        let scalers = Vec::with_capacity(triggers.len());
        self.builds.push(Build { key, task, generation, triggers, scalers });
        self.build_on(now, key, out);
    }

    /// Reads one trigger in a cache that was obtained.
    pub fn read<A: From<Wire>>(
        &mut self,
        now: Instant,
        task: Task,
        cache: CacheKey,
        trigger: usize,
        out: &mut Vec<A>,
    ) {
        let Some(found) = self.caches.iter_mut().find(|known| known.key == cache && !known.closed) else {
            return self.closed(task, trigger);
        };
        if found.refreshing.is_some() {
            found.waiting.push_back((task, trigger, Wants::ToRead));
            return;
        }
        self.ask(now, task, cache, trigger, Step::First, out);
    }

    /// An answer came. Those to requests that were given up are passed over.
    pub fn answer<A: From<Wire>>(&mut self, now: Instant, call: CallId, answer: Answer, out: &mut Vec<A>) {
        let Some(position) = self.calls.iter().position(|known| known.id == call) else { return };
        let call = self.calls.swap_remove(position);
        match call.step {
            Step::Build => self.built(now, call, answer, out),
            Step::First => match answer {
                Answer::Count(count) => self.finished(&call, Reading::Count(count)),
                _ => self.refresh(now, call.task, call.cache, call.trigger, out),
            },
            Step::Refresh => self.refreshed(now, &call, answer, out),
            Step::Second => {
                let reading = match answer {
                    Answer::Count(count) => Reading::Count(count),
                    other => Reading::Failed(self.error(&call, other)),
                };
                self.finished(&call, reading);
            }
        }
    }

    /// Gives up what has waited too long.
    pub fn advance<A: From<Wire>>(&mut self, now: Instant, out: &mut Vec<A>) {
        while let Some(call) = self.calls.iter().find(|call| call.until <= now).map(|call| call.id) {
            out.push(Wire::Abandon { call }.into());
            self.answer(now, call, Answer::Failure(Failure::TimedOut), out);
        }
    }

    /// The cache is no longer given out, and readers in it notice (`ClearScalersCache`).
    pub fn clear_cache(&mut self) {
        let Some(key) = self.current.take() else { return };
        self.close(key);
    }

    /// A piece of work has ended: what it still waits for is given up, and contexts that are its own end.
    pub fn end<A: From<Wire>>(&mut self, now: Instant, task: Task, out: &mut Vec<A>) {
        self.builds.retain(|build| build.task != task);
        self.queue.retain(|waiting| *waiting != task);
        self.outcomes.retain(|outcome| {
            let (Outcome::Obtained { task: of, .. } | Outcome::Read { task: of, .. }) = outcome;
            *of != task
        });
        for cache in &mut self.caches {
            cache.waiting.retain(|(waiting, ..)| *waiting != task);
            if cache.context == Context::Of(task) {
                cache.context = Context::Ended;
            }
        }
        while let Some(position) = self.calls.iter().position(|call| call.task == task) {
            let call = self.calls.swap_remove(position);
            out.push(Wire::Abandon { call: call.id }.into());
            if call.step == Step::Refresh {
                self.unlock(now, call.cache, out);
            }
            self.forget(call.cache);
        }
        self.next_in_queue(now, out);
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn send<A: From<Wire>>(&mut self, now: Instant, mut call: Call, out: &mut Vec<A>) -> CallId {
        call.id = self.number();
        call.until = now + self.timeout;
        out.push(Wire::Request { call: call.id, trigger: call.trigger, request: call.request }.into());
        let id = call.id;
        self.calls.push(call);
        id
    }

    fn ask<A: From<Wire>>(
        &mut self,
        now: Instant,
        task: Task,
        cache: CacheKey,
        trigger: usize,
        step: Step,
        out: &mut Vec<A>,
    ) -> Option<CallId> {
        let found = self.caches.iter().find(|known| known.key == cache);
        let Some(scaler) = found.and_then(|cache| cache.scalers.get(trigger)) else {
            self.closed(task, trigger);
            return None;
        };
        let request = if step == Step::Refresh {
            Request::resolving(&scaler.settings)
        } else {
            Request::reading(&self.rules.scaler, &scaler.settings, scaler.pool)
        };
        let settings = Arc::clone(&scaler.settings);
        let call = Call { id: 0, until: Instant::START, task, cache, trigger, step, request, settings };
        Some(self.send(now, call, out))
    }

    fn build_on<A: From<Wire>>(&mut self, now: Instant, key: CacheKey, out: &mut Vec<A>) {
        let Some(position) = self.builds.iter().position(|build| build.key == key) else { return };
        let Some(build) = self.builds.get(position) else { return };
        let trigger = build.scalers.len();
        match build.triggers.get(trigger) {
            None => {
                let build = self.builds.swap_remove(position);
                self.install(build);
                self.next_in_queue(now, out);
            }
            Some(Err(error)) => {
                let result = Err(error.to_string());
                let build = self.builds.swap_remove(position);
                self.outcomes.push_back(Outcome::Obtained { task: build.task, result });
                self.next_in_queue(now, out);
            }
            Some(Ok(settings)) => {
                let (task, settings) = (build.task, Arc::clone(settings));
                let request = Request::resolving(&settings);
                let step = Step::Build;
                let call =
                    Call { id: 0, until: Instant::START, task, cache: key, trigger, step, request, settings };
                self.send(now, call, out);
            }
        }
    }

    fn built<A: From<Wire>>(&mut self, now: Instant, call: Call, answer: Answer, out: &mut Vec<A>) {
        let Some(position) = self.builds.iter().position(|build| build.key == call.cache) else { return };
        match self.pool(&call, answer) {
            Ok(pool) => {
                if let Some(build) = self.builds.get_mut(position) {
                    build.scalers.push(Scaler { settings: call.settings, pool });
                }
                self.build_on(now, call.cache, out);
            }
            Err(error) => {
                self.builds.swap_remove(position);
                self.outcomes.push_back(Outcome::Obtained { task: call.task, result: Err(error) });
                self.next_in_queue(now, out);
            }
        }
    }

    /// Those who waited for the lock over the caches look again, until one of them builds.
    fn next_in_queue<A: From<Wire>>(&mut self, now: Instant, out: &mut Vec<A>) {
        while self.builds.is_empty()
            && let Some(task) = self.queue.pop_front()
        {
            self.obtain(now, task, out);
        }
    }

    /// A finished build takes the place of whatever cache there is by now.
    fn install(&mut self, build: Build) {
        let Build { key, task, generation, scalers, .. } = build;
        self.clear_cache();
        self.caches.push(Cache {
            key,
            generation,
            scalers,
            closed: false,
            closing: false,
            refreshing: None,
            waiting: VecDeque::new(),
            // Only a query's context ends while the cache lives on.
            context: if matches!(task, Task::Query(_)) { Context::Of(task) } else { Context::Lives },
            built_by: task,
            untold: true,
        });
        self.current = Some(key);
        self.outcomes.push_back(Outcome::Obtained { task, result: Ok(key) });
    }

    /// A first call failed: the scaler is made anew (`refreshScaler`).
    fn refresh<A: From<Wire>>(
        &mut self,
        now: Instant,
        task: Task,
        cache: CacheKey,
        trigger: usize,
        out: &mut Vec<A>,
    ) {
        let Some(found) = self.caches.iter_mut().find(|known| known.key == cache && !known.closed) else {
            self.closed(task, trigger);
            return self.forget(cache);
        };
        if found.refreshing.is_some() {
            found.waiting.push_back((task, trigger, Wants::ToRefresh));
            return;
        }
        if found.context == Context::Ended && self.rules.cache.retry_in_builder_context {
            if let Some(scaler) = found.scalers.get(trigger) {
                let request = Request::resolving(&scaler.settings);
                let text = Failure::Cancelled.text(&self.rules.scaler, &scaler.settings, request);
                let reading = Reading::Failed(format!("error parsing azure Pipelines metadata: {text}"));
                self.outcomes.push_back(Outcome::Read { task, trigger, reading });
            }
            return;
        }
        let call = self.ask(now, task, cache, trigger, Step::Refresh, out);
        if self.rules.cache.refresh_locks
            && let Some(found) = self.caches.iter_mut().find(|known| known.key == cache)
        {
            found.refreshing = call;
        }
    }

    fn refreshed<A: From<Wire>>(&mut self, now: Instant, call: &Call, answer: Answer, out: &mut Vec<A>) {
        match self.pool(call, answer) {
            Ok(pool) => {
                let found = self.caches.iter_mut().find(|known| known.key == call.cache);
                if let Some(scaler) = found.and_then(|cache| cache.scalers.get_mut(call.trigger)) {
                    scaler.pool = pool;
                }
                // Who held the lock goes on before whoever waited for it.
                self.ask(now, call.task, call.cache, call.trigger, Step::Second, out);
            }
            Err(error) => self.finished(call, Reading::Failed(error)),
        }
        self.unlock(now, call.cache, out);
    }

    fn unlock<A: From<Wire>>(&mut self, now: Instant, cache: CacheKey, out: &mut Vec<A>) {
        let Some(found) = self.caches.iter_mut().find(|known| known.key == cache) else { return };
        found.refreshing = None;
        found.closed |= found.closing;
        let waiting = std::mem::take(&mut found.waiting);
        for (task, trigger, wants) in waiting {
            match wants {
                Wants::ToRead => self.read(now, task, cache, trigger, out),
                Wants::ToRefresh => self.refresh(now, task, cache, trigger, out),
            }
        }
        self.forget(cache);
    }

    fn close(&mut self, key: CacheKey) {
        let Some(found) = self.caches.iter_mut().find(|known| known.key == key) else { return };
        if found.refreshing.is_some() {
            found.closing = true;
        } else {
            found.closed = true;
            self.forget(key);
        }
    }

    /// A closed cache that nobody reads any more is gone.
    fn forget(&mut self, key: CacheKey) {
        let read = self.calls.iter().any(|call| call.cache == key);
        self.caches.retain(|cache| cache.key != key || !cache.closed || read || !cache.waiting.is_empty());
    }

    fn finished(&mut self, call: &Call, reading: Reading) {
        let (task, trigger) = (call.task, call.trigger);
        self.outcomes.push_back(Outcome::Read { task, trigger, reading });
        self.forget(call.cache);
    }

    /// A reader finds its cache closed. Until 2.19 it found it empty, which is an error (`getScalerBuilder`).
    fn closed(&mut self, task: Task, trigger: usize) {
        let reading = if self.rules.cache.closed_is_inactive {
            Reading::Closed
        } else {
            Reading::Failed(format!("scaler with id {trigger} not found. Len = 0"))
        };
        self.outcomes.push_back(Outcome::Read { task, trigger, reading });
    }

    /// The pool that a new scaler reads.
    fn pool(&self, call: &Call, answer: Answer) -> Result<i64, String> {
        match (answer, call.request) {
            (Answer::Pool(_), Request::PoolById { pool }) if !self.rules.scaler.pool_id_from_answer => {
                Ok(pool)
            }
            (Answer::Pool(pool), _) => Ok(pool),
            (other, _) => Err(format!("error parsing azure Pipelines metadata: {}", self.error(call, other))),
        }
    }

    fn error(&self, call: &Call, answer: Answer) -> String {
        let failure = match answer {
            Answer::Failure(failure) => failure,
            // An answer to something else.
            Answer::Pool(_) | Answer::Count(_) => Failure::Malformed,
        };
        failure.text(&self.rules.scaler, &call.settings, call.request)
    }
}

#[cfg(test)]
mod tests;
