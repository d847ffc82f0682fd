//! The measurements of a run, and its counts over time.

use std::collections::BTreeMap;

use model::event::JobResult;
use model::{Instant, Millis};

use crate::history::{Change, History, Steps};
use crate::measurements::{
    AgentTime, ClockQuality, Distribution, JobCounts, Measurements, Peak, PodTime, ScalerReads,
};
use crate::rules::{SLOW_ANSWER, Tracking, back_at_minimum, mean_lateness, peak, picked_pods};
use crate::series::Series;
use crate::stages;

/// Measures a run.
pub(crate) fn measure(history: &History) -> (Measurements, Series) {
    let series = series(history);
    let peak = peak(history).map(|(replicas, at)| Peak { replicas, at });
    let measurements = Measurements {
        jobs: jobs(history),
        peak,
        back_to_min_ms: back_at_minimum(history).map(|(ended, back)| back.since(ended).0),
        queue_wait: Distribution::of(received_waits(history)),
        stages: stages::stages(history),
        agents: agents(history),
        pods: pods(history),
        scaler: scaler(history),
        clock: clock(history),
        refused_requests: refused_requests(history),
    };
    (measurements, series)
}

fn count<T>(all: impl IntoIterator<Item = T>) -> u32 {
    u32::try_from(all.into_iter().count()).unwrap_or(u32::MAX)
}

fn jobs(history: &History) -> JobCounts {
    let jobs = || history.jobs.values().filter(|job| job.queued.is_some());
    let ended = |wanted: fn(JobResult) -> bool| {
        count(jobs().filter(|job| job.finished().is_some_and(|finish| wanted(finish.result))))
    };
    let well = |result| matches!(result, JobResult::Succeeded | JobResult::SucceededWithIssues);
    JobCounts {
        builds: history.builds,
        builds_refused: count(&history.refused),
        queued: count(jobs()),
        received: count(jobs().filter(|job| job.received().is_some())),
        succeeded: ended(well),
        unsuccessful: ended(|result| {
            !matches!(result, JobResult::Succeeded | JobResult::SucceededWithIssues)
        }),
        abandoned: ended(|result| result == JobResult::Abandoned),
        unfinished: count(jobs().filter(|job| job.finished().is_none())),
        requeued: count(jobs().flat_map(|job| &job.requeues)),
    }
}

fn received_waits(history: &History) -> Vec<u64> {
    let jobs = history.jobs.values();
    jobs.filter_map(|job| Some(job.received()?.at.since(job.queued?).0)).collect()
}

/// Agents that hold a job, over time. An agent with two jobs counts twice; one whose pod is gone works no more,
/// though the service keeps its job locked for a while.
fn busy(history: &History) -> Steps {
    let holds = history.holds();
    let spans = holds.iter().filter_map(|hold| {
        let received = hold.received?;
        let gone = history.pod_of(hold.agent, received).and_then(|pod| pod.gone);
        Some((received, [hold.until, gone].into_iter().flatten().min()))
    });
    Steps::counting(deltas(spans))
}

/// Agents with a session, over time. One whose pod is gone is not there, though its session lives on for a while.
fn online(history: &History) -> Steps {
    let workers = history.agents.iter().filter(|(_, agent)| !agent.placeholder);
    let spans = workers.flat_map(|(id, agent)| {
        let there = agent.presence.plateaus(history.end).filter(|plateau| plateau.value > 0);
        there.map(|plateau| {
            let gone = history.pod_of(*id, plateau.from).and_then(|pod| pod.gone).unwrap_or(plateau.until);
            (plateau.from, Some(plateau.until.min(gone)))
        })
    });
    Steps::counting(deltas(spans))
}

fn waiting(history: &History) -> Steps {
    let jobs = history.jobs.values();
    let spans = jobs.filter_map(|job| {
        let over = [job.received().map(|taken| taken.at), job.finished().map(|finish| finish.at)];
        Some((job.queued?, over.into_iter().flatten().min()))
    });
    Steps::counting(deltas(spans))
}

fn in_back_off(history: &History) -> Steps {
    let spans = history.pods.iter().flat_map(|pod| pod.back_offs(history.end));
    Steps::counting(deltas(spans.map(|(from, to)| (from, Some(to)))))
}

fn deltas(spans: impl Iterator<Item = (Instant, Option<Instant>)>) -> Vec<(Instant, i64)> {
    spans.flat_map(|(from, to)| [Some((from, 1)), to.map(|to| (to.max(from), -1))]).flatten().collect()
}

