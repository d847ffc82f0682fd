//! How fast the twin is: events a second with few and many agents, a week of jobs, a burst, a sweep over seeds,
//! and how its cost grows with the number of jobs.
//!
//! `cargo bench -p poolproof-twin`. Every line `twin/...` of this file's own says what it is held against. `benches/peers`
//! has the same scenario in SimPy.

#[path = "../crates/twin/tests/random/case.rs"]
mod case;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use case::Case;
use clock::wall::Stopwatch;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use model::stream::{below, stream};
use semver::Version;
use twin::{Ended, Limits};

const KEDA: Version = Version::new(2, 21, 0);
const SAMPLES: usize = 10;
/// An organisation takes no more agents (`azure_devops::limits`).
const MOST_AGENTS: u32 = 20_000;
const SHORT: Duration = Duration::from_secs(2);

/// Whether the command line asks for this: what is prepared for nobody takes minutes.
fn asked(name: &str) -> bool {
    let filters: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    filters.is_empty() || filters.iter().any(|filter| name.contains(filter) || filter.contains(name))
}

const KINDS: [(&str, Kind); 2] = [("Deployment", Kind::Object), ("Jobs", Kind::Job)];

/// Agents that have nothing to do stay: the HPA lets them for an hour, KEDA for ten days.
const STAYING: &str = "  cooldownPeriod: 864000
  advanced: { horizontalPodAutoscalerConfig: { behavior: { scaleDown: { stabilizationWindowSeconds: 3600 } } } }\n";

/// What KEDA scales.
#[derive(Clone, Copy)]
enum Kind {
    /// A Deployment, whose agents stay for the next job.
    Object,
    /// Kubernetes Jobs, one for each job.
    Job,
}

fn run(case: &Case, seed: u64) -> Ended {
    case.run(seed, false, Limits::default()).expect("a run that ends")
}

/// A case with this load, in which at most so many agents run.
fn case(kind: Kind, load: &str, until: &str, most: u32) -> Case {
    case_with(kind, load, until, most, STAYING)
}

/// The same with a behavior of the HPA.
fn case_with(kind: Kind, load: &str, until: &str, most: u32, behavior: &str) -> Case {
    let scenario = format!(
        "\
name: measured
about: Measured.
organization:
  pools: [{{ name: keda-pool, id: 18, agents: [{{ name: placeholder }}] }}]
manifests: [agents.yml]
substitute:
  https://dev.azure.com/your-organization: organization_url
  personal access token, base64: personal_access_token_base64
cluster: {{ nodes: {}, pods_per_node: 500, image_pull: 5s }}
agents: {{ start_up: 8s..20s }}
load: [{load}]
{until}
",
        most.div_ceil(400).max(2)
    );
    Case::read(&scenario, &manifest(kind, most, behavior), KEDA).expect("a good scenario")
}

