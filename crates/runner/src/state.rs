//! Where a run stands: a fold over its own log. The runner waits for states,
//! the live line shows them; neither looks at anything else.

use std::collections::{BTreeMap, BTreeSet};

use model::event::ScaleTarget;
use model::fault::WhichPod;
use model::{Event, Fact, Instant};

/// What the log so far adds up to.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The instant of the last event.
    pub at: Instant,
    target: Option<Box<ScaleTarget>>,
    readiness: Option<Readiness>,
    replicas: BTreeMap<String, u32>,
    unfinished: BTreeMap<u64, Option<u64>>,
    online: BTreeSet<u64>,
    /// Agents by id, with their names.
    agents: BTreeMap<u64, String>,
    pods: BTreeMap<String, Pod>,
    created: u64,
    draining: bool,
    kubernetes_jobs: BTreeSet<String>,
    /// Builds that were accepted.
    pub builds: u32,
    /// Builds that were refused.
    pub refused: u32,
    /// What broke in the harness, if something did.
    pub failure: Option<String>,
}

/// A pod that is there.
#[derive(Debug, Clone, Default)]
struct Pod {
    /// Which it is, by creation.
    number: u64,
    /// Its containers that run.
    running: BTreeSet<String>,
    /// The agent in it.
    agent: Option<String>,
    /// Whether somebody has deleted it.
    terminating: bool,
}

/// The condition Ready of the KEDA object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

impl State {
    /// Takes in one event.
    pub fn fold(&mut self, event: &Event) {
        self.at = self.at.max(event.at);
        match &event.fact {
            Fact::ScaleTarget(target) => self.target = Some(target.clone()),
            Fact::Condition { object, condition, status, reason, message }
                if condition == "Ready" && self.is_scaler(object) =>
            {
                let (status, reason, message) = (status.clone(), reason.clone(), message.clone());
                self.readiness = Some(Readiness { status, reason, message });
            }
            Fact::Replicas { workload, spec, .. } => {
                self.replicas.insert(workload.clone(), *spec);
            }
            Fact::RunDraining {} => self.draining = true,
            Fact::BuildQueued { .. } => self.builds += 1,
            Fact::BuildRefused { .. } => self.refused += 1,
            Fact::JobRequestQueued { request, .. } | Fact::JobRequestRequeued { request, .. } => {
                self.unfinished.insert(*request, None);
            }
            Fact::JobRequestAssigned { request, agent } | Fact::JobRequestReceived { request, agent } => {
                self.unfinished.insert(*request, Some(*agent));
            }
            Fact::JobRequestFinished { request, .. } => {
                self.unfinished.remove(request);
            }
            Fact::AgentOnline { agent } => {
                self.online.insert(*agent);
            }
            Fact::AgentRegistered { agent, name, .. } => {
                self.agents.insert(*agent, name.clone());
            }
            Fact::AgentOffline { agent } => {
                self.online.remove(agent);
            }
            Fact::AgentRemoved { agent } => {
                self.online.remove(agent);
                self.agents.remove(agent);
            }
            Fact::KubernetesJobCreated { job } => {
                self.kubernetes_jobs.insert(job.clone());
            }
            Fact::KubernetesJobFinished { job, .. } | Fact::KubernetesJobDeleted { job } => {
                self.kubernetes_jobs.remove(job);
            }
            Fact::HarnessFailed { because } => self.failure = Some(because.clone()),
            fact => self.fold_pod(fact),
        }
    }

    fn fold_pod(&mut self, fact: &Fact) {
        match fact {
            Fact::PodCreated { pod, .. } => {
                self.created += 1;
                self.pods.entry(pod.clone()).or_default().number = self.created;
            }
            Fact::PodGone { pod } => {
                self.pods.remove(pod);
            }
            Fact::PodTerminating { pod, .. } => {
                if let Some(pod) = self.pods.get_mut(pod) {
                    pod.terminating = true;
                }
            }
            Fact::ContainerStarted { pod, container, agent, .. } => {
                // A pod that is gone may be told of by its node once more.
                let Some(pod) = self.pods.get_mut(pod) else { return };
                pod.running.insert(container.clone());
                if agent.is_some() {
                    pod.agent.clone_from(agent);
                }
            }
            Fact::ContainerExited { pod, container, .. } => {
                if let Some(pod) = self.pods.get_mut(pod) {
                    pod.running.remove(container);
                }
            }
            _ => {}
        }
    }

