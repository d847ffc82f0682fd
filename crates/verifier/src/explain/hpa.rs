//! Steps that the HPA takes: what each sync proposed, and what its window and limits made of it.

use model::{Instant, Millis};
use serde_json::Value;

use super::case::{Case, Era, Reader};
use super::keda::{Reason, ago};
use crate::count::CountRule;
use crate::history::{Change, HpaRead, Read};
use crate::hpa::SYNC_PERIOD;
use crate::words::{counted, span};

/// A sync follows the one before by its period and what it takes itself.
const SYNC_DURATION: Millis = Millis::seconds(1);

/// So far off may the edge of a policy's period be told.
const EDGE: Millis = Millis::seconds(1);

/// A sync asks for all of its metrics within this.
const ONE_SYNC: Millis = Millis::seconds(5);

/// What a sync wanted before its window and its limits.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    /// When the metric was read.
    pub(super) at: Instant,
    /// What it was for, such as `4 jobs`.
    words: String,
    /// What it most likely was; and the least and the most, since status lags behind spec.
    pub(super) likely: u32,
    low: u32,
    high: u32,
    /// How often the controllers had started anew: what was proposed before is forgotten.
    life: u32,
}

/// Every sync's proposal, or why they cannot be told.
pub(super) fn proposals(case: &Case<'_>) -> Result<Vec<Proposal>, String> {
    for trigger in case.eras.iter().flat_map(|era| &era.triggers) {
        if trigger.rule.is_none() {
            return Err(format!("the log does not have the values of a trigger of type {}", trigger.kind));
        }
        if trigger.is_value {
            return Err("metricType Value depends on which pods are ready at each sync".to_owned());
        }
    }
    let mut proposals: Vec<Proposal> = Vec::new();
    let mut restarts = case.history.faults.iter().filter(|fault| fault.restarts_controllers()).peekable();
    let (mut first, mut life) = (true, 0);
    for (at, proposal) in synced(case) {
        while restarts.next_if(|restart| restart.from <= at).is_some() {
            // Its history was in memory only.
            (first, life) = (true, life + 1);
        }
        if std::mem::take(&mut first) {
            // kubernetes pkg/controller/podautoscaler/horizontal.go, `recordInitialRecommendation`.
            let found = case.replicas_at(at);
            let words = "the replicas that the HPA found at first".to_owned();
            proposals.push(Proposal { at, words, likely: found, low: found, high: found, life });
        }
        proposals.extend(proposal.map(|proposal| Proposal { life, ..proposal }));
    }
    Ok(proposals)
}

/// Every sync that read the metric, and what it proposed: by the HPA's own requests where the log has them,
/// else by the reads that they caused.
fn synced(case: &Case<'_>) -> Vec<(Instant, Option<Proposal>)> {
    if case.history.hpa_reads.is_empty() {
        let reads = case.reads.iter().filter(|(_, reader)| *reader == Reader::Hpa);
        return reads.map(|(read, _)| (read.at, read_proposal(case, read))).collect();
    }
    let mut syncs: Vec<Vec<&HpaRead>> = Vec::new();
    for read in &case.history.hpa_reads {
        let era = case.era(read.at);
        if read.at > case.until || !era.triggers.iter().any(|trigger| trigger.metric == read.metric) {
            continue;
        }
        let last = syncs.last_mut().filter(|sync| {
            sync.iter().all(|other| other.metric != read.metric && read.at.since(other.at) < ONE_SYNC)
        });
        match last {
            Some(sync) => sync.push(read),
            None => syncs.push(vec![read]),
        }
    }
    syncs.iter().filter_map(|sync| Some((sync.last()?.at, asked_proposal(case, sync)))).collect()
}

/// What a read of the queue leads to; none for one that failed.
fn read_proposal(case: &Case<'_>, read: &Read) -> Option<Proposal> {
    let era = case.era(read.at);
    if !read.succeeded() {
        return fallback(era, read);
    }
    let rules = era.triggers.iter().filter_map(|trigger| trigger.rule.as_ref());
    Some(proposal(case, read.at, rules.map(|rule| (rule, rule.count(&read.rows)))))
}