fn manifest(kind: Kind, most: u32, behavior: &str) -> String {
    let secret = "\
apiVersion: v1
kind: Secret
metadata: { name: azdevops }
data: { AZP_TOKEN: \"personal access token, base64\" }
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: { name: pipelines }
spec:
  secretTargetRef: [{ parameter: personalAccessToken, name: azdevops, key: AZP_TOKEN }]
---
";
    let pod = |arguments: &str| {
        format!(
            "\
containers: [{{ name: agent, image: agent, {arguments} env: [\
{{ name: AZP_URL, value: \"https://dev.azure.com/your-organization\" }}, \
{{ name: AZP_POOL, value: keda-pool }}, \
{{ name: AZP_TOKEN, valueFrom: {{ secretKeyRef: {{ name: azdevops, key: AZP_TOKEN }} }} }}] }}]"
        )
    };
    // Otherwise KEDA reads 200 rows at most, and asks for no more agents.
    let trigger = "  triggers:
    - type: azure-pipelines
      metadata: { organizationURLFromEnv: AZP_URL, poolID: \"18\", fetchUnfinishedJobsOnly: \"true\" }
      authenticationRef: { name: pipelines }
";
    let mut text = secret.to_owned();
    let _ = match kind {
        Kind::Object => write!(
            text,
            "\
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: agents }}
spec:
  replicas: 0
  selector: {{ matchLabels: {{ app: agents }} }}
  template:
    metadata: {{ labels: {{ app: agents }}, annotations: {{ poolproof/start-script: run }} }}
    spec: {{ {} }}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{ name: agents }}
spec:
  scaleTargetRef: {{ name: agents }}
  minReplicaCount: 0
  maxReplicaCount: {most}
{behavior}{trigger}",
            pod("")
        ),
        Kind::Job => write!(
            text,
            "\
apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata: {{ name: agents }}
spec:
  maxReplicaCount: {most}
  jobTargetRef: {{ backoffLimit: 0, template: {{ metadata: {{ labels: {{ app: agents }} }}, spec: {{ restartPolicy: Never, {} }} }} }}
{trigger}",
            pod("args: [\"--once\"],")
        ),
    };
    text
}

/// Every agent that waits has two things pending: its poll or the next one, and the one that shows that it lives.
const PENDING_PER_AGENT: u32 = 2;
/// Of a bare heap's events a second, in percent.
const PENDING_TARGET: f64 = 20.0;
const WEEK_TARGET: Duration = Duration::from_secs(1);
const BURST_TARGET: Duration = Duration::from_millis(5);
const SWEEP_TARGET: Duration = Duration::from_secs(5);
const GROWTH_TARGET: f64 = 1.1;
/// How many times as fast as SimPy.
const PEER_TARGET: u32 = 30;
/// How long the agents' one job takes, in minutes: longer than it takes to create them all.
const ONLY_JOB: u64 = 30;
/// How long all agents are watched waiting, in minutes; the HPA lets them for an hour.
const WATCHED: u64 = 20;

/// Runs in which so many agents have come, each for one job, and wait for ever longer.
fn waiting(agents: u32, minutes: u64) -> Case {
    let load = format!("{{ at: 10s, builds: {agents}, duration: {ONLY_JOB}m }}");
    case(Kind::Object, &load, &format!("until: {minutes}m\nat_most: {minutes}m"), agents)
}

/// Agents that wait, for a while.
struct Waiting {
    /// Polls that ran out and were made again.
    polls: u64,
    /// Events of the queue: each poll's end and the next poll, and whatever else goes on meanwhile.
    events: u64,
    took: Duration,
}

/// So many agents' polls run out and are made again: a run that ends when all wait is taken from one that goes on.
fn polls(agents: u32) -> Waiting {
    // The controllers create 20 pods a second.
    let all_wait = ONLY_JOB + 10 + u64::from(agents) / 20 / 60;
    let (until, from) = (waiting(agents, all_wait + WATCHED), waiting(agents, all_wait));
    let (earlier, later) = (run(&from, 1).statistics, run(&until, 1).statistics);
    // The last tenth is within the HPA's tolerance.
    assert!(earlier.peak >= agents * 9 / 10, "{} of {agents}", earlier.peak);
    let polls = later.calls - earlier.calls;
    // Two in 140 s, the one every 60 s and the other every 80 s: all of them are still there.
    let expected = u64::from(earlier.peak) * WATCHED * (60 + 80) / 80;
    assert!(polls.abs_diff(expected) * 10 < expected, "{polls} polls, not about {expected}");
    Waiting { polls, events: later.events - earlier.events, took: best(&until).saturating_sub(best(&from)) }
}

/// The hold model: the next event is taken out of a heap and put in again somewhat later, `events` times.
fn hold(pending: u32, events: u64) -> Duration {
    let mut random = stream(1, "hold");
    let mut heap: BinaryHeap<Reverse<(u64, u64)>> =
        (0..pending.into()).map(|number| Reverse((below(&mut random, 50_000), number))).collect();
    let watch = Stopwatch::start();
    for number in 0..events {
        if let Some(Reverse((at, _))) = heap.pop() {
            heap.push(Reverse((at + below(&mut random, 50_000), number)));
        }
    }
    let held = watch.elapsed();
    black_box(heap.len());
    held
}

/// Events of a queue while polls run out and are made again, beside a heap's events with as much pending.
#[expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a ratio, for which criterion has no place"
)]
fn pending(_: &mut Criterion) {
    if !asked("twin/pending") {
        return;
    }
    for pending in [100, 1_000, 10_000, PENDING_PER_AGENT * MOST_AGENTS] {
        let Waiting { polls, events, took } = polls(pending / PENDING_PER_AGENT);
        let heap = (0..3).map(|_| hold(pending, events)).min().unwrap_or_default();
        let a_second = |number: u64, took: Duration| number as f64 / took.as_secs_f64() / 1e6;
        let share = 100.0 * heap.as_secs_f64() / took.as_secs_f64();
        println!(
            "twin/pending/{pending}: {:.2} million events of the queue a second, {share:.0} % of a bare heap's {:.1} million (target: {PENDING_TARGET} %); {:.2} million polls a second",
            a_second(events, took),
            a_second(events, heap),
            a_second(polls, took)
        );
    }
}

/// So many jobs of half a minute, one every six seconds.
fn steady(kind: Kind, jobs: u32) -> Case {
    let load = format!("{{ at: 1m, every: 6s, times: {jobs}, builds: 1, duration: 30s }}");
    case(kind, &load, "until: settled\nat_most: 192h", 30)
}

/// A week of 100,000 jobs, and 500 jobs in an hour.
fn loads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("twin/load");
    group.sample_size(SAMPLES).measurement_time(SHORT).warm_up_time(Duration::from_millis(1));
    for (name, kind) in KINDS {
        if asked(&format!("twin/load/week/{name}")) {
            let week = steady(kind, 100_000);
            assert_eq!(run(&week, 1).statistics.finished, 100_000);
            group.bench_function(BenchmarkId::new("week", name), |bencher| {
                bencher.iter(|| black_box(run(&week, 1)));
            });
            tell(&format!("load/week/{name}"), best(&week), WEEK_TARGET);
        }
        if asked(&format!("twin/load/burst/{name}")) {
            let burst = case(kind, "{ at: 1m, builds: 500, duration: 5m }", "until: 1h\nat_most: 1h", 100);
            assert_eq!(run(&burst, 1).statistics.finished, 500);
            group.bench_function(BenchmarkId::new("burst", name), |bencher| {
                bencher.iter(|| black_box(run(&burst, 1)));
            });
            tell(&format!("load/burst/{name}"), best(&burst), BURST_TARGET);
        }
    }
    group.finish();
}