    /// The oldest pod that runs, is not being deleted, and has an agent of that kind.
    #[must_use]
    pub fn oldest_pod(&self, which: WhichPod) -> Option<String> {
        let busy = |agent: u64| self.unfinished.values().any(|holder| *holder == Some(agent));
        let has = |name: &str, wished: &dyn Fn(u64) -> bool| {
            self.agents.iter().any(|(agent, known)| known == name && wished(*agent))
        };
        let fits = |pod: &Pod| match (which, &pod.agent) {
            (WhichPod::Any, _) => true,
            (WhichPod::Busy, Some(name)) => has(name, &busy),
            (WhichPod::Idle, Some(name)) => has(name, &|agent| self.online.contains(&agent) && !busy(agent)),
            (WhichPod::Busy | WhichPod::Idle, None) => false,
        };
        let living = self.pods.iter().filter(|(_, pod)| !pod.running.is_empty() && !pod.terminating);
        let oldest = living.filter(|(_, pod)| fits(pod)).min_by_key(|(_, pod)| pod.number);
        oldest.map(|(name, _)| name.clone())
    }

    fn is_scaler(&self, object: &str) -> bool {
        self.target.as_ref().is_some_and(|target| {
            object.split_once('/') == Some((target.scaler.as_str(), target.name.as_str()))
        })
    }

    fn minimum(&self) -> u32 {
        // While there is nothing to do, idleReplicaCount takes the minimum's place.
        self.target.as_ref().map_or(0, |target| target.idle.unwrap_or(target.min))
    }

