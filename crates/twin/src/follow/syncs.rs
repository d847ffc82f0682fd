//! The HPA's decisions: what it was told, and what each sync writes.

use hpa::{History, KubernetesRules, View, desired};
use keda::rules::Fallback;
use keda::scaled_object::{FallbackBehavior, Spec};
use keda::scaler::{AzurePipelines, MetricType, count};
use model::{Fact, Instant, Millis};
use semver::Version;

use super::book::{Book, Choice};
use super::log::{Log, Workload, Write, Writer};
use super::reads::{Answer, Askers, Sync};
use super::revisions::{Object, Revision, Revisions};
use super::{What, Who};

/// A sync writes within this, retries included, unless the machine is very busy.
const WRITES_WITHIN: Millis = Millis::seconds(10);
/// The controller notices that an HPA is gone when it looks for it next.
const FORGETS_AFTER: Millis = Millis::seconds(15);

const NO_VALUE: &str = "the audit log does not tell the value that the HPA was answered";
const NO_READ: &str = "no read of job requests belongs to the HPA's read";
const ANOTHER_READ: &str = "another read was the HPA's";

/// What a sync leaves behind.
struct Left {
    history: History,
    /// The replicas that it found.
    current: i32,
    /// The longest periods of the policies, downward and upward; without a behavior nothing looks back at writes.
    longest: Option<(Millis, Millis)>,
}

/// Compares every sync.
pub(super) fn follow(log: &Log<'_>, revisions: &Revisions, askers: &Askers<'_>, book: &mut Book) {
    let version = log.target.kubernetes.trim_start_matches('v').parse::<Version>();
    let rules = version.map_or_else(|_| KubernetesRules::default(), |version| KubernetesRules::of(&version));
    let mut follower =
        Follower { log, revisions, askers, rules, history: History::new(), done: Instant::START };
    let mut writes = log.writes.iter().filter(|write| write.writer == Writer::Hpa).copied().peekable();
    for (place, sync) in askers.syncs.iter().enumerate() {
        while let Some(write) = writes.next_if(|write| write.at < sync.begin) {
            follower.unread(&write, book);
        }
        let next = askers.syncs.get(place + 1).map_or(log.end, |next| next.begin);
        let mut own: Vec<Write> = Vec::new();
        while let Some(write) = writes.next_if(|write| write.at < next && follower.belongs(write, sync)) {
            own.push(write);
        }
        follower.forget(sync.begin);
        if next == log.end && own.is_empty() && log.end.since(sync.at) < log.lag {
            book.skip(sync.at, "the log ends before the last sync could write");
            continue;
        }
        follower.told(sync, book);
        follower.sync(sync, &own, book);
    }
    for write in writes {
        follower.unread(&write, book);
    }
}

struct Follower<'l, 'a> {
    log: &'l Log<'a>,
    revisions: &'l Revisions,
    askers: &'l Askers<'a>,
    rules: KubernetesRules,
    history: History,
    /// Everything before is taken into account.
    done: Instant,
}

impl Follower<'_, '_> {
    /// What happened to the history until then, apart from syncs.
    fn forget(&mut self, until: Instant) {
        let since = self.done;
        let within = |at: &Instant| *at > since && *at <= until;
        if self.revisions.forgotten.iter().any(within) {
            self.history.clear();
        }
        let mut disabled = self.log.events.iter().filter(|event| within(&event.at)).filter(|event| {
            matches!(&event.fact, Fact::HpaStatus { conditions, .. }
                if conditions.get("ScalingActive").is_some_and(|active| active == "False/ScalingDisabled"))
        });
        if let Some(event) = disabled.next() {
            self.history.first_seen(event.at, 0);
        }
        // A paused object has no HPA; after a while the controller has forgotten it.
        if is_paused(self.revisions.in_force(since)) && until.since(since) > FORGETS_AFTER {
            self.history.clear();
        }
        self.done = until;
    }

