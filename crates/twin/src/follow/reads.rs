//! Who asked: a poll of KEDA's or a sync of the HPA's.
//!
//! Azure DevOps sees the same request either way. The API server's audit log says when the HPA asked, and a read
//! that falls into such a question is the one that it caused. Without it, both are known by their spacing.

use model::event::ScalerRow;
use model::{Instant, Millis};

use super::book::Book;
use super::log::{Asked, Log, Read};
use super::revisions::{Object, Revisions};

/// Between two syncs of an HPA at least (Kubernetes 1.35.4, `HorizontalPodAutoscalerSyncPeriod`).
const SYNC_PERIOD: Millis = Millis::seconds(15);
/// Reads of one poll are not further apart, if none fails: triggers are read side by side, or one right after
/// the other.
const ONE_POLL: Millis = Millis::seconds(3);
/// After a failure the same poll tries once more: a timeout, and one for the pool.
const WITH_RETRY: Millis = Millis::seconds(10);
/// By this part of the lag two programs on one machine may disagree about when a request was.
const SAME_REQUEST: u64 = 10;

/// Who asked what.
#[derive(Default)]
pub(super) struct Askers<'a> {
    pub(super) syncs: Vec<Sync<'a>>,
    pub(super) polls: Vec<Poll<'a>>,
}

/// A sync that read metrics.
pub(super) struct Sync<'a> {
    /// When it asked for the first.
    pub(super) begin: Instant,
    /// When the last was answered.
    pub(super) at: Instant,
    /// What it was told, by metric.
    pub(super) answers: Vec<Answer<'a>>,
}

/// What a sync was told about one metric.
#[derive(Default, Clone)]
pub(super) struct Answer<'a> {
    /// When.
    pub(super) at: Instant,
    /// Whether it was answered at all.
    pub(super) answered: bool,
    /// Whether a read that belongs to it failed.
    pub(super) failed: bool,
    /// The value, if the log knows it.
    pub(super) value: Option<i64>,
    /// The rows that KEDA counted for it, the likeliest first.
    pub(super) rows: Vec<&'a [ScalerRow]>,
}

/// A poll that read.
pub(super) struct Poll<'a> {
    /// When it asked first.
    pub(super) begin: Instant,
    /// When it was answered last.
    pub(super) at: Instant,
    /// What it was told, by trigger, the likeliest first: nothing for a failure, an empty list for no read.
    pub(super) answers: Vec<Vec<Option<&'a [ScalerRow]>>>,
}

/// Sorts the reads of a ScaledObject's log.
pub(super) fn by_asker<'a>(log: &Log<'a>, revisions: &Revisions, book: &mut Book) -> Askers<'a> {
    let mut askers = Askers::default();
    let mut taken = vec![Taken::No; log.reads.len()];
    if log.audited {
        for (place, asked) in log.asked.iter().enumerate() {
            let metric = metric_of(asked.metric).unwrap_or(0);
            let answer = audited(log, revisions, asked, metric, &mut taken);
            let follows = place > 0 && askers.syncs.last().is_some_and(|sync| sync.answers.len() == metric);
            if follows && metric > 0 {
                if let Some(sync) = askers.syncs.last_mut() {
                    sync.at = asked.at;
                    sync.answers.push(answer);
                }
            } else if metric == 0 {
                askers.syncs.push(Sync { begin: asked.from, at: asked.at, answers: vec![answer] });
            } else {
                book.skip(asked.at, "a metric was read whose sync is not complete in the log");
            }
        }
    } else {
        book.skip(
            log.created,
            "the log has no audit: reads are told apart by their spacing, writers by what they wrote",
        );
        if log.target.triggers.len() == 1 {
            by_spacing(log, revisions, &mut taken);
            let synced =
                log.reads.iter().zip(&taken).enumerate().filter(|(_, (_, taken))| **taken != Taken::No);
            for (place, (read, _)) in synced {
                let others = near(log, place, log.lag);
                let rows: Vec<_> = read.rows.into_iter().chain(others.filter_map(|read| read.rows)).collect();
                let answer = Answer {
                    at: read.at,
                    answered: read.rows.is_some(),
                    failed: read.rows.is_none(),
                    value: None,
                    rows,
                };
                askers.syncs.push(Sync { begin: read.from, at: read.at, answers: vec![answer] });
            }
        } else {
            book.skip(log.created, "several triggers in a log without audit: nobody can say who read what");
            return askers;
        }
    }
    askers.polls = polls(log, revisions, &taken);
    askers
}

/// Sorts the reads of a ScaledJob's log: all of them are polls.
pub(super) fn all_polls<'a>(log: &Log<'a>, revisions: &Revisions) -> Vec<Poll<'a>> {
    polls(log, revisions, &vec![Taken::No; log.reads.len()])
}

/// Whether a read is a sync's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    No,
    Yes,
}

/// The number in `s0-azure-pipelines-7`.
fn metric_of(name: &str) -> Option<usize> {
    name.strip_prefix('s')?.split('-').next()?.parse().ok()
}

