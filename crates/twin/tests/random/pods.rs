//! Every pod is on at most one node, lives its life in order, and no node has more than it takes.

use std::collections::BTreeMap;

use model::{Event, Fact};
use twin::Ended;

use super::Trial;
use super::invariants::Invariant;

#[derive(Debug, Default)]
struct Life {
    node: Option<String>,
    running: bool,
    terminating: bool,
    ended: bool,
    gone: bool,
    /// Containers that run.
    containers: u32,
}

#[derive(Debug)]
pub(super) struct Pods {
    pods: BTreeMap<String, Life>,
    /// Pods that take a place on each node.
    on_node: BTreeMap<String, u32>,
    places: u32,
}

impl Pods {
    pub(super) fn of(trial: &Trial) -> Self {
        let places = trial.scenario().cluster.pods_per_node;
        Self { pods: BTreeMap::new(), on_node: BTreeMap::new(), places }
    }

    fn life(&mut self, pod: &str) -> Result<&mut Life, String> {
        let life = self.pods.get_mut(pod).ok_or_else(|| format!("{pod} was never created"))?;
        if life.gone { Err(format!("{pod} is gone already")) } else { Ok(life) }
    }

    /// The pod, which must have a node.
    fn placed(&mut self, pod: &str) -> Result<&mut Life, String> {
        let life = self.life(pod)?;
        if life.node.is_some() { Ok(life) } else { Err(format!("{pod} is on no node")) }
    }

    fn free(&mut self, node: Option<&String>) {
        if let Some(taken) = node.and_then(|node| self.on_node.get_mut(node)) {
            *taken -= 1;
        }
    }
}

fn runs(life: &Life, pod: &str) -> Result<(), String> {
    if life.running { Ok(()) } else { Err(format!("{pod} is ready before it runs")) }
}

fn once(flag: &mut bool, pod: &str, what: &str) -> Result<(), String> {
    if std::mem::replace(flag, true) { Err(format!("{pod} is {what} twice")) } else { Ok(()) }
}

impl Invariant for Pods {
    fn see(&mut self, event: &Event) -> Result<(), String> {
        match &event.fact {
            Fact::PodCreated { pod, .. } => {
                let before = self.pods.insert(pod.clone(), Life::default());
                // The pods of a StatefulSet have the names of those before them.
                if before.is_some_and(|life| !life.gone) {
                    return Err(format!("{pod} is created twice"));
                }
            }
            Fact::PodScheduled { pod, node } => {
                let life = self.life(pod)?;
                if let Some(other) = &life.node {
                    return Err(format!("{pod} is on {other} and gets {node}"));
                }
                life.node = Some(node.clone());
                let taken = self.on_node.entry(node.clone()).or_default();
                *taken += 1;
                if *taken > self.places {
                    return Err(format!("{node} takes {} pods and has {taken}", self.places));
                }
            }
            Fact::PodRunning { pod } => once(&mut self.placed(pod)?.running, pod, "running")?,
            Fact::PodReady { pod } => runs(self.placed(pod)?, pod)?,
            Fact::PodTerminating { pod, .. } => once(&mut self.life(pod)?.terminating, pod, "terminating")?,
            Fact::PodEnded { pod, .. } => {
                let life = self.life(pod)?;
                once(&mut life.ended, pod, "ended")?;
                let node = life.node.clone();
                self.free(node.as_ref());
            }
            Fact::PodGone { pod } => {
                let life = self.life(pod)?;
                life.gone = true;
                let node = life.node.clone().filter(|_| !life.ended);
                self.free(node.as_ref());
            }
            Fact::ContainerStarted { pod, .. } => {
                let life = self.placed(pod)?;
                life.containers += 1;
                if life.containers > 1 {
                    return Err(format!("a container of {pod} is started while it runs"));
                }
            }
            Fact::ContainerExited { pod, .. } => {
                let life = self.placed(pod)?;
                life.containers =
                    life.containers.checked_sub(1).ok_or_else(|| format!("{pod} ends without having run"))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&self, _: &Ended) -> Result<(), String> {
        Ok(())
    }
}