    /// Whether the HPA was told what KEDA must have counted.
    fn told(&self, sync: &Sync<'_>, book: &mut Book) {
        for (metric, answer) in sync.answers.iter().enumerate() {
            if self.log.audited {
                self.answered(answer, metric, book);
            }
            let Some(seen) = answer.value else {
                if answer.answered {
                    book.skip(answer.at, NO_VALUE);
                }
                continue;
            };
            let counts = values(self.revisions, answer, metric, &Workload::default());
            if counts.is_empty() {
                book.skip(answer.at, NO_READ);
                continue;
            }
            let choices = counts.into_iter().enumerate().map(|(place, (value, because))| {
                let unless = if place == 0 { "" } else { ANOTHER_READ };
                Choice { expected: Some(value), because, unless: unless.to_owned(), state: () }
            });
            book.compare((answer.at, Who::Hpa, What::Value), Some(seen), choices.collect());
        }
    }

    /// Whether the question was answered if the read succeeded, and only then.
    fn answered(&self, answer: &Answer<'_>, metric: usize, book: &mut Book) {
        let revision = self.revisions.in_force(answer.at);
        let Object::Scaled { spec, .. } = &revision.object else { return };
        let choice = |answered: bool, because: &str, unless: &str| Choice {
            expected: Some(i64::from(answered)),
            because: because.to_owned(),
            unless: unless.to_owned(),
            state: (),
        };
        let mut choices = if !answer.rows.is_empty() {
            vec![choice(true, "the read succeeded", "")]
        } else if !answer.failed {
            vec![choice(false, "no read was made", "")]
        } else if let Some(fallback) = spec.fallback {
            let failures = self.failures(answer.at, metric);
            let because =
                format!("it failed {failures} times, and the threshold is {}", fallback.failure_threshold);
            let falls_back = failures > fallback.failure_threshold;
            // Polls and queries count on copies of the counter that are not always the same.
            let unless = "failures were counted on another copy of the status";
            vec![choice(falls_back, &because, ""), choice(!falls_back, &because, unless)]
        } else {
            vec![choice(false, "the read failed", "")]
        };
        let cached = spec.cached.get(metric).copied().unwrap_or(false);
        if answer.rows.is_empty() && cached {
            return book.skip(answer.at, NO_READ);
        }
        if answer.rows.len() > 1 {
            choices.push(choice(false, "the read failed", ANOTHER_READ));
        }
        book.compare((answer.at, Who::Hpa, What::Answered), Some(i64::from(answer.answered)), choices);
    }

    /// How often a trigger could not be read in a row, until then.
    fn failures(&self, at: Instant, metric: usize) -> u32 {
        let revision = self.revisions.in_force(at);
        let polls_count = revision.rules.scaled_object.fallback == Fallback::PollAndHpa;
        let synced = self.askers.syncs.iter().filter_map(|sync| sync.answers.get(metric));
        let synced = synced.filter_map(|answer| {
            let good = !answer.rows.is_empty();
            (good || answer.failed).then_some((answer.at, good))
        });
        let polled = self.askers.polls.iter().filter(|_| polls_count).filter_map(|poll| {
            let answer = poll.answers.get(metric)?.first()?;
            Some((poll.at, answer.is_some()))
        });
        let mut reads: Vec<(Instant, bool)> = synced.chain(polled).filter(|(when, _)| *when <= at).collect();
        reads.sort_unstable();
        let failures = reads.iter().rev().take_while(|(_, good)| !good).count();
        u32::try_from(failures).unwrap_or(u32::MAX)
    }

