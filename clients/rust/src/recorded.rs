//! Clients whose calls are remembered: a call counts as answered once its answer was decoded; the checks of what
//! it says end the program if they fail.

use std::cell::RefCell;
use std::collections::BTreeMap;

use azure_core::error::ErrorKind;
use azure_core::http::Url;
use azure_devops_rust_api::{Credential, build, core, distributed_task, pipelines};
use serde_json::Value;

pub const ORGANIZATION: &str = "poolproof";
pub const PROJECT: &str = "shop";

const NOT_IMPLEMENTED: u16 = 501;
/// The outcome that ends the program, once all of them are told.
const WRONG: &str = "wrong";

/// The crate's clients, one for each part of the service.
pub struct Clients {
    pub build: build::Client,
    pub core: core::Client,
    pub distributed_task: distributed_task::Client,
    pub pipelines: pipelines::Client,
    outcomes: RefCell<BTreeMap<String, &'static str>>,
}

impl Clients {
    /// Clients of the service at `origin`, the address without the organisation.
    pub fn new(origin: Url, token: &str) -> Self {
        let credential = Credential::from_pat(token);
        Self {
            build: build::ClientBuilder::new(credential.clone()).endpoint(origin.clone()).build(),
            core: core::ClientBuilder::new(credential.clone()).endpoint(origin.clone()).build(),
            distributed_task: distributed_task::ClientBuilder::new(credential.clone())
                .endpoint(origin.clone())
                .build(),
            pipelines: pipelines::ClientBuilder::new(credential).endpoint(origin).build(),
            outcomes: RefCell::default(),
        }
    }

    /// Notes the outcome of a call.
    pub fn note(&self, call: &str, outcome: &'static str) {
        self.outcomes.borrow_mut().insert(call.to_owned(), outcome);
    }

    /// The calls that were made.
    pub fn called(&self) -> Vec<String> {
        self.outcomes.borrow().keys().cloned().collect()
    }

    /// Whether every call that is not modelled was refused as such.
    pub fn all_refused(&self) -> bool {
        !self.outcomes.borrow().values().any(|outcome| *outcome == WRONG)
    }

    /// One line a call, as scripts/clients reads them.
    pub fn report(&self) {
        for (call, outcome) in self.outcomes.borrow().iter() {
            let (module, operation) = call.split_once('.').expect("module and operation");
            let api = match (module, operation.split_once('.').map_or("", |(group, _)| group)) {
                ("distributed_task", "events" | "logs" | "records" | "oidctoken") => "Task",
                ("distributed_task", _) => "TaskAgent",
                ("build", _) => "Build",
                ("core", _) => "Core",
                _ => "Pipelines",
            };
            println!("call\t{api}\t{operation}\t{outcome}");
        }
    }
}

/// Makes a call and gives what the crate understood of the answer.
macro_rules! call {
    ($clients:ident.$module:ident.$group:ident().$operation:ident($($argument:expr),* $(,)?) $($options:tt)*) => {{
        let name = $crate::recorded::name(stringify!($module), stringify!($group), stringify!($operation));
        let answer = $clients.$module.$group().$operation($($argument),*)$($options)*.await;
        let answer = answer.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        $clients.note(&name, "answered");
        serde_json::to_value(answer).expect("a model is plain data")
    }};
}

/// Makes a call whose answer the crate takes for a bare list, which the service never sends: it gives the answer as it is.
macro_rules! raw {
    ($clients:ident.$module:ident.$group:ident().$operation:ident($($argument:expr),* $(,)?)) => {{
        let name = $crate::recorded::name(stringify!($module), stringify!($group), stringify!($operation));
        let answer = $clients.$module.$group().$operation($($argument),*).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{name}: {error:?}")).into_raw_response();
        $clients.note(&name, "answered");
        serde_json::from_slice::<serde_json::Value>(answer.body().as_ref()).expect("JSON")
    }};
}

/// Makes a call that the service does not model, and notes whether it says so.
macro_rules! refused {
    ($clients:ident.$module:ident.$group:ident().$operation:ident($($argument:expr),* $(,)?)) => {{
        let name = $crate::recorded::name(stringify!($module), stringify!($group), stringify!($operation));
        let answer = $clients.$module.$group().$operation($($argument),*).await;
        $clients.note(&name, $crate::recorded::refusal(&name, answer.err()));
    }};
}

/// Makes a call that must fail, and gives the key by which clients know why.
macro_rules! failure {
    ($clients:ident.$module:ident.$group:ident().$operation:ident($($argument:expr),* $(,)?)) => {{
        let name = $crate::recorded::name(stringify!($module), stringify!($group), stringify!($operation));
        let answer = $clients.$module.$group().$operation($($argument),*).await;
        $clients.note(&name, "answered");
        $crate::recorded::type_key(answer.err())
    }};
}

pub(crate) use {call, failure, raw, refused};

/// A call's name, as the crate has it in its source.
pub fn name(module: &str, group: &str, operation: &str) -> String {
    let group = group.strip_suffix("_client").unwrap_or(group);
    format!("{module}.{group}.{operation}")
}

/// What the outcome of a call is that should not be modelled.
pub fn refusal(name: &str, error: Option<azure_core::Error>) -> &'static str {
    let Some(error) = error else {
        eprintln!("{name} is answered, and nothing checks the answer");
        return WRONG;
    };
    let (status, body) = response(&error);
    let message = body["message"].as_str().unwrap_or_default();
    if status == NOT_IMPLEMENTED && message.ends_with("is not modelled by Poolproof.") {
        return "501";
    }
    eprintln!("{name}: {status} {message}");
    WRONG
}

/// The key by which clients know why a call failed.
pub fn type_key(error: Option<azure_core::Error>) -> String {
    error.map_or_else(String::new, |error| {
        response(&error).1["typeKey"].as_str().unwrap_or_default().to_owned()
    })
}

fn response(error: &azure_core::Error) -> (u16, Value) {
    match error.kind() {
        ErrorKind::HttpResponse { status, raw_response: Some(response), .. } => {
            let body = serde_json::from_slice(response.body().as_ref());
            (u16::from(*status), body.unwrap_or_else(|bad| panic!("{bad}: {error:?}")))
        }
        _ => panic!("no answer: {error:?}"),
    }
}