/// What the metrics of a sync lead to; none if one of them failed.
fn asked_proposal(case: &Case<'_>, sync: &[&HpaRead]) -> Option<Proposal> {
    let at = sync.last()?.at;
    let mut counts = Vec::new();
    for read in sync {
        let milli = read.value_milli.filter(|_| (200..300).contains(&read.status))?;
        let trigger = case.era(at).triggers.iter().find(|trigger| trigger.metric == read.metric)?;
        counts.push((trigger.rule.as_ref()?, u64::try_from(milli).unwrap_or_default() / 1000));
    }
    Some(proposal(case, at, counts.into_iter()))
}

fn proposal<'r>(
    case: &Case<'_>,
    at: Instant,
    counts: impl Iterator<Item = (&'r CountRule, u64)>,
) -> Proposal {
    let hpa = &case.era(at).hpa;
    let (from, to) = (at - case.slack, at + case.slack);
    let mut proposal = Proposal { at, words: String::new(), likely: 0, low: 0, high: 0, life: 0 };
    for (rule, count) in counts {
        let per_replica = rule.target.max(1);
        let exact = u32::try_from(count.div_ceil(per_replica)).unwrap_or(u32::MAX);
        let now = case.status.at(at).unwrap_or_else(|| case.replicas_at(at));
        let likely = if hpa.tolerates(count, per_replica, now) { now } else { exact };
        let existing = case.replicas.values(from, to).chain(case.status.values(from, to));
        let kept = existing.filter(|replicas| hpa.tolerates(count, per_replica, *replicas));
        let (low, high) = kept.fold((exact, exact), |(low, high), kept| (low.min(kept), high.max(kept)));
        if likely >= proposal.likely {
            proposal.likely = likely;
            proposal.words = match (per_replica, likely == exact) {
                (1, true) => counted(count, "job"),
                (per_replica, true) => format!("{}, {per_replica} for each replica", counted(count, "job")),
                (_, false) => format!("{}, within a tenth of what is there", counted(count, "job")),
            };
        }
        proposal.low = proposal.low.max(low);
        proposal.high = proposal.high.max(high);
    }
    proposal
}

/// A failed read that KEDA may answer for (kedacore/keda pkg/fallback/fallback.go).
fn fallback(era: &Era<'_>, read: &Read) -> Option<Proposal> {
    let replicas = era.spec("/fallback/replicas").and_then(Value::as_u64)?;
    let replicas = u32::try_from(replicas).unwrap_or(u32::MAX);
    let words = "KEDA's fallback while reads fail".to_owned();
    Some(Proposal { at: read.at, words, likely: replicas, low: replicas, high: replicas, life: 0 })
}

/// What was proposed up to an instant since the controllers started.
fn remembered(proposals: &[Proposal], at: Instant) -> &[Proposal] {
    let known = proposals.get(..proposals.partition_point(|one| one.at <= at)).unwrap_or_default();
    let life = known.last().map_or(0, |last| last.life);
    known.get(known.partition_point(|one| one.life < life)..).unwrap_or_default()
}

/// What the window makes of the proposals up to a sync.
struct Stabilised<'p> {
    now: &'p Proposal,
    /// The highest in the window, the sync's own included.
    highest: &'p Proposal,
    /// The least and the most that the highest may have been.
    low: u32,
    high: u32,
    /// The lowest in the window for raises, the sync's own included.
    lowest: &'p Proposal,
}