    /// Replicas that are asked for; of a ScaledJob, its unfinished Jobs.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        match &self.target {
            Some(target) if target.scaler == "ScaledJob" => count(self.kubernetes_jobs.len()),
            Some(target) => self.replicas.get(&target.workload).copied().unwrap_or(0),
            None => 0,
        }
    }

    /// Jobs that wait for an agent.
    #[must_use]
    pub fn queued(&self) -> u32 {
        count(self.unfinished.values().filter(|agent| agent.is_none()).count())
    }

    /// Agents that hold a job.
    #[must_use]
    pub fn busy(&self) -> u32 {
        count(self.unfinished.values().flatten().count())
    }

    /// Agents that listen and hold no job.
    #[must_use]
    pub fn idle(&self) -> u32 {
        count(self.online.len()).saturating_sub(self.busy())
    }

    /// The condition Ready of the KEDA object, once it has one.
    #[must_use]
    pub fn readiness(&self) -> Option<&Readiness> {
        self.readiness.as_ref()
    }

    /// Whether KEDA has taken the object, replicas are at the minimum and that many agents listen.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        self.readiness.as_ref().is_some_and(|ready| ready.status == "True")
            && self.is_at_minimum()
            && count(self.online.len()) >= self.minimum()
    }

    /// Whether no job is unfinished and replicas are at the minimum.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.unfinished.is_empty() && self.is_at_minimum()
    }

    fn is_at_minimum(&self) -> bool {
        let known = self.target.as_ref().is_some_and(|target| {
            target.scaler == "ScaledJob" || self.replicas.contains_key(&target.workload)
        });
        known && self.replicas() == self.minimum()
    }

    /// Whether the load is over.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether every pod is gone.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.pods.is_empty()
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Source;
    use model::event::JobResult;

    fn state(facts: Vec<Fact>) -> State {
        let mut state = State::default();
        for fact in facts {
            state.fold(&Event { at: Instant(1), by: Source::Run, fact });
        }
        state
    }

    fn target(scaler: &str, workload: &str, min: u32) -> Fact {
        Fact::ScaleTarget(Box::new(ScaleTarget {
            scaler: scaler.into(),
            name: "s".into(),
            workload: workload.into(),
            min,
            max: 5,
            idle: None,
            polling_interval_s: 30,
            cooldown_s: 300,
            grace_s: 30,
            triggers: vec![],
            behavior: None,
            stabilization_s: 300,
            strategy: None,
            spec: serde_json::Value::Null,
            annotations: BTreeMap::new(),
            keda: "2.21.0".into(),
            kubernetes: "1.35.4".into(),
        }))
    }

    fn ready(status: &str) -> Fact {
        Fact::Condition {
            object: "ScaledObject/s".into(),
            condition: "Ready".into(),
            status: status.into(),
            reason: String::new(),
            message: String::new(),
        }
    }

    fn replicas(spec: u32) -> Fact {
        Fact::Replicas { workload: "Deployment/d".into(), spec, status: spec, ready: spec }
    }

    #[test]
    fn it_is_in_place_when_keda_is_ready_and_the_minimum_listens() {
        let mut facts = vec![target("ScaledObject", "Deployment/d", 1), ready("True"), replicas(1)];
        assert!(!state(facts.clone()).is_in_place(), "no agent listens yet");
        facts.push(Fact::AgentOnline { agent: 1 });
        assert!(state(facts.clone()).is_in_place());
        facts.push(ready("False"));
        assert!(!state(facts).is_in_place());
    }

    #[test]
    fn it_is_settled_when_nothing_is_unfinished_and_replicas_are_at_the_minimum() {
        let queued =
            Fact::JobRequestQueued { request: 7, build: 1, job: "j".into(), pool: 1, demands: vec![] };
        let finished = Fact::JobRequestFinished { request: 7, agent: None, result: JobResult::Succeeded };
        let start = vec![target("ScaledObject", "Deployment/d", 1), replicas(1)];
        assert!(state(start.clone()).is_settled());
        assert!(!state([start.clone(), vec![queued.clone()]].concat()).is_settled());
        assert!(state([start.clone(), vec![queued, finished]].concat()).is_settled());
        assert!(!state([start, vec![replicas(4)]].concat()).is_settled());
    }

    #[test]
    fn the_oldest_pod_is_found_by_what_its_agent_does() {
        let mut facts = Vec::new();
        for (agent, pod) in [(1, "z"), (2, "y"), (3, "x")] {
            let name = format!("agent-in-{pod}");
            facts.extend([
                Fact::PodCreated { pod: pod.into(), owner: None },
                Fact::AgentRegistered {
                    agent,
                    name: name.clone(),
                    pool: 1,
                    replaced: false,
                    placeholder: false,
                },
                Fact::AgentOnline { agent },
                Fact::ContainerStarted {
                    pod: pod.into(),
                    container: "c".into(),
                    restarts: 0,
                    agent: Some(name),
                },
            ]);
        }
        let job = |request, agent| Fact::JobRequestAssigned { request, agent };
        let pod = |facts: &[Fact], which| state(facts.to_vec()).oldest_pod(which);
        assert_eq!(pod(&facts, WhichPod::Busy), None);
        assert_eq!(pod(&facts, WhichPod::Idle).as_deref(), Some("z"));
        facts.extend([job(7, 1), job(8, 2)]);
        assert_eq!(pod(&facts, WhichPod::Busy).as_deref(), Some("z"));
        assert_eq!(pod(&facts, WhichPod::Idle).as_deref(), Some("x"));
        facts.push(Fact::PodTerminating { pod: "z".into(), grace_s: 30 });
        assert_eq!(pod(&facts, WhichPod::Busy).as_deref(), Some("y"));
        facts.push(Fact::ContainerExited { pod: "y".into(), container: "c".into(), code: 0, agent: None });
        assert_eq!(pod(&facts, WhichPod::Any).as_deref(), Some("x"));
    }

    #[test]
    fn a_scaled_jobs_replicas_are_its_unfinished_jobs() {
        let created = |job: &str| Fact::KubernetesJobCreated { job: job.into() };
        let facts = vec![
            target("ScaledJob", "Job/s", 0),
            created("a"),
            created("b"),
            Fact::KubernetesJobFinished { job: "a".into(), succeeded: true },
        ];
        assert_eq!(state(facts).replicas(), 1);
    }
}
