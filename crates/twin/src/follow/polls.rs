//! KEDA's decisions about a ScaledObject: what each poll does to the replicas.

use keda::rules::Fallback;
use keda::scaled_object::{Because, Decision, PollInputs, Spec, decide};
use keda::scaler::count;
use model::event::ScalerRow;
use model::{Instant, Millis};

use super::book::{Book, Choice};
use super::log::{Log, Write, Writer};
use super::reads::{Askers, Poll, Sync};
use super::revisions::{Object, Revision, Revisions};
use super::{What, Who};

/// A poll writes within this, if others may that read nothing.
const WRITES_WITHIN: Millis = Millis::seconds(5);
/// Replicas below the minimum are raised within an interval and this.
const RAISES_WITHIN: Millis = Millis::seconds(10);
/// lastActiveTime has whole seconds, of a clock that the log does not tell.
const WHOLE_SECOND: Millis = Millis(999);

/// Compares every poll.
pub(super) fn follow(log: &Log<'_>, revisions: &Revisions, askers: &Askers<'_>, book: &mut Book) {
    let mut follower = Follower { log, revisions, syncs: &askers.syncs, last_active: vec![None] };
    let mut writes = log.writes.iter().filter(|write| write.writer == Writer::Keda).copied().peekable();
    for (place, poll) in askers.polls.iter().enumerate() {
        while let Some(write) = writes.next_if(|write| write.at < poll.begin) {
            follower.silent(&write, book);
        }
        let next = askers.polls.get(place + 1).map_or(log.end, |next| next.begin);
        // Where every poll reads, a write is the last one's; else one that did not read may have made it.
        let observes = revisions.in_force(poll.at).observes();
        let until = if observes { next.min(poll.at + WRITES_WITHIN) } else { next };
        let mut own: Vec<Write> = Vec::new();
        while let Some(write) = writes.next_if(|write| write.at < until) {
            own.push(write);
        }
        if next == log.end && own.is_empty() && log.end.since(poll.at) < log.lag {
            book.skip(poll.at, "the log ends before the last poll could write");
            continue;
        }
        follower.poll(poll, own.last(), book);
    }
    for write in writes {
        follower.silent(&write, book);
    }
    follower.overdue(book);
}

struct Follower<'l, 'a> {
    log: &'l Log<'a>,
    revisions: &'l Revisions,
    syncs: &'l [Sync<'a>],
    /// What lastActiveTime may be, the likeliest first.
    last_active: Vec<Option<Instant>>,
}

/// What a poll found.
#[derive(Debug, Clone)]
struct Found {
    active: bool,
    error: bool,
    told: String,
    unless: &'static str,
}