impl<'p> Stabilised<'p> {
    fn of(case: &Case<'_>, proposals: &'p [Proposal], at: Instant) -> Option<Self> {
        let known = remembered(proposals, at);
        let now = known.last()?;
        let window = case.era(at).window();
        let inside = |slack: Millis| {
            let from = (now.at - window) + slack;
            known.iter().filter(move |proposal| proposal.at >= from || std::ptr::eq(*proposal, now))
        };
        let raises = now.at - case.era(at).hpa.raise_window();
        let recent = known.iter().filter(|proposal| proposal.at > raises || std::ptr::eq(*proposal, now));
        let around = case.slack;
        let from = (now.at - window) - around;
        let possibly = known.iter().filter(|proposal| proposal.at >= from);
        Some(Self {
            now,
            highest: inside(Millis::ZERO).max_by_key(|proposal| (proposal.likely, proposal.at))?,
            low: inside(around).map(|proposal| proposal.low).max()?,
            high: possibly.map(|proposal| proposal.high).max()?,
            lowest: recent.min_by_key(|proposal| proposal.likely)?,
        })
    }
}

/// Why the HPA changed the replicas.
pub(super) fn step(case: &Case<'_>, proposals: &Result<Vec<Proposal>, String>, change: Change) -> Reason {
    let era = case.era(change.at);
    let max = era.scale.max.max(era.floor());
    if change.from > max && change.to == max {
        return Ok(format!("HPA: {} is above maxReplicaCount {max}, lowered at once", change.from));
    }
    if change.from < era.floor() && change.to == era.floor() {
        return Ok(format!("HPA: {} is below its minimum {}, raised at once", change.from, era.floor()));
    }
    let proposals = proposals.as_ref().map_err(Clone::clone)?;
    let stabilised = Stabilised::of(case, proposals, change.at);
    let stabilised = stabilised.ok_or("the log has no read by the HPA before it")?;
    let age = change.at.since(stabilised.now.at);
    if age > SYNC_PERIOD + SYNC_DURATION + case.slack {
        return Err(format!("the HPA's last good read was {}", ago(stabilised.now.at, change.at)));
    }
    if change.to > change.from {
        raise(case, &stabilised, change)
    } else {
        lower(case, proposals, &stabilised, change)
    }
}

fn raise(case: &Case<'_>, stabilised: &Stabilised<'_>, change: Change) -> Reason {
    let era = case.era(change.at);
    if era.hpa.never_raises() {
        return Err("scaleUp is disabled in the HPA's behavior".to_owned());
    }
    let pulls_up = era.hpa.window_pulls_up();
    let (wanted, low, high) = if pulls_up {
        (stabilised.highest, stabilised.low, stabilised.high)
    } else {
        (stabilised.lowest, stabilised.lowest.low, stabilised.now.high)
    };
    let limit = growth_limit(case, change);
    let max = era.scale.max.max(era.floor());
    let bounded = |wanted: u32| wanted.max(era.floor()).min(limit).min(max);
    if change.to < bounded(low) || change.to > bounded(high) {
        return Err(format!(
            "the HPA's rules lead from {} to {} in the sync at {}: {} wanted for {}, growth limit {}, maxReplicaCount {max}",
            change.from,
            bounded(wanted.likely),
            stabilised.now.at,
            wanted.likely,
            wanted.words,
            era.hpa.growth_words(change.from, limit)
        ));
    }
    let mut text = format!("HPA: {} wanted for {}", wanted.likely, wanted.words);
    if pulls_up && stabilised.highest.likely > stabilised.now.likely {
        text = format!(
            "HPA: {} wanted for {}, but {} at {}, and without behavior the highest of the last {} counts",
            stabilised.now.likely,
            stabilised.now.words,
            wanted.likely,
            wanted.at,
            span(era.window())
        );
    }
    if change.to == limit && limit < wanted.likely {
        text.push_str(&format!(", growth limit {}", era.hpa.growth_words(change.from, limit)));
    } else if change.to == max && max < wanted.likely {
        text.push_str(&format!(", maxReplicaCount {max}"));
    } else if change.to == era.floor() && era.floor() > wanted.likely {
        text.push_str(&format!(", minimum {}", era.floor()));
    }
    Ok(text)
}

/// How far a sync grows. What is just as old as a policy's period may count or not.
fn growth_limit(case: &Case<'_>, change: Change) -> u32 {
    let hpa = &case.era(change.at).hpa;
    let exact = hpa.growth_limit(change.from, |period| moved_within(case, change, period));
    let later = hpa.growth_limit(change.from, |period| moved_within(case, change, period + EDGE));
    let sooner = hpa.growth_limit(change.from, |period| moved_within(case, change, period - EDGE));
    [later, sooner].into_iter().find(|limit| *limit == change.to).unwrap_or(exact)
}