    /// Whether the sync wrote what it must have.
    fn sync(&mut self, sync: &Sync<'_>, writes: &[Write], book: &mut Book) {
        let seen = writes.last().map(|write| i64::from(write.replicas));
        if self.log.seen(sync.begin, Writer::Hpa).is_empty() {
            return book.skip(sync.at, "the workload's replicas were not told before the sync");
        }
        let mut choices = Vec::new();
        let shifts = [
            ("", sync.at),
            ("its clock was ahead", sync.at + self.log.lag),
            ("its clock was behind", sync.at - self.log.lag),
        ];
        for (number, revision) in self.revisions.at(sync.at).into_iter().enumerate() {
            for (place, workload) in self.log.seen(sync.begin, Writer::Hpa).into_iter().enumerate() {
                for (told, answers) in self.answers(sync, &workload).into_iter().enumerate() {
                    for (clock, now) in shifts {
                        let mut unless: Vec<String> = Vec::new();
                        if number > 0 {
                            unless.push("the change of the spec was not in force yet".to_owned());
                        }
                        if place > 0 {
                            unless.push(format!(
                                "{} replicas of {} were there",
                                workload.status, workload.spec
                            ));
                        }
                        if told > 0 {
                            unless.push(ANOTHER_READ.to_owned());
                        }
                        if !clock.is_empty() {
                            unless.push(clock.to_owned());
                        }
                        choices.extend(self.choice(revision, &workload, &answers, now, unless.join(", ")));
                    }
                }
            }
        }
        if choices.is_empty() {
            return book.skip(sync.at, NO_READ);
        }
        let left = book.compare((sync.at, Who::Hpa, What::Replicas), seen, choices);
        self.go_on(left, writes.iter().rfind(|write| write.done));
    }

    fn go_on(&mut self, left: Option<Left>, write: Option<&Write>) {
        let Some(Left { mut history, current, longest }) = left else { return };
        if let (Some(write), Some((down, up))) = (write, longest) {
            let to = signed(write.replicas);
            history.scaled(write.at, current, to, if to > current { up } else { down });
        }
        self.history = history;
    }

    /// What one state makes of the sync.
    fn choice(
        &self,
        revision: &Revision,
        workload: &Workload,
        answers: &[Option<i64>],
        now: Instant,
        unless: String,
    ) -> Option<Choice<Left>> {
        let Object::Scaled { hpa, .. } = &revision.object else { return None };
        let mut history = self.history.clone();
        let view = view(workload);
        let decided = desired(hpa, &self.rules, &mut history, now, &view, answers);
        let current = view.spec_replicas;
        let expected = (decided.replicas != current).then_some(i64::from(decided.replicas));
        let because = format!("{}; there are {current}", decided.because);
        let longest =
            |behavior: &hpa::Behavior| (behavior.down.longest_period(), behavior.up.longest_period());
        let longest = hpa.behavior.as_ref().map(longest);
        Some(Choice { expected, because, unless, state: Left { history, current, longest } })
    }

    /// What the sync may have been told, for all metrics, the likeliest first.
    fn answers(&self, sync: &Sync<'_>, workload: &Workload) -> Vec<Vec<Option<i64>>> {
        let each: Vec<Vec<Option<i64>>> = sync
            .answers
            .iter()
            .enumerate()
            .map(|(metric, answer)| match (answer.answered, answer.value) {
                (false, _) => vec![None],
                (true, Some(value)) => vec![Some(value)],
                (true, None) => values(self.revisions, answer, metric, workload)
                    .into_iter()
                    .map(|(value, _)| Some(value))
                    .collect(),
            })
            .collect();
        let most = each.iter().map(Vec::len).max().unwrap_or(0);
        if each.iter().any(Vec::is_empty) {
            return Vec::new();
        }
        // Not every combination: of each metric its first, second… or last one.
        let nth =
            |nth: usize| each.iter().filter_map(|all| all.get(nth.min(all.len() - 1)).copied()).collect();
        (0..most).map(nth).collect()
    }