fn agents(history: &History) -> AgentTime {
    let workers =
        || history.agents.values().filter(|agent| !agent.placeholder && !agent.registered.is_empty());
    let picked = picked_pods(history);
    let names = |killed: bool| -> Vec<String> {
        let mut names: Vec<String> = picked
            .iter()
            .filter(|one| !killed || one.killed.is_some())
            .map(|one| one.pod.name.clone())
            .collect();
        names.dedup();
        names
    };
    let (start, end) = (Instant::START, history.end);
    let busy_minutes = busy(history).minutes(start, end);
    AgentTime {
        registered: count(workers()),
        removed: count(workers().filter(|agent| !agent.is_registered())),
        busy_minutes: rounded(busy_minutes),
        idle_minutes: rounded((online(history).minutes(start, end) - busy_minutes).max(0.0)),
        busy_pods_picked: names(false),
        busy_pods_killed: names(true),
    }
}

fn pods(history: &History) -> PodTime {
    let until = history.judged_until();
    PodTime {
        replica_minutes: rounded(history.replicas().minutes(Instant::START, until)),
        surplus_minutes: rounded(surplus(history).minutes(Instant::START, until)),
        back_off_minutes: rounded(in_back_off(history).minutes(Instant::START, history.end)),
    }
}

/// Replicas beyond the minimum and the unfinished jobs, over time.
fn surplus(history: &History) -> Steps {
    let jobs = history.jobs.values();
    let unfinished = Steps::counting(deltas(
        jobs.filter_map(|job| Some((job.queued?, job.finished().map(|finish| finish.at)))),
    ));
    let replicas = history.replicas();
    let minimum = history.minimum();
    let mut instants: Vec<Instant> =
        replicas.points().iter().chain(unfinished.points()).map(|point| point.at).collect();
    instants.sort_unstable();
    let mut surplus = Steps::default();
    for at in instants {
        let needed = unfinished.at(at).unwrap_or_default().max(minimum);
        surplus.set(at, replicas.at(at).unwrap_or_default().saturating_sub(needed));
    }
    surplus
}

fn scaler(history: &History) -> ScalerReads {
    let spacing = history.reads.windows(2).filter_map(|pair| match pair {
        [before, after] => Some(after.at.since(before.at).0),
        _ => None,
    });
    ScalerReads {
        count: count(&history.reads),
        failed: count(history.reads.iter().filter(|read| !read.succeeded())),
        spacing: Distribution::of(spacing.collect()),
        latency: Distribution::of(history.reads.iter().map(|read| read.latency.0).collect()),
    }
}

fn clock(history: &History) -> ClockQuality {
    let sum = |of: fn(&crate::history::ClockSample) -> u32| {
        history.clock.iter().fold(0_u32, |sum, sample| sum.saturating_add(of(sample)))
    };
    ClockQuality {
        ticks: sum(|sample| sample.ticks),
        late_ms_mean: mean_lateness(history).0,
        late_ms_max: history.clock.iter().map(|sample| sample.late_ms_max).max().unwrap_or_default(),
        late_ticks: sum(|sample| sample.late_ticks),
        slow_answers: count(history.reads.iter().filter(|read| read.latency > SLOW_ANSWER)),
        disorder_ms: history.disorder.0,
    }
}

fn refused_requests(history: &History) -> BTreeMap<String, u32> {
    let mut refused = BTreeMap::new();
    for request in &history.requests {
        *refused.entry(format!("{} {}", request.what, request.status)).or_insert(0_u32) += 1;
    }
    refused
}

fn series(history: &History) -> Series {
    let ready = Steps::sum(history.workloads.values().map(|workload| &workload.ready));
    let points = |steps: Steps| steps.points().to_vec();
    Series {
        end: history.end,
        waiting: points(waiting(history)),
        replicas: points(history.replicas()),
        ready: points(ready),
        busy: points(busy(history)),
        online: points(online(history)),
        back_off: points(in_back_off(history)),
        wanted: points(wanted(history)),
    }
}

fn wanted(history: &History) -> Steps {
    let targets = history.targets.values().filter_map(|target| Tracking::of(history, target).ok());
    let all: Vec<Steps> = targets
        .map(|eras| {
            let mut steps = Steps::default();
            for tracking in &eras {
                for seen in tracking.seen.iter().filter(|seen| seen.good && seen.at >= tracking.from) {
                    let least = if seen.active { tracking.floor() } else { tracking.scale.min };
                    steps.set(seen.at, if seen.active { seen.high.max(least) } else { least });
                }
            }
            steps
        })
        .collect();
    Steps::sum(&all)
}

/// Minutes to the second decimal, so that reports stay readable.
fn rounded(minutes: f64) -> f64 {
    // Plus zero, because the sum of nothing is minus zero.
    (minutes * 100.0).round() / 100.0 + 0.0
}

/// The last change before or at an instant, not before another.
pub(crate) fn last_raise(replicas: &Steps, from: Instant, to: Instant) -> Option<Change> {
    replicas.changes().filter(|change| change.to > change.from && change.at >= from && change.at <= to).last()
}

/// A watch may tell of a pod before it tells of the replicas that it was made for.
pub(crate) const WATCH_SKEW: Millis = Millis::seconds(1);