/// How many replicas the HPA added and took away in a period before a raise, as far as it remembers: a step that
/// is older than all policies of its direction gives its place to the next (kubernetes
/// pkg/controller/podautoscaler/horizontal.go, `storeScaleEvent`).
fn moved_within(case: &Case<'_>, change: Change, period: Millis) -> (u32, u32) {
    let hpa = &case.era(change.at).hpa;
    let moved = |raises: bool| {
        let longest = hpa.longest_period(raises);
        let own = |step: &Change| step.from > 0 && step.to > 0 && (step.to > step.from) == raises;
        let mut remembered: Vec<(Instant, u32)> = Vec::new();
        for step in case.changes().take_while(|step| step.at < change.at).filter(own) {
            let event = (step.at, step.to.abs_diff(step.from));
            match remembered.iter_mut().rfind(|(at, _)| step.at.since(*at) > longest) {
                Some(outdated) => *outdated = event,
                None => remembered.push(event),
            }
        }
        let recent = remembered.iter().filter(|(at, _)| *at > change.at - period);
        recent.fold(0_u32, |sum, (_, moved)| sum.saturating_add(*moved))
    };
    (moved(true), moved(false))
}

fn lower(case: &Case<'_>, proposals: &[Proposal], stabilised: &Stabilised<'_>, change: Change) -> Reason {
    let era = case.era(change.at);
    if era.hpa.never_lowers() {
        return Err("scaleDown is disabled in the HPA's behavior".to_owned());
    }
    let max = era.scale.max.max(era.floor());
    let bounded = |wanted: u32| wanted.clamp(era.floor(), max);
    let highest = stabilised.highest;
    let window = era.window();
    let held = remembered(proposals, stabilised.now.at)
        .iter()
        .rfind(|proposal| proposal.at <= stabilised.now.at && proposal.likely >= change.from);
    let held = held.filter(|held| held.at + window + case.slack > change.since);
    let until = held.map_or_else(
        || format!("HPA: nothing in its window of {}s wants {}", era.scale.stabilization_s, change.from),
        |held| {
            format!(
                "HPA: window of {}s held {} until {} (wanted last at {} for {})",
                era.scale.stabilization_s,
                change.from,
                held.at + window,
                held.at,
                held.words
            )
        },
    );
    let minimum =
        if highest.likely < era.floor() { format!(", minimum {}", era.floor()) } else { String::new() };
    let since = format!("the most wanted within it is now {} for {}{minimum}", highest.likely, highest.words);
    if change.to < bounded(stabilised.low)
        || (change.to > bounded(stabilised.high) && era.hpa.lowers_at_once())
    {
        return Err(format!(
            "the HPA's rules lead from {} to {} in the sync at {}: {since}",
            change.from,
            bounded(highest.likely),
            stabilised.now.at
        ));
    }
    Ok(if era.hpa.lowers_at_once() {
        format!("{until}; {since}")
    } else {
        format!("{until}; {since}, by its scaleDown policies")
    })
}

/// What holds the replicas at an instant, in a sentence.
pub(super) fn holding(case: &Case<'_>, proposals: &[Proposal], at: Instant) -> Option<String> {
    let era = case.era(at);
    let replicas = case.replicas_at(at);
    let known = remembered(proposals, at);
    let now = known.last()?;
    if replicas <= era.floor() {
        return Some(format!("the HPA's last sync, at {}, wanted {} for {}", now.at, now.likely, now.words));
    }
    let held = known.iter().rfind(|proposal| proposal.likely >= replicas)?;
    Some(format!(
        "the HPA's last sync, at {}, wanted {} for {}; its window of {}s holds {replicas} until {} (wanted last at {} for {})",
        now.at,
        now.likely,
        now.words,
        era.scale.stabilization_s,
        held.at + era.window(),
        held.at,
        held.words
    ))
}
