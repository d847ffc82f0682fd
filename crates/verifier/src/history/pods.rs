//! Pods and their containers.

use std::collections::{BTreeMap, BTreeSet};

use model::{Instant, Millis};

/// A pod.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pod {
    /// Its name.
    pub(crate) name: String,
    /// Its controller.
    pub(crate) owner: Option<String>,
    /// The first event that names it.
    pub(crate) appeared: Instant,
    /// When it was created.
    pub(crate) created: Option<Instant>,
    /// When it got a node.
    pub(crate) scheduled: Option<Instant>,
    /// The node's name.
    pub(crate) node: Option<String>,
    /// When its phase became Running.
    pub(crate) running: Option<Instant>,
    /// When it was Ready first.
    pub(crate) ready: Option<Instant>,
    /// When it got a deletion timestamp, and its grace.
    pub(crate) terminating: Option<(Instant, Millis)>,
    /// When its phase became Succeeded or Failed.
    pub(crate) ended: Option<Instant>,
    /// Whether that phase was Failed.
    pub(crate) failed: bool,
    /// When its object was gone.
    pub(crate) gone: Option<Instant>,
    /// Its containers by name.
    pub(crate) containers: BTreeMap<String, Container>,
    /// The names of the agents that lived in it.
    pub(crate) agents: BTreeSet<String>,
}

/// A container.
#[derive(Debug, Clone, Default)]
pub(crate) struct Container {
    /// Every start of its main process.
    pub(crate) starts: Vec<Instant>,
    /// Every end of its main process, with the code.
    pub(crate) exits: Vec<(Instant, i32)>,
    /// Every signal.
    pub(crate) signals: Vec<(Instant, String)>,
    /// Every wait in CrashLoopBackOff: when it was seen, and until when it was to last.
    pub(crate) back_offs: Vec<(Instant, Instant)>,
    agents: BTreeSet<String>,
}

impl Pod {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    pub(super) fn create(&mut self, at: Instant, owner: Option<String>) {
        self.created.get_or_insert(at);
        self.owner = self.owner.take().or(owner);
    }

    pub(super) fn container(&mut self, name: String) -> &mut Container {
        self.containers.entry(name).or_default()
    }

    /// Ends the fold: what follows from all of its events.
    pub(super) fn settle(&mut self) {
        let own = [self.created, self.scheduled, self.running, self.ready, self.ended, self.gone];
        let own = own.into_iter().flatten().chain(self.terminating.map(|(at, _)| at));
        let contained = self.containers.values().flat_map(Container::instants);
        self.appeared = own.chain(contained).min().unwrap_or_default();
        self.agents = self.containers.values().flat_map(|container| container.agents.clone()).collect();
    }

    /// The spans that its containers waited in CrashLoopBackOff for, up to `end`.
    pub(crate) fn back_offs(&self, end: Instant) -> impl Iterator<Item = (Instant, Instant)> {
        let over = [self.terminating.map(|(at, _)| at), self.gone, self.ended];
        let over = over.into_iter().flatten().min().unwrap_or(end).min(end);
        self.containers.values().flat_map(move |container| container.back_offs(over))
    }
}

impl Container {
    pub(super) fn start(&mut self, at: Instant, agent: Option<String>) {
        self.starts.push(at);
        self.agents.extend(agent);
    }

    pub(super) fn exit(&mut self, at: Instant, code: i32, agent: Option<String>) {
        self.exits.push((at, code));
        self.agents.extend(agent);
    }

    fn instants(&self) -> impl Iterator<Item = Instant> {
        let starts = self.starts.iter().copied();
        let exits = self.exits.iter().map(|(at, _)| *at);
        let signals = self.signals.iter().map(|(at, _)| *at);
        starts.chain(exits).chain(signals).chain(self.back_offs.iter().map(|(at, _)| *at))
    }

    fn back_offs(&self, over: Instant) -> impl Iterator<Item = (Instant, Instant)> {
        self.back_offs.iter().enumerate().filter_map(move |(index, (at, _))| {
            let started = self.starts.iter().copied().find(|start| start >= at);
            let again = self.back_offs.get(index + 1).map(|(next, _)| *next);
            let until = [started, again, Some(over)].into_iter().flatten().min()?;
            (*at < until).then_some((*at, until))
        })
    }
}
