//! The way of a job through KEDA, the HPA, the scheduler and the agent, stage by
//! stage, each beside the time that its part of the chain may take.

use model::{Instant, Millis};

use crate::bounds::{Bounds, creating, first_read_of, slack};
use crate::history::{History, Pod};
use crate::hpa::Hpa;
use crate::latency::{StageName, StageTimes};
use crate::measure::{WATCH_SKEW, last_raise};
use crate::measurements::{Distribution, Stage};
use crate::rules::peak;
use crate::words::{counted, span};

/// Scheduling of a pod on a node that has room.
const SCHEDULING: Millis = Millis::seconds(1);
/// Delivery of a message to an agent that waits for it.
const DISPATCH: Millis = Millis::seconds(1);
/// The longest pause of an agent after a poll that brought nothing: a random 5 to 15 s (microsoft/azure-pipelines-agent,
/// src/Agent.Listener/MessageListener.cs, `GetNextMessageAsync`). One that has just come is in its first poll.
const EMPTY_POLL_PAUSE: Millis = Millis::seconds(15);

/// One job's way. What is not known, or does not apply to an agent that was there before, is none.
#[derive(Debug, Default)]
struct Way {
    seen: Option<Instant>,
    raised: Option<Instant>,
    created: Option<Instant>,
    scheduled: Option<Instant>,
    running: Option<Instant>,
    registered: Option<Instant>,
    queued: Instant,
    assigned: Instant,
    received: Instant,
}

/// The stages, measured and with their budgets.
pub(crate) fn stages(history: &History) -> Vec<Stage> {
    // How long all jobs waited is told by itself.
    let stages = times(history).into_iter().filter(|times| times.stage != StageName::Whole);
    stages
        .map(|times| Stage {
            stage: times.stage.between().to_owned(),
            took: Distribution::of(times.took_ms),
            budget_ms: times.budget_ms,
            budget_because: times.budget_because,
        })
        .collect()
}

/// How long each stage took for each job that went through it, and its budget; nothing if no job was received.
pub(crate) fn times(history: &History) -> Vec<StageTimes> {
    let ways = ways(history);
    if ways.is_empty() {
        return Vec::new();
    }
    let waiting = ways.iter().any(|way| way.registered.is_none());
    let budget = Budget::of(history, waiting);
    let of = |stage: StageName| {
        let (budget_ms, budget_because) = budget.of_stage(stage);
        StageTimes {
            stage,
            took_ms: ways.iter().filter_map(|way| Some(way.took(stage)?.0)).collect(),
            budget_ms: budget_ms.map(|budget| budget.0),
            budget_because,
        }
    };
    StageName::ALL.into_iter().map(of).collect()
}

impl Way {
    /// How long a stage took, if the job went through it.
    fn took(&self, stage: StageName) -> Option<Millis> {
        let fresh = self.registered.is_some();
        let (queued, received) = (Some(self.queued), Some(self.received));
        let (from, to) = match stage {
            StageName::Seen => (queued, self.seen),
            StageName::Raised => (self.seen, self.raised),
            StageName::Created => (self.raised, self.created),
            StageName::Scheduled => (self.created, self.scheduled),
            StageName::Running => (self.scheduled, self.running),
            StageName::Registered => (self.running, self.registered),
            StageName::Assigned => (self.registered, Some(self.assigned)),
            StageName::Received => (Some(self.assigned), received),
            StageName::NewPod => (queued.filter(|_| fresh), received),
            StageName::AgentThere => (queued.filter(|_| !fresh), received),
            StageName::Whole => (queued, received),
        };
        Some(to?.since(from?))
    }
}

fn ways(history: &History) -> Vec<Way> {
    let replicas = history.replicas();
    let mut ways = Vec::new();
    for (request, job) in &history.jobs {
        let (Some(queued), Some(taken)) = (job.queued, job.received()) else { continue };
        let assigned = job.assignments.iter().rfind(|one| one.agent == taken.agent && one.at <= taken.at);
        let assigned = assigned.map_or(taken.at, |one| one.at);
        let mut way = Way { queued, assigned, received: taken.at, ..Way::default() };
        way.seen = first_read_of(history, job.pool, *request, queued).filter(|seen| *seen <= assigned);
        // Only a pod that was made after the job was queued was made for it.
        if let Some(pod) =
            history.pod_of(taken.agent, assigned).filter(|pod| pod.created.is_some_and(|at| at >= queued))
        {
            way.created = pod.created;
            way.scheduled = pod.scheduled;
            way.running = pod.running;
            way.registered =
                history.agents.get(&taken.agent).and_then(|agent| agent.registered_before(assigned));
            way.raised = raised(history, pod).or_else(|| {
                let created = pod.created.unwrap_or_default() + WATCH_SKEW;
                last_raise(&replicas, queued, created).map(|raise| raise.at)
            });
        }
        ways.push(way);
    }
    ways
}

/// When the Kubernetes Job of a pod was created.
fn raised(history: &History, pod: &Pod) -> Option<Instant> {
    let job = pod.owner.as_deref()?.strip_prefix("Job/")?;
    history.kubernetes_jobs.get(job)?.created
}