/// What an HPA's question was told: the reads that fall into it.
fn audited<'a>(
    log: &Log<'a>,
    revisions: &Revisions,
    asked: &Asked<'a>,
    metric: usize,
    taken: &mut [Taken],
) -> Answer<'a> {
    let mut answer = Answer {
        at: asked.at,
        answered: asked.answered,
        failed: false,
        value: asked.value,
        rows: Vec::new(),
    };
    let pool = asked.metric.rsplit('-').next().and_then(|pool| pool.parse::<u64>().ok());
    let same_pool = |read: &Read<'_>| pool.is_none_or(|pool| pool == read.pool);
    let cached = match &revisions.in_force(asked.at).object {
        Object::Scaled { spec, .. } => spec.cached.get(metric).copied().unwrap_or(false),
        Object::Job { .. } => false,
    };
    if cached {
        let before = log.reads.iter().filter(|read| read.at <= asked.at && same_pool(read));
        answer.rows = before.rev().find_map(|read| read.rows).into_iter().collect();
        return answer;
    }
    let slack = Millis(log.lag.0 / SAME_REQUEST);
    let inside: Vec<usize> = log
        .reads
        .iter()
        .enumerate()
        .filter(|(place, read)| taken[*place] == Taken::No && same_pool(read))
        .filter(|(_, read)| asked.from <= read.from + slack && read.at <= asked.at + slack)
        .map(|(place, _)| place)
        .collect();
    answer.failed = inside.iter().any(|place| log.reads[*place].rows.is_none());
    // Of two, the HPA's is the one that ends with its question.
    let good = inside.iter().rev().copied().filter(|place| log.reads[*place].rows.is_some());
    let good: Vec<usize> = good.collect();
    for place in inside {
        if Some(&place) == good.first() || log.reads[place].rows.is_none() {
            taken[place] = Taken::Yes;
        }
    }
    answer.rows = good.into_iter().filter_map(|place| log.reads[place].rows).collect();
    answer
}

/// Tells syncs from polls by their spacing.
fn by_spacing(log: &Log<'_>, revisions: &Revisions, taken: &mut [Taken]) {
    let mut polled: Option<Instant> = None;
    let mut synced: Option<Instant> = None;
    for (place, read) in log.reads.iter().enumerate() {
        let revision = revisions.in_force(read.at);
        let at = read.from;
        let replicas = log.workload(at).map_or(0, |workload| workload.spec);
        let sync = replicas > 0 && synced.is_none_or(|before| at + log.lag >= before + SYNC_PERIOD);
        let next_poll = polled.map(|before| before + revision.polling_interval());
        let is_sync = match next_poll {
            None => false,
            // While the HPA's reads succeed, polls make none of their own.
            Some(_) if revision.observes() => sync || log.scales(at),
            Some(next_poll) if sync => {
                let poll_is_due = at + log.lag >= next_poll;
                let off_poll = apart(at, next_poll);
                let off_sync = synced.map_or(Millis::ZERO, |before| apart(at, before + SYNC_PERIOD));
                !poll_is_due || off_sync < off_poll
            }
            Some(_) => false,
        };
        if is_sync {
            synced = Some(at);
            taken[place] = Taken::Yes;
        } else {
            polled = Some(at);
        }
    }
}

fn apart(a: Instant, b: Instant) -> Millis {
    a.since(b).max(b.since(a))
}

/// Other reads of the same pool just then.
fn near<'l, 'a>(log: &'l Log<'a>, place: usize, within: Millis) -> impl Iterator<Item = &'l Read<'a>> {
    let read = log.reads[place];
    let others = log.reads.iter().enumerate().filter(move |(other, _)| *other != place);
    let same = others.map(|(_, other)| other).filter(move |other| other.pool == read.pool);
    same.filter(move |other| apart(other.at, read.at) <= within)
}

/// Puts the reads that are left together to polls.
fn polls<'a>(log: &Log<'a>, revisions: &Revisions, taken: &[Taken]) -> Vec<Poll<'a>> {
    let mut polls: Vec<Poll<'a>> = Vec::new();
    let left = log.reads.iter().enumerate().filter(|(place, _)| taken[*place] == Taken::No);
    for (place, read) in left {
        let revision = revisions.in_force(read.at);
        let number = revision.triggers().len();
        let belongs = |trigger: usize| {
            let Some(settings) = revision.trigger(trigger) else { return false };
            match settings.pool {
                keda::scaler::PoolReference::Id(id) => u64::try_from(id) == Ok(read.pool),
                // Several names are told apart by the order of their reads.
                keda::scaler::PoolReference::Name(_) => true,
            }
        };
        let mut answers: Vec<Option<&[ScalerRow]>> = vec![read.rows];
        if log.audited {
            // Syncs and polls that overlap may have been taken for each other.
            let mixed = near(log, place, log.lag).filter_map(|read| read.rows.map(Some));
            answers.extend(mixed);
        }
        let room = polls.last_mut().and_then(|poll| {
            let gap = read.from.since(poll.at);
            let fits = |answers: &Vec<Option<&[ScalerRow]>>| {
                let failed = answers.first().is_some_and(Option::is_none);
                (answers.is_empty() && gap <= ONE_POLL) || (failed && gap <= WITH_RETRY)
            };
            let trigger = (0..number)
                .find(|&trigger| belongs(trigger) && poll.answers.get(trigger).is_some_and(fits))?;
            Some((poll, trigger))
        });
        if let Some((poll, trigger)) = room {
            poll.at = read.at;
            poll.answers[trigger] = answers;
        } else {
            let mut slots = vec![Vec::new(); number];
            let trigger = (0..number).find(|&trigger| belongs(trigger)).unwrap_or(0);
            if let Some(slot) = slots.get_mut(trigger) {
                *slot = answers;
            }
            polls.push(Poll { begin: read.from, at: read.at, answers: slots });
        }
    }
    polls
}
