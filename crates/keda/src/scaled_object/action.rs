//! What a ScaledObject's machine is told, sees and does.

use std::borrow::Cow;

use model::Millis;

use super::conditions::{ConditionType, Status};
use super::decide::Because;
use super::hpa::HpaSpec;
use super::spec::Spec;
use crate::rules::Rules;
use crate::scaler::{Answer, CallId, DEFAULT_HTTP_TIMEOUT, Request, Wire};

/// What the machine sees when it looks: the operator's informer caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct View {
    /// The target's `spec.replicas`; nothing if there is no target.
    pub replicas: Option<u32>,
    /// Its pods that run and are ready.
    pub ready: u32,
}

/// What the operator was started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// `KEDA_HTTP_DEFAULT_TIMEOUT`.
    pub http_timeout: Millis,
    /// `KEDA_KUBERNETES_API_TIMEOUT` (2.21): added to the polling interval, it limits each write.
    pub kubernetes_api_timeout: Millis,
}

impl Default for Options {
    fn default() -> Self {
        Self { http_timeout: DEFAULT_HTTP_TIMEOUT, kubernetes_api_timeout: Millis::ZERO }
    }
}

/// A write's number.
pub type WriteId = u64;

/// What happens to the machine.
#[derive(Debug, Clone)]
pub enum Input {
    /// The operator's informer brought the object.
    Created,
    /// The object was changed: spec or annotations. Read for the version that runs.
    Edited(Box<Spec>),
    /// The object was deleted.
    Deleted,
    /// The operator's process ended.
    OperatorDown,
    /// An operator leads again, perhaps of another version: the object is read anew for it.
    OperatorStarted(&'static Rules),
    /// A request was answered.
    Answer {
        /// The request.
        call: CallId,
        /// The answer.
        answer: Answer,
    },
    /// The HPA asks for a metric.
    Query {
        /// The query's number, chosen by the caller.
        id: u64,
        /// The metric's place in the HPA's list.
        metric: usize,
    },
    /// Whoever asked no longer waits.
    QueryGone {
        /// The query's number.
        id: u64,
    },
    /// The HPA's condition ScalingActive, as the operator sees it; nothing while there is none.
    HpaStatus(Option<ScalingActive>),
    /// Somebody else deleted the HPA.
    HpaGone,
    /// A write of replicas was answered.
    Scaled {
        /// The write.
        write: WriteId,
        /// The replicas that it replaced, or why it failed (409 among others), in the API's words.
        result: Result<u32, String>,
    },
}

/// The HPA's condition ScalingActive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalingActive {
    /// Whether it is True.
    pub active: bool,
    /// Its reason.
    pub reason: Cow<'static, str>,
    /// Its message.
    pub message: Cow<'static, str>,
}

/// The reason of ScalingActive while a target has no replicas.
pub const SCALING_DISABLED: &str = "ScalingDisabled";

/// What the machine does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A request to Azure DevOps.
    Request {
        /// Its number.
        call: CallId,
        /// The trigger that it is for.
        trigger: usize,
        /// What is asked for.
        request: Request,
    },
    /// A request is given up.
    Abandon {
        /// Its number.
        call: CallId,
    },
    /// A query of the HPA is answered: the value in thousandths, or the error.
    AnswerQuery {
        /// The query.
        id: u64,
        /// The value or the error.
        result: Result<i64, String>,
    },
    /// Replicas are written through the scale subresource (GET, then PUT with its resourceVersion).
    Scale {
        /// Its number, for the answer.
        write: WriteId,
        /// The replicas.
        replicas: u32,
        /// Why.
        because: Because,
    },
    /// The HPA is created or changed.
    ApplyHpa(Box<HpaSpec>),
    /// The HPA is deleted.
    DeleteHpa {
        /// Its name.
        name: String,
    },
    /// A condition changed.
    Condition {
        /// Which.
        condition: ConditionType,
        /// Its status.
        status: Status,
        /// One word.
        reason: Cow<'static, str>,
        /// A sentence.
        message: Cow<'static, str>,
    },
    /// An event about the ScaledObject.
    Event {
        /// Whether it is a warning.
        warning: bool,
        /// One word (K:pkg/eventreason).
        reason: &'static str,
        /// A sentence.
        message: Cow<'static, str>,
    },
}

impl From<Wire> for Action {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Request { call, trigger, request } => Self::Request { call, trigger, request },
            Wire::Abandon { call } => Self::Abandon { call },
        }
    }
}