    /// Whether a write after a sync is that sync's: a later one that does not read must have found replicas
    /// outside of the bounds.
    fn belongs(&self, write: &Write, sync: &Sync<'_>) -> bool {
        let before = write.at - Millis(1);
        let Object::Scaled { hpa, .. } = &self.revisions.in_force(before).object else { return false };
        let replicas = self.log.workload(before).map(|workload| signed(workload.spec));
        let within = replicas.is_none_or(|replicas| (hpa.min..=hpa.max).contains(&replicas));
        within || write.at < sync.at + WRITES_WITHIN
    }

    /// A write without a read: replicas are outside of the bounds.
    fn unread(&mut self, write: &Write, book: &mut Book) {
        let at = write.at;
        self.forget(at);
        let seen = Some(i64::from(write.replicas));
        let mut choices = Vec::new();
        for revision in self.revisions.at(at) {
            for (place, workload) in self.log.seen(at - Millis(1), Writer::Hpa).into_iter().enumerate() {
                let Object::Scaled { hpa, .. } = &revision.object else { continue };
                if (hpa.min..=hpa.max).contains(&signed(workload.spec)) {
                    continue;
                }
                let unless =
                    if place == 0 { String::new() } else { format!("{} replicas were there", workload.spec) };
                choices.extend(self.choice(revision, &workload, &[], at, unless));
            }
        }
        if choices.is_empty() {
            let because =
                "no read precedes it, and replicas are within minReplicas and maxReplicas".to_owned();
            let choice = Choice { expected: None, because, unless: String::new(), state: () };
            book.compare((at, Who::Hpa, What::Unaccounted), seen, vec![choice]);
        } else {
            let left = book.compare((at, Who::Hpa, What::Replicas), seen, choices);
            self.go_on(left, Some(write).filter(|write| write.done));
        }
    }
}

/// The values that an answer may have had, and why.
fn values(
    revisions: &Revisions,
    answer: &Answer<'_>,
    metric: usize,
    workload: &Workload,
) -> Vec<(i64, String)> {
    let mut values: Vec<(i64, String)> = Vec::new();
    for revision in revisions.at(answer.at) {
        let Some(settings) = revision.trigger(metric) else { continue };
        for rows in &answer.rows {
            let counted = count(&revision.rules.scaler, settings, rows.iter());
            let value = i64::try_from(counted).unwrap_or(i64::MAX).saturating_mul(1000);
            if !values.iter().any(|(known, _)| *known == value) {
                values.push((value, format!("{counted} of {} rows count", rows.len())));
            }
        }
        if answer.rows.is_empty()
            && let Object::Scaled { spec, .. } = &revision.object
            && let Some(value) = fallback(spec, settings, workload)
        {
            values.push((value, "the read failed, and the fallback answers".to_owned()));
        }
    }
    values
}

/// What KEDA answers instead of a failed read (K:pkg/fallback/fallback.go).
fn fallback(spec: &Spec, settings: &AzurePipelines, workload: &Workload) -> Option<i64> {
    let fallback = spec.fallback?;
    let current = workload.spec;
    let replicas = match fallback.behavior {
        FallbackBehavior::Static => fallback.replicas,
        FallbackBehavior::CurrentReplicas => current,
        FallbackBehavior::CurrentReplicasIfHigher => fallback.replicas.max(current),
        FallbackBehavior::CurrentReplicasIfLower => fallback.replicas.min(current),
        FallbackBehavior::ScalingModifiers => return None,
    };
    let all = settings.target.saturating_mul(i64::from(replicas)).saturating_mul(1000);
    match settings.metric_type {
        MetricType::AverageValue => Some(all),
        MetricType::Value => all.checked_div(i64::from(workload.ready)),
    }
}

fn is_paused(revision: &Revision) -> bool {
    match &revision.object {
        Object::Scaled { spec, .. } => spec.policy.paused,
        Object::Job { .. } => false,
    }
}

fn view(workload: &Workload) -> View {
    View {
        spec_replicas: signed(workload.spec),
        status_replicas: signed(workload.status),
        pods: signed(workload.status),
        ready: signed(workload.ready),
    }
}

fn signed(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
