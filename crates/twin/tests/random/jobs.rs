//! No job is lost, none runs twice, no agent has two, and KEDA is told of each as it is.

use std::collections::BTreeMap;

use model::event::{RequestForm, ScalerRow};
use model::fault::Fault;
use model::{Event, Fact};
use twin::Ended;

use super::Trial;
use super::invariants::Invariant;

/// KEDA asks for so many rows at most (K:pkg/scalers/azure_pipelines_scaler.go, `jobsToFetch`), and the
/// service answers so many at most; only then may a job be missing from an answer.
const FEWEST_LIMITED_ROWS: usize = 200;
/// KEDA's requests end after this many milliseconds (KEDA_HTTP_DEFAULT_TIMEOUT).
const TIMEOUT_MS: u64 = 3000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Queued,
    Assigned(u64),
    Received(u64),
    Finished,
}

#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// Jobs that a build still has to tell of.
    untold: u64,
    jobs: BTreeMap<u64, State>,
    busy: BTreeMap<u64, u64>,
    /// How many were finished when the run was drained.
    finished: Option<u64>,
    /// Faults by which KEDA is answered something else than what is so.
    spoiling: Vec<u32>,
    spoilt: bool,
}

impl Jobs {
    pub(super) fn of(trial: &Trial) -> Self {
        let spoils = |fault: &Fault| matches!(fault, Fault::Service(fault) if fault.answer.is_some());
        let faults = (0..).zip(&trial.scenario().faults);
        let spoiling = faults.filter(|(_, fault)| spoils(fault)).map(|(number, _)| number).collect();
        Self { spoiling, ..Self::default() }
    }

    fn change(&mut self, request: u64, allowed: impl Fn(State) -> bool, to: State) -> Result<State, String> {
        let state = self.jobs.get_mut(&request).ok_or_else(|| format!("job {request} was never queued"))?;
        if !allowed(*state) {
            return Err(format!("job {request} is {state:?}, it cannot become {to:?}"));
        }
        Ok(std::mem::replace(state, to))
    }

    fn free(&mut self, before: State) {
        if let State::Assigned(agent) | State::Received(agent) = before {
            self.busy.remove(&agent);
        }
    }

    fn finished(&self) -> u64 {
        self.jobs.values().filter(|state| **state == State::Finished).count() as u64
    }

    /// What KEDA reads is what is so.
    fn read(&self, form: RequestForm, rows: &[ScalerRow]) -> Result<(), String> {
        for row in rows {
            let state = self.jobs.get(&row.request);
            let seen = match (row.result, row.received, row.assigned) {
                (Some(_), ..) => "finished",
                (None, true, _) => "received",
                (None, false, true) => "assigned",
                (None, false, false) => "queued",
            };
            let is = match state {
                Some(State::Queued) => "queued",
                Some(State::Assigned(_)) => "assigned",
                Some(State::Received(_)) => "received",
                Some(State::Finished) => "finished",
                None => "unknown",
            };
            if seen != is {
                return Err(format!("KEDA reads that job {} is {seen}, but it is {is}", row.request));
            }
        }
        if form == RequestForm::Top && rows.len() >= FEWEST_LIMITED_ROWS {
            return Ok(());
        }
        let open = self.jobs.values().filter(|state| **state != State::Finished).count();
        let told = rows.iter().filter(|row| row.result.is_none()).count();
        if open == told { Ok(()) } else { Err(format!("KEDA reads {told} open jobs of {open}")) }
    }
}

impl Invariant for Jobs {
    fn see(&mut self, event: &Event) -> Result<(), String> {
        match &event.fact {
            Fact::BuildQueued { jobs, .. } => self.untold += u64::from(*jobs),
            Fact::JobRequestQueued { request, .. } => {
                self.untold = self.untold.checked_sub(1).ok_or("a job of no build")?;
                if self.jobs.insert(*request, State::Queued).is_some() {
                    return Err(format!("job {request} is queued twice"));
                }
            }
            Fact::JobRequestAssigned { request, agent } => {
                self.change(*request, |state| state == State::Queued, State::Assigned(*agent))?;
                if let Some(other) = self.busy.insert(*agent, *request) {
                    return Err(format!("agent {agent} has job {other} and gets job {request}"));
                }
            }
            Fact::JobRequestReceived { request, agent } => {
                self.change(*request, |state| state == State::Assigned(*agent), State::Received(*agent))?;
            }
            Fact::JobRequestRequeued { request, agent, .. } => {
                let before =
                    self.change(*request, |state| state == State::Assigned(*agent), State::Queued)?;
                self.free(before);
            }
            Fact::JobRequestFinished { request, .. } => {
                let before = self.change(*request, |state| state != State::Finished, State::Finished)?;
                self.free(before);
            }
            Fact::AgentRemoved { agent } => {
                if let Some(request) = self.busy.get(agent) {
                    return Err(format!("agent {agent} is removed with job {request}"));
                }
            }
            Fact::ScalerRead { form, status, latency_ms, rows, .. } => {
                if *latency_ms > TIMEOUT_MS {
                    return Err(format!("KEDA waits {latency_ms} ms for an answer"));
                }
                if *status == 200 && !self.spoilt {
                    self.read(*form, rows)?;
                }
            }
            Fact::FaultOn { fault, .. } => self.spoilt |= self.spoiling.contains(fault),
            Fact::FaultOff { fault } => self.spoilt &= !self.spoiling.contains(fault),
            Fact::RunDraining {} => self.finished = Some(self.finished()),
            _ => {}
        }
        Ok(())
    }

    fn end(&self, ended: &Ended) -> Result<(), String> {
        if self.untold > 0 {
            return Err(format!("{} jobs of builds were never queued", self.untold));
        }
        if ended.statistics.jobs != self.jobs.len() as u64 {
            return Err(format!(
                "{} jobs are counted, {} were queued",
                ended.statistics.jobs,
                self.jobs.len()
            ));
        }
        if self.finished != Some(ended.statistics.finished) {
            return Err(format!(
                "{} jobs are counted as ended, {:?} were",
                ended.statistics.finished, self.finished
            ));
        }
        Ok(())
    }
}
