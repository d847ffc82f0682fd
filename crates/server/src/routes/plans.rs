//! The routes that only the real agent and its worker ask: plans, tasks, feature flags, telemetry.

use azure_devops::plans::AttachmentKey;
use azure_devops::{AgentId, PoolId, Refusal};
use uuid::Uuid;

use crate::query::parse;

/// One of those routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PlanRoute {
    Plan(Uuid),
    Timelines(Uuid),
    Timeline(Uuid, Uuid),
    Records(Uuid, Uuid),
    Feed {
        plan: Uuid,
        timeline: Uuid,
        record: Uuid,
    },
    Attachment(Uuid, AttachmentKey),
    Logs(Uuid),
    Log(Uuid, u64),
    Events(Uuid),
    PlanAttachments(Uuid, String),
    FeatureFlag(String),
    CustomerIntelligence,
    Tasks,
    Task(String),
    TaskVersion(String),
    AgentUpdates(PoolId, AgentId),
    /// Answered before anybody is asked for a credential (`oauth`).
    Token,
}

impl PlanRoute {
    /// Its template, for the log.
    pub(crate) fn template(&self) -> &'static str {
        match self {
            Self::Plan(_) => "{project}/_apis/distributedtask/hubs/{hub}/plans/{planId}",
            Self::Timelines(_) => "{project}/_apis/distributedtask/hubs/{hub}/plans/{planId}/timelines",
            Self::Timeline(..) => {
                "{project}/_apis/distributedtask/hubs/{hub}/plans/{planId}/timelines/{timelineId}"
            }
            Self::Records(..) => {
                "{project}/_apis/distributedtask/hubs/{hub}/plans/{planId}/timelines/{timelineId}/records"
            }
            Self::Feed { .. } => {
                "{project}/_apis/distributedtask/hubs/{hub}/plans/{planId}/timelines/{timelineId}/records/{recordId}/feed"
            }
            Self::Attachment(..) => {
                "{project}/_apis/distributedtask/hubs/{hub}/plans/{planId}/timelines/{timelineId}/records/{recordId}/attachments/{type}/{name}"
            }
            Self::Logs(_) => "{project}/_apis/distributedtask/hubs/{hub}/plans/{planId}/logs",
            Self::Log(..) => "{project}/_apis/distributedtask/hubs/{hub}/plans/{planId}/logs/{logId}",
            Self::Events(_) => "{project}/_apis/distributedtask/hubs/{hub}/plans/{planId}/events",
            Self::PlanAttachments(..) => {
                "{project}/_apis/distributedtask/hubs/{hub}/plans/{planId}/attachments/{type}"
            }
            Self::FeatureFlag(_) => "_apis/FeatureFlags/{name}",
            Self::CustomerIntelligence => "_apis/CustomerIntelligence/Events",
            Self::Tasks => "_apis/distributedtask/tasks",
            Self::Task(_) => "_apis/distributedtask/tasks/{taskId}",
            Self::TaskVersion(_) => "_apis/distributedtask/tasks/{taskId}/{versionString}",
            Self::Token => "_apis/oauth2/token/{hostId}",
            Self::AgentUpdates(..) => "_apis/distributedtask/pools/{poolId}/agents/{agentId}/updates",
        }
    }
}

/// The route of the segments behind `_apis`: in lower case, and as they came.
///
/// # Errors
/// If something that has to be an id is none.
pub(crate) fn find(lower: &[&str], as_given: &[String]) -> Result<Option<PlanRoute>, Refusal> {
    Ok(Some(match lower {
        ["distributedtask", "hubs", _, "plans", plan, rest @ ..] => {
            let given = &as_given[as_given.len() - rest.len()..];
            return below_plan(parse("planId", plan)?, rest, given);
        }
        ["distributedtask", "pools", pool, "agents", agent, "updates"] => {
            PlanRoute::AgentUpdates(parse("poolId", pool)?, parse("agentId", agent)?)
        }
        ["distributedtask", "tasks"] => PlanRoute::Tasks,
        ["distributedtask", "tasks", task] => PlanRoute::Task((*task).to_owned()),
        ["distributedtask", "tasks", task, _] => PlanRoute::TaskVersion((*task).to_owned()),
        ["featureflags", _] => PlanRoute::FeatureFlag(as_given[as_given.len() - 1].clone()),
        ["oauth2", "token"] | ["oauth2", "token", _] => PlanRoute::Token,
        ["customerintelligence", "events"] => PlanRoute::CustomerIntelligence,
        _ => return Ok(None),
    }))
}

fn below_plan(plan: Uuid, lower: &[&str], as_given: &[String]) -> Result<Option<PlanRoute>, Refusal> {
    let timeline = |text: &str| parse("timelineId", text);
    let record = |text: &str| parse("recordId", text);
    Ok(Some(match (lower, as_given) {
        ([], _) => PlanRoute::Plan(plan),
        (["timelines"], _) => PlanRoute::Timelines(plan),
        (["timelines", id], _) => PlanRoute::Timeline(plan, timeline(id)?),
        (["timelines", id, "records"], _) => PlanRoute::Records(plan, timeline(id)?),
        (["timelines", id, "records", of, "feed"], _) => {
            PlanRoute::Feed { plan, timeline: timeline(id)?, record: record(of)? }
        }
        (["timelines", id, "records", of, "attachments", _, _], [.., kind, name]) => {
            let (kind, name) = (kind.clone(), name.clone());
            let key = AttachmentKey { timeline: timeline(id)?, record: record(of)?, kind, name };
            PlanRoute::Attachment(plan, key)
        }
        (["logs"], _) => PlanRoute::Logs(plan),
        (["logs", id], _) => PlanRoute::Log(plan, parse("logId", id)?),
        (["events"], _) => PlanRoute::Events(plan),
        (["attachments", _], [.., kind]) => PlanRoute::PlanAttachments(plan, kind.clone()),
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::segments;

    const PLAN: &str = "15b95994-7f7f-4d5a-8a3e-3c2c2c2c2c2c";

    fn route(path: &str) -> Result<Option<PlanRoute>, Refusal> {
        let given = segments(path);
        let lower: Vec<String> = given.iter().map(|segment| segment.to_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        find(&lower, &given)
    }

    #[test]
    fn attachments_keep_the_case_of_their_names() {
        let path = format!(
            "distributedtask/hubs/Build/plans/{PLAN}/timelines/{PLAN}/records/{PLAN}/attachments/Some.Type/A%20b.TXT"
        );
        let Ok(Some(PlanRoute::Attachment(_, key))) = route(&path) else { panic!("no attachment") };
        assert_eq!((key.kind.as_str(), key.name.as_str()), ("Some.Type", "A b.TXT"));
    }

    #[test]
    fn a_plan_and_what_is_below_it_are_told_apart() {
        let plan: Uuid = PLAN.parse().expect("a GUID");
        let below = |rest: &str| route(&format!("distributedtask/Hubs/build/PLANS/{PLAN}{rest}"));
        assert_eq!(below(""), Ok(Some(PlanRoute::Plan(plan))));
        assert_eq!(below("/logs/7"), Ok(Some(PlanRoute::Log(plan, 7))));
        assert_eq!(below("/Events"), Ok(Some(PlanRoute::Events(plan))));
        assert_eq!(below("/jobs"), Ok(None));
        assert!(below("/logs/seven").is_err());
    }
}
