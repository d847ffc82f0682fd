//! Faults over the control route: `POST`, `GET` and `DELETE` of `{organization}/_poolproof/faults`.
//!
//! The words are those of a scenario; times count from the request that makes the fault. With a state they are on
//! again after the server's end, as long as they would have been; what they have hit is counted from then on.
//!
//! ```json
//! { "service": { "from": "0s", "to": "1m", "route": "job_requests", "caller": "keda", "answer": 503 } }
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::Response;
use azure_devops::Refusal;
use azure_devops::faults::{FaultId, MadeFault, Upset};
use model::fault::{Fault, ServiceFault};
use model::{Instant, Millis};
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::organization::{Encoded, Shared};
use crate::responses;

/// The most that are kept, those that are over included.
const MOST_FAULTS: usize = 1_000;

/// What is asked on the route.
#[derive(Debug)]
pub(crate) enum FaultWork {
    /// Make one.
    Make(Box<ServiceFault>),
    /// List them.
    List,
    /// Show one.
    Show(u32),
    /// Remove one.
    Remove(u32),
    /// Remove all.
    RemoveAll,
}

/// The faults that were made here.
#[derive(Debug, Default)]
pub(crate) struct Made {
    faults: BTreeMap<u32, One>,
    last: u32,
}

#[derive(Debug)]
struct One {
    fault: ServiceFault,
    state: FaultState,
    /// How many it had hit when it was over.
    hits: u64,
    times: Option<JoinHandle<()>>,
}