/// What each stage may take.
struct Budget<'a> {
    history: &'a History,
    bounds: Option<Bounds>,
    polled: bool,
    jobs: bool,
    steps: u32,
    peak: u32,
    /// Whether agents were there before their jobs.
    waiting: bool,
    /// From a change in the API to the controller that acts on it, and to the watch that tells of it.
    controller: Millis,
}

type Line = (Option<Millis>, String);

impl<'a> Budget<'a> {
    fn of(history: &'a History, waiting: bool) -> Self {
        // With several objects the budget is that of the first; the measured times are of all.
        let target = history.targets.values().next();
        let peak = peak(history).map_or(0, |(replicas, _)| replicas);
        let jobs = target.is_some_and(|target| target.scale.scaler == "ScaledJob");
        let min = target.map_or(0, |target| target.scale.min);
        let steps =
            target.map_or(0, |target| Hpa::of(target.scale.behavior.as_ref()).growth_steps(min, peak));
        let bounds = target.map(|target| Bounds::of(history, &target.scale));
        Self {
            history,
            bounds,
            polled: jobs || min == 0,
            jobs,
            steps,
            peak,
            waiting,
            controller: slack(history),
        }
    }

    fn of_stage(&self, stage: StageName) -> Line {
        match stage {
            StageName::Seen => self.seen(),
            StageName::Raised => self.raised(),
            StageName::Created => self.created(),
            StageName::Scheduled => self.scheduled(),
            StageName::Running => self.running(),
            StageName::Registered => self.registered(),
            StageName::Assigned => self.assigned(),
            StageName::Received => self.received(),
            StageName::NewPod => self.all(),
            StageName::AgentThere => (None, "depends on when an agent is free".to_owned()),
            StageName::Whole => (None, "that of its new pod, if it had one".to_owned()),
        }
    }

    fn seen(&self) -> Line {
        let Some(bounds) = self.bounds else { return unknown() };
        if self.polled {
            (Some(bounds.poll + bounds.read), format!("a poll of {} and its read", span(bounds.poll)))
        } else {
            (Some(bounds.sync), format!("an HPA sync of {}", span(bounds.sync)))
        }
    }

    fn raised(&self) -> Line {
        let Some(bounds) = self.bounds else { return unknown() };
        if self.jobs {
            let creating = creating(self.peak) + self.controller;
            return (Some(creating), "the poll creates Jobs, 20 a second".to_owned());
        }
        // The sync that sees the work makes the first step, unless a poll saw it at zero.
        let steps = if self.polled { self.steps } else { self.steps.saturating_sub(1) };
        let took = bounds.syncs(u64::from(steps)) + self.controller;
        let because = match steps {
            0 => format!("the same sync grows to {}", self.peak),
            steps => format!("{} more to grow to {}", counted(steps, "HPA sync"), self.peak),
        };
        (Some(took), because)
    }

    fn created(&self) -> Line {
        let creating = creating(self.peak) + self.controller;
        (Some(creating), "controllers, 20 pods a second".to_owned())
    }

    fn scheduled(&self) -> Line {
        (Some(SCHEDULING + self.controller), "the scheduler, if a node has room".to_owned())
    }

    fn running(&self) -> Line {
        self.scenario(|scenario| {
            let cluster = &scenario.cluster;
            let took = cluster.image_pull.most + cluster.container_start.most + self.controller;
            (Some(took), format!("pull {}, start {}", cluster.image_pull.most, cluster.container_start.most))
        })
    }

    fn registered(&self) -> Line {
        self.scenario(|scenario| {
            let most = scenario.agents.start_up.most;
            (Some(most), format!("the agent's start-up of {}", scenario.agents.start_up))
        })
    }

    fn assigned(&self) -> Line {
        self.scenario(|scenario| {
            // The agent registers at some time of its start-up, and listens at the end of it.
            let most = scenario.agents.start_up.most + scenario.organization.assign_delay.most;
            (Some(most), format!("rest of start-up, assignment {}", scenario.organization.assign_delay))
        })
    }

    fn received(&self) -> Line {
        if self.waiting {
            let because = format!("long poll, {} between two", span(EMPTY_POLL_PAUSE));
            (Some(DISPATCH + EMPTY_POLL_PAUSE), because)
        } else {
            (Some(DISPATCH), "an answer to the agent's long poll".to_owned())
        }
    }

    fn all(&self) -> Line {
        // The start-up is in two stages, and is counted once.
        let start_up = self
            .history
            .started
            .as_ref()
            .map_or(Millis::ZERO, |started| started.scenario.agents.start_up.most);
        let lines = [
            self.seen(),
            self.raised(),
            self.created(),
            self.scheduled(),
            self.running(),
            self.registered(),
            self.assigned(),
            (Some(DISPATCH), String::new()),
        ];
        let sum: Option<Millis> =
            lines.into_iter().try_fold(Millis::ZERO, |sum, (budget, _)| Some(sum + budget?));
        (sum.map(|sum| sum - start_up), "all of these".to_owned())
    }

    fn scenario(&self, line: impl Fn(&model::Scenario) -> Line) -> Line {
        self.history.started.as_ref().map_or_else(unknown, |started| line(&started.scenario))
    }
}

fn unknown() -> Line {
    (None, "not known from this log".to_owned())
}
