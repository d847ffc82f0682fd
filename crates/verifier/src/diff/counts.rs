//! Jobs, reads and agents side by side.

use std::collections::BTreeSet;

use model::event::JobResult;

use super::side::Side;
use super::{AgentsApart, JobsApart, OtherResult, ReadsApart, UNFINISHED, WaitApart};
use crate::history::{History, Job};
use crate::measurements::Distribution;

/// Reads may differ by one in so many, or by so many.
const ONE_READ_IN: u32 = 20;
const FEW_READS: u32 = 2;

fn count<T>(all: impl IntoIterator<Item = T>) -> u32 {
    u32::try_from(all.into_iter().count()).unwrap_or(u32::MAX)
}

/// Jobs by request number.
pub(super) fn jobs(sides: [&Side; 2], limit_ms: u64) -> JobsApart {
    let requests: BTreeSet<u64> = sides.iter().flat_map(|side| side.history.jobs.keys().copied()).collect();
    let mut apart = JobsApart {
        queued: sides.map(|side| count(side.history.jobs.values().filter(|job| job.queued.is_some()))),
        other_results: Vec::new(),
        worst_wait: None,
        waits_beyond_limit: 0,
    };
    let mut worst = 0;
    for request in requests {
        let jobs = sides.map(|side| side.history.jobs.get(&request));
        let results = jobs.map(result);
        if results[0] != results[1] {
            apart.other_results.push(OtherResult { request, results });
        }
        let waits_ms = jobs.map(|job| {
            let job = job?;
            Some(job.received()?.at.since(job.queued?).0)
        });
        let off = match waits_ms {
            [Some(a), Some(b)] => a.abs_diff(b),
            [None, None] => continue,
            _ => u64::MAX,
        };
        apart.waits_beyond_limit += u32::from(off > limit_ms);
        if off > worst || apart.worst_wait.is_none() {
            worst = off;
            apart.worst_wait = Some(WaitApart { request, waits_ms });
        }
    }
    apart
}

fn result(job: Option<&Job>) -> String {
    match job {
        None => "never queued".to_owned(),
        Some(job) => job.finished().map_or_else(|| UNFINISHED.to_owned(), |finish| word(finish.result)),
    }
}

fn word(result: JobResult) -> String {
    format!("{result:?}")
}

/// KEDA's reads.
pub(super) fn reads(sides: [&Side; 2]) -> ReadsApart {
    let reads = sides.map(|side| count(side.beats.iter().filter(|beat| **beat <= side.until)));
    let spacing = |side: &Side| {
        let pairs = side.beats.windows(2);
        let apart = pairs.filter_map(|pair| Some(pair.last()?.since(*pair.first()?).0));
        Distribution::of(apart.collect()).map(|spacing| spacing.p50_ms)
    };
    let allowed = (reads[0].max(reads[1]) / ONE_READ_IN).max(FEW_READS);
    ReadsApart {
        reads,
        failed: sides.map(|side| count(side.history.reads.iter().filter(|read| !read.succeeded()))),
        spacing_ms: sides.map(spacing),
        first_ms: sides.map(|side| side.beat_after(model::Instant::START).map(|beat| beat.0)),
        alike: reads[0].abs_diff(reads[1]) <= allowed,
    }
}

/// Agents that came and went.
pub(super) fn agents(sides: [&Side; 2]) -> AgentsApart {
    let workers = |history: &History, of: fn(&crate::history::Agent) -> usize| {
        let agents = history.agents.values().filter(|agent| !agent.placeholder);
        u32::try_from(agents.map(of).sum::<usize>()).unwrap_or(u32::MAX)
    };
    AgentsApart {
        registered: sides.map(|side| workers(&side.history, |agent| agent.registered.len())),
        removed: sides.map(|side| workers(&side.history, |agent| agent.removed.len())),
    }
}