impl One {
    fn waiting(fault: ServiceFault) -> Self {
        Self { fault, state: FaultState::Waiting, hits: 0, times: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum FaultState {
    /// It has not begun.
    Waiting,
    /// It is on.
    On,
    /// It is over.
    Over,
}

/// A fault as it is told.
#[derive(Serialize)]
struct Told<'f> {
    id: u32,
    state: FaultState,
    what: String,
    hits: u64,
    service: &'f ServiceFault,
}

#[derive(Serialize)]
struct List<'f> {
    count: usize,
    value: Vec<Told<'f>>,
}

/// Reads a fault: one of a scenario's list, of the service.
pub(crate) fn read(body: &[u8]) -> Result<FaultWork, Refusal> {
    let invalid = |problems: Vec<model::Problem>| {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Refusal::Invalid(told.join("\n"))
    };
    let text = model::load::text("the request", body).map_err(|problem| invalid(vec![problem]))?;
    match model::load::fault("the request", text).map_err(invalid)? {
        Fault::Service(fault) => Ok(FaultWork::Make(Box::new(fault))),
        other => Err(Refusal::Invalid(format!(
            "Only faults of the service can be made here, not `{}`.",
            other.what()
        ))),
    }
}

/// Does it.
pub(crate) fn answer(organization: &Arc<Shared>, work: &FaultWork) -> Response {
    match work {
        FaultWork::Make(fault) => make(organization, fault),
        FaultWork::List => {
            let faults = organization.faults();
            let value: Vec<Told<'_>> =
                faults.made.faults.iter().map(|(id, one)| told(&faults, *id, one)).collect();
            json(&List { count: value.len(), value })
        }
        FaultWork::Show(id) => show(organization, *id),
        FaultWork::Remove(id) => done(remove(organization, *id)),
        FaultWork::RemoveAll => done(remove_all(organization)),
    }
}

fn make(organization: &Arc<Shared>, fault: &ServiceFault) -> Response {
    let (id, at) = match keep(organization, fault) {
        Ok(made) => made,
        Err(refusal) => return responses::refusal(&refusal),
    };
    if fault.from == Millis::ZERO {
        // On when the answer is out.
        begin(organization, id);
    }
    keep_times(organization, id, at, fault);
    show(organization, id)
}

/// Gives a new fault its number, and says when it was made.
fn keep(organization: &Shared, fault: &ServiceFault) -> Result<(u32, Instant), Refusal> {
    let mut faults = organization.faults();
    if faults.made.faults.len() >= MOST_FAULTS {
        return Err(Refusal::Full { what: "faults of an organization", limit: MOST_FAULTS });
    }
    organization.check_kept()?;
    let id = faults.made.last.saturating_add(1);
    organization.upset(Upset::Make { id, fault: Box::new(fault.clone()) });
    let made = organization.look(|service| service.made_faults().get(id).map(|made| made.at));
    faults.made.last = id;
    faults.made.faults.insert(id, One::waiting(fault.clone()));
    Ok((id, made.unwrap_or_else(|| organization.now())))
}

/// Has the faults on again that a state tells of.
pub(crate) fn restore(organization: &Arc<Shared>) {
    let (last, made) = organization.look(|service| {
        let made = service.made_faults();
        (made.last(), made.iter().map(|(id, made)| (id, made.clone())).collect::<Vec<_>>())
    });
    organization.faults().made.last = last;
    let now = organization.now();
    for (id, MadeFault { at, fault }) in made {
        let is_over = fault.to.is_some_and(|to| at + to <= now);
        let mut one = One::waiting(fault.clone());
        if is_over {
            one.state = FaultState::Over;
        }
        organization.faults().made.faults.insert(id, one);
        if !is_over {
            if at + fault.from <= now {
                begin(organization, id);
            }
            keep_times(organization, id, at, &fault);
        }
    }
    // One may have ended while nobody served.
    organization.follow_parallel_jobs(&organization.faults());
}

/// Begins a fault and ends it when it is time.
fn keep_times(organization: &Arc<Shared>, id: u32, made: Instant, fault: &ServiceFault) {
    let (from, to) = (made + fault.from, fault.to.map(|to| made + to));
    let shared = Arc::clone(organization);
    let times = tokio::spawn(async move {
        if !shared.wait(Some(from)).await {
            return;
        }
        begin(&shared, id);
        if let Some(to) = to
            && shared.wait(Some(to)).await
        {
            end(&shared, id);
        }
    });
    match organization.faults().made.faults.get_mut(&id) {
        Some(one) => one.times = Some(times),
        None => times.abort(),
    }
}

/// From here on it is on; one that is on already, or gone, stays as it is.
fn begin(organization: &Shared, id: u32) {
    // Under one lock: somebody may take it away at the same time.
    let mut faults = organization.faults();
    let waiting = faults.made.faults.get_mut(&id).filter(|one| one.state == FaultState::Waiting);
    let Some(one) = waiting else { return };
    one.state = FaultState::On;
    let fault = one.fault.clone();
    organization.begin_fault(&mut faults, FaultId::Control(id), fault);
}

fn end(organization: &Shared, id: u32) {
    let mut faults = organization.faults();
    let hits = faults.on.hits(FaultId::Control(id)).unwrap_or_default();
    if let Some(one) = faults.made.faults.get_mut(&id) {
        one.state = FaultState::Over;
        one.hits = hits;
    }
    organization.end_fault(&mut faults, FaultId::Control(id));
}

fn remove(organization: &Shared, id: u32) -> Result<(), Refusal> {
    let mut faults = organization.faults();
    organization.check_kept()?;
    let one = faults.made.faults.remove(&id).ok_or_else(|| unknown(id))?;
    if let Some(times) = one.times {
        times.abort();
    }
    organization.upset(Upset::Unmake(id));
    organization.end_fault(&mut faults, FaultId::Control(id));
    Ok(())
}

/// The same of all of them.
fn remove_all(organization: &Shared) -> Result<(), Refusal> {
    let ids: Vec<u32> = organization.faults().made.faults.keys().copied().collect();
    for id in ids {
        match remove(organization, id) {
            // Somebody else has removed it.
            Ok(()) | Err(Refusal::NothingHere(_)) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(())
}

fn show(organization: &Shared, id: u32) -> Response {
    let faults = organization.faults();
    match faults.made.faults.get(&id) {
        Some(one) => json(&told(&faults, id, one)),
        None => responses::refusal(&unknown(id)),
    }
}

fn told<'f>(faults: &crate::faults::Faults, id: u32, one: &'f One) -> Told<'f> {
    let hits = faults.on.hits(FaultId::Control(id)).unwrap_or(one.hits);
    Told { id, state: one.state, what: one.fault.what(), hits, service: &one.fault }
}

fn json(body: &impl Serialize) -> Response {
    responses::json(serde_json::to_vec(body).expect("texts and numbers are JSON"))
}

fn done(result: Result<(), Refusal>) -> Response {
    match result {
        Ok(()) => responses::encoded(Encoded { status: 204, ..Encoded::default() }),
        Err(refusal) => responses::refusal(&refusal),
    }
}

fn unknown(id: u32) -> Refusal {
    Refusal::NothingHere(format!("_poolproof/faults/{id}"))
}
