//! Faults over the control route: `POST`, `GET` and `DELETE` of `{organization}/_poolproof/faults`.
//!
//! The words are those of a scenario; times count from the request that makes the fault.
//!
//! ```json
//! { "service": { "from": "0s", "to": "1m", "route": "job_requests", "caller": "keda", "answer": 503 } }
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::Response;
use azure_devops::Refusal;
use azure_devops::faults::FaultId;
use model::fault::{Fault, ServiceFault};
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
        FaultWork::Remove(id) => {
            if remove(organization, *id) {
                nothing()
            } else {
                unknown(*id)
            }
        }
        FaultWork::RemoveAll => {
            let ids: Vec<u32> = organization.faults().made.faults.keys().copied().collect();
            for id in ids {
                remove(organization, id);
            }
            nothing()
        }
    }
}

fn make(organization: &Arc<Shared>, fault: &ServiceFault) -> Response {
    let id = {
        let mut faults = organization.faults();
        let made = &mut faults.made;
        if made.faults.len() >= MOST_FAULTS {
            return responses::refusal(&Refusal::Full {
                what: "faults of an organization",
                limit: MOST_FAULTS,
            });
        }
        made.last += 1;
        let one = One { fault: fault.clone(), state: FaultState::Waiting, hits: 0, times: None };
        made.faults.insert(made.last, one);
        made.last
    };
    let asked = organization.now();
    if fault.from == model::Millis::ZERO {
        // On when the answer is out.
        begin(organization, id);
    }
    let (from, to) = (asked + fault.from, fault.to.map(|to| asked + to));
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
    if let Some(one) = organization.faults().made.faults.get_mut(&id) {
        one.times = Some(times);
    }
    show(organization, id)
}

/// From here on it is on; one that is on already, or gone, stays as it is.
fn begin(organization: &Shared, id: u32) {
    let fault = {
        let mut faults = organization.faults();
        match faults.made.faults.get_mut(&id) {
            Some(one) if one.state == FaultState::Waiting => {
                one.state = FaultState::On;
                one.fault.clone()
            }
            _ => return,
        }
    };
    organization.begin_fault(FaultId::Control(id), fault);
}

fn end(organization: &Shared, id: u32) {
    {
        let mut faults = organization.faults();
        let hits = faults.on.hits(FaultId::Control(id)).unwrap_or_default();
        if let Some(one) = faults.made.faults.get_mut(&id) {
            one.state = FaultState::Over;
            one.hits = hits;
        }
    }
    organization.end_fault(FaultId::Control(id));
}

fn remove(organization: &Shared, id: u32) -> bool {
    let one = organization.faults().made.faults.remove(&id);
    let Some(one) = one else { return false };
    if let Some(times) = one.times {
        times.abort();
    }
    organization.end_fault(FaultId::Control(id));
    true
}

fn show(organization: &Shared, id: u32) -> Response {
    let faults = organization.faults();
    match faults.made.faults.get(&id) {
        Some(one) => json(&told(&faults, id, one)),
        None => unknown(id),
    }
}

fn told<'f>(faults: &crate::faults::Faults, id: u32, one: &'f One) -> Told<'f> {
    let hits = faults.on.hits(FaultId::Control(id)).unwrap_or(one.hits);
    Told { id, state: one.state, what: one.fault.what(), hits, service: &one.fault }
}

fn json(body: &impl Serialize) -> Response {
    responses::json(serde_json::to_vec(body).expect("texts and numbers are JSON"))
}

fn nothing() -> Response {
    responses::encoded(Encoded { status: 204, ..Encoded::default() })
}

fn unknown(id: u32) -> Response {
    responses::refusal(&Refusal::NothingHere(format!("_poolproof/faults/{id}")))
}