impl<'a> Follower<'_, 'a> {
    fn poll(&mut self, poll: &Poll<'a>, write: Option<&Write>, book: &mut Book) {
        let seen = write.map(|write| i64::from(write.replicas));
        if self.log.seen(poll.at, Writer::Keda).is_empty() {
            return book.skip(poll.at, "the workload's replicas were not told before the poll");
        }
        let mut choices = Vec::new();
        for (number, revision) in self.revisions.at(poll.at).into_iter().enumerate() {
            let Object::Scaled { spec, .. } = &revision.object else { continue };
            for found in self.found(poll, revision, spec) {
                let unless = match (number, found.unless) {
                    (0, unless) => unless.to_owned(),
                    (_, _) => "the change of the spec was not in force yet".to_owned(),
                };
                self.choices(poll.at, revision, spec, &found, &unless, &mut choices);
            }
        }
        if choices.is_empty() {
            return book.skip(poll.at, "a poll did not read all triggers, and nobody else did");
        }
        let decided = book.compare((poll.at, Who::Keda, What::Replicas), seen, choices);
        let failed = write.is_some_and(|write| !write.done);
        if let Some(decision) = decided {
            self.activity(poll.at, decision, failed);
        }
    }

    /// What becomes of lastActiveTime.
    fn activity(&mut self, at: Instant, (decision, unsure): (Decision, bool), failed: bool) {
        if !decision.active_now || failed {
            return;
        }
        let now = [Some(Instant(at.0 / 1000 * 1000)), Some(at - WHOLE_SECOND), Some(at + self.log.lag)];
        if unsure {
            self.last_active.splice(0..0, now);
        } else {
            self.last_active = now.to_vec();
        }
    }

    /// What a poll may have found, the likeliest first.
    fn found(&self, poll: &Poll<'a>, revision: &Revision, spec: &Spec) -> Vec<Found> {
        let mut found = vec![Found { active: false, error: false, told: String::new(), unless: "" }];
        for (trigger, answers) in poll.answers.iter().enumerate() {
            let taken_over = answers.is_empty() && revision.observes();
            let answers = if taken_over { self.observed(poll.at, trigger) } else { answers.clone() };
            let mut next = Vec::new();
            for (place, answer) in answers.iter().enumerate() {
                let Some((active, told)) = self.answered(revision, trigger, *answer) else { continue };
                for before in &found {
                    let mut now = before.clone();
                    now.active |= active == Some(true);
                    now.error |= active.is_none();
                    if !now.told.is_empty() {
                        now.told.push_str(", ");
                    }
                    now.told.push_str(&told);
                    if place > 0 {
                        now.unless = "another read was the poll's";
                    }
                    next.push(now);
                }
            }
            next.sort_by_key(|found| !found.unless.is_empty());
            found = next;
        }
        let failed = found.iter().find(|found| found.error).cloned();
        if let Some(failed) = failed {
            let falls_back =
                spec.fallback.is_some() && revision.rules.scaled_object.fallback == Fallback::PollAndHpa;
            if falls_back {
                let unless = "the read failed often enough to fall back";
                found.push(Found { active: true, error: false, unless, ..failed.clone() });
            }
            if revision.rules.cache.closed_is_inactive {
                let unless = "somebody else's failure had closed the poll's cache";
                found.push(Found { active: failed.active, error: false, unless, ..failed });
            }
        }
        found
    }

    /// Whether a trigger is active by what was answered; nothing if the read failed.
    fn answered(
        &self,
        revision: &Revision,
        trigger: usize,
        answer: Option<&[ScalerRow]>,
    ) -> Option<(Option<bool>, String)> {
        let settings = revision.trigger(trigger)?;
        let Some(rows) = answer else { return Some((None, "the read failed".to_owned())) };
        let counted = count(&revision.rules.scaler, settings, rows.iter());
        let active = i64::try_from(counted).unwrap_or(i64::MAX) > settings.activation_target;
        Some((Some(active), format!("{counted} of {} rows count", rows.len())))
    }

    /// What the HPA's last read of a trigger found, which polls take over from 2.21 on.
    fn observed(&self, at: Instant, trigger: usize) -> Vec<Option<&'a [ScalerRow]>> {
        let sync = self.syncs.iter().rfind(|sync| sync.at <= at);
        let answer = sync.and_then(|sync| sync.answers.get(trigger));
        answer.map(|answer| vec![answer.rows.first().copied()]).unwrap_or_default()
    }

    /// What one finding makes of the poll, for every state that may have been there.
    fn choices(
        &self,
        at: Instant,
        revision: &Revision,
        spec: &Spec,
        found: &Found,
        unless: &str,
        choices: &mut Vec<Choice<(Decision, bool)>>,
    ) {
        for (place, workload) in self.log.seen(at, Writer::Keda).into_iter().enumerate() {
            for (nth, last_active) in self.last_active.iter().enumerate() {
                for (late, now, created) in self.clocks(at) {
                    let inputs = PollInputs {
                        now,
                        created,
                        last_active: *last_active,
                        current: workload.spec,
                        active: found.active,
                        error: found.error,
                    };
                    let decision = decide(revision.rules, &spec.policy, &inputs);
                    let mut reasons: Vec<String> = Vec::new();
                    if !unless.is_empty() {
                        reasons.push(unless.to_owned());
                    }
                    if place > 0 {
                        reasons.push(format!("{} replicas were there", workload.spec));
                    }
                    if nth > 0 || late {
                        reasons.push("the cooldown ends just then".to_owned());
                    }
                    choices.push(Choice {
                        expected: decision.replicas.map(i64::from),
                        because: format!("{}: {}; there are {}", found.told, decision.because, workload.spec),
                        unless: reasons.join(", "),
                        state: (decision, found.error),
                    });
                }
            }
        }
    }

    /// Times that the decision may have gone by: now, and when the object was created.
    fn clocks(&self, at: Instant) -> [(bool, Instant, Instant); 3] {
        let created = self.log.created;
        let earlier = created - WHOLE_SECOND - self.log.lag;
        [(false, at, created), (true, at + self.log.lag, created), (true, at + self.log.lag, earlier)]
    }

    /// A write that no poll with a read precedes.
    fn silent(&mut self, write: &Write, book: &mut Book) {
        let seen = Some(i64::from(write.replicas));
        let mut choices = Vec::new();
        for revision in self.revisions.at(write.at) {
            let Object::Scaled { spec, .. } = &revision.object else { continue };
            if let Some(replicas) = spec.policy.paused_replicas.filter(|_| spec.policy.paused) {
                let because = Because::PausedReplicas.to_string();
                let state = (Decision { replicas: None, active_now: false, because: Because::Paused }, false);
                choices.push(Choice {
                    expected: Some(i64::from(replicas)),
                    because,
                    unless: String::new(),
                    state,
                });
            }
            if revision.observes() {
                let at = write.at - Millis(1);
                let nothing = vec![Vec::new(); spec.triggers.len()];
                for found in self.found(&Poll { begin: at, at, answers: nothing }, revision, spec) {
                    self.choices(at, revision, spec, &found, found.unless, &mut choices);
                }
            }
        }
        if choices.is_empty() {
            let because = "no poll precedes it".to_owned();
            let state = (Decision { replicas: None, active_now: false, because: Because::Inactive }, false);
            let choices = vec![Choice { expected: None, because, unless: String::new(), state }];
            book.compare((write.at, Who::Keda, What::Unaccounted), seen, choices);
        } else if let Some(decision) = book.compare((write.at, Who::Keda, What::Replicas), seen, choices) {
            self.activity(write.at, decision, !write.done);
        }
    }

    /// Replicas that stayed below the minimum for longer than a poll may take.
    fn overdue(&self, book: &mut Book) {
        let ends = self.log.workload.iter().skip(1).map(|(at, _)| *at).chain([self.log.end]);
        // Since when they are, and whether that was told.
        let mut since: Option<(Instant, bool)> = None;
        for ((at, workload), end) in self.log.workload.iter().zip(ends) {
            let revision = self.revisions.in_force(*at);
            let Object::Scaled { spec, .. } = &revision.object else { continue };
            let policy = &spec.policy;
            if workload.spec >= policy.min || policy.idle.is_some() || policy.paused {
                since = None;
                continue;
            }
            let (begin, told) = *since.get_or_insert((*at, false));
            let limit = revision.polling_interval() + RAISES_WITHIN;
            let restarts = |restart: &Instant| *restart + limit >= begin && *restart <= end;
            if told || end.since(begin) <= limit || self.revisions.restarted.iter().any(restarts) {
                continue;
            }
            let because =
                format!("{} replicas are fewer than the minimum for longer than {limit}", workload.spec);
            let expected = Some(i64::from(policy.min));
            let choice = Choice { expected, because, unless: String::new(), state: () };
            let seen = Some(i64::from(workload.spec));
            book.compare((begin + limit, Who::Keda, What::Overdue), seen, vec![choice]);
            since = Some((begin, true));
        }
    }
}