fn article() -> Case {
    let file = |name: &str| {
        let path = format!("{}/../../scenarios/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).expect("a file of the article")
    };
    let manifests = format!("{}\n---\n{}", file("article/deployment.yml"), file("article/scale-object.yml"));
    Case::read(&file("article.yaml"), &manifests, KEDA).expect("the article")
}

/// All seeds up to this, on two threads.
fn sweep(case: &Case, seeds: u64) -> u64 {
    let (next, events) = (AtomicU64::new(1), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > seeds {
                        return;
                    }
                    let ended = case.run(seed, true, Limits::default()).expect("a run that ends");
                    events.fetch_add(ended.events.len() as u64, Ordering::Relaxed);
                }
            });
        }
    });
    events.into_inner()
}

fn seeds(criterion: &mut Criterion) {
    if !asked("twin/sweep") {
        return;
    }
    let mut group = criterion.benchmark_group("twin/sweep");
    group.sample_size(SAMPLES).measurement_time(SHORT).warm_up_time(Duration::from_millis(1));
    let article = article();
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("1,000 seeds of the article", |bencher| {
        bencher.iter(|| black_box(sweep(&article, 1_000)));
    });
    group.finish();
    let watch = Stopwatch::start();
    black_box(sweep(&article, 1_000));
    tell("sweep", watch.elapsed(), SWEEP_TARGET);
}

/// The slope of the best line through the logarithms.
fn exponent(points: &[(f64, f64)]) -> f64 {
    let logarithms: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let count = logarithms.len() as f64;
    let (x, y) =
        logarithms.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / count, sum.1 + point.1 / count));
    let above: f64 = logarithms.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let below: f64 = logarithms.iter().map(|point| (point.0 - x).powi(2)).sum();
    above / below
}

/// A figure beside its target.
#[expect(clippy::print_stdout, reason = "criterion knows of no targets")]
fn tell(what: &str, took: Duration, target: Duration) {
    println!("twin/{what}: {took:.2?} (target: {target:?})");
}

/// The best of five runs.
fn best(case: &Case) -> Duration {
    let timed = (0..5).map(|_| {
        let watch = Stopwatch::start();
        black_box(run(case, 1));
        watch.elapsed()
    });
    timed.min().unwrap_or_default()
}

/// A hundred to a hundred thousand jobs at the same pace.
#[expect(clippy::print_stdout, reason = "a number that criterion has no place for")]
fn growth(_: &mut Criterion) {
    if !asked("twin/growth") {
        return;
    }
    for (name, kind) in KINDS {
        let measured = [100_u32, 1_000, 10_000, 100_000]
            .map(|jobs| (f64::from(jobs), best(&steady(kind, jobs)).as_secs_f64()));
        let each =
            measured.map(|(jobs, seconds)| format!("{jobs:.0} jobs {:.2} ms", seconds * 1000.0)).join(", ");
        let exponent = exponent(&measured);
        println!("twin/growth/{name}: jobs to the power {exponent:.2} (target: {GROWTH_TARGET}; {each})");
    }
}

/// The queue of `benches/peers`: bursts of 20 jobs, between which all agents go.
fn peer_case() -> Case {
    let load = "{ at: 1m, every: 20m, times: 500, builds: 20, duration: 3m }";
    let end = "until: 10001m\nat_most: 10001m";
    case_with(Kind::Object, load, end, 30, "")
}

/// The lines that `benches/peers/queue_simpy.py` looks for: how long it took, and how often what happened.
#[expect(clippy::print_stdout, reason = "the peer reads it")]
fn peer(_: &mut Criterion) {
    if !asked("twin/peer") {
        return;
    }
    let case = peer_case();
    let took = best(&case).as_secs_f64();
    let ended = case.run(1, true, Limits::default()).expect("a run that ends");
    let statistics = ended.statistics;
    println!(
        "twin/peer: {} jobs in {took:.4} s, {} events of the queue (target: {PEER_TARGET} times as fast as SimPy)",
        statistics.finished, statistics.events
    );
    let mut counts =
        BTreeMap::from([("calls".to_owned(), statistics.calls), ("steps".to_owned(), statistics.steps)]);
    for event in &ended.events {
        let told = serde_json::to_value(&event.fact).expect("a fact is JSON");
        let kind = told["event"].as_str().unwrap_or_default();
        if !kind.starts_with("run.") && kind != "scale_target" {
            *counts.entry(kind.to_owned()).or_default() += 1;
        }
    }
    for (kind, number) in counts {
        println!("twin/peer/{kind}: {number}");
    }
}

criterion_group!(benches, pending, loads, seeds, growth, peer);
criterion_main!(benches);
