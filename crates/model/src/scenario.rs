//! The scenario file: what an organisation, a cluster and a load look like, and
//! what is expected of them. The published schema is made from these types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::instant::{Millis, MillisRange};
use crate::pipeline::Definition;
use crate::quirks::Quirks;

/// A scenario: one load on one or more agent pools, and what must come of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name: lower-case letters, digits and dashes.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"))]
    pub name: String,
    /// What it shows, in a sentence or two.
    pub about: String,
    /// Public threads it comes from, such as `kedacore/keda#8185`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// The Azure DevOps organisation.
    pub organization: Organization,
    /// Kubernetes manifests to apply, relative to the scenario's file.
    pub manifests: Vec<String>,
    /// What a manifest leaves to its reader to fill in, by the text that stands there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub substitute: BTreeMap<String, Substitute>,
    /// The cluster.
    #[serde(default)]
    pub cluster: Cluster,
    /// The agents in the pods.
    #[serde(default)]
    pub agents: Agents,
    /// Pipelines whose builds have more to them than jobs that are all queued at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub definitions: Vec<Definition>,
    /// When builds are queued.
    pub load: Vec<Burst>,
    /// What goes wrong, and what is changed in mid-run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// When the run ends: `settled`, or a duration.
    #[serde(default)]
    pub until: Until,
    /// The longest the run may take.
    pub at_most: Millis,
    /// What must hold. The rules that always hold are not listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<Expectation>,
    /// Versions on which it must fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_bad: Option<KnownBad>,
    /// Rules that this scenario is meant to break: it is wrong by design, and shows how.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect_findings: Vec<String>,
}

/// An Azure DevOps organisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Organization {
    /// Its parallel jobs on self-hosted agents: `unlimited`, or a number.
    #[serde(default)]
    pub parallel_jobs: ParallelJobs,
    /// From the moment that a job and an agent are both there to the assignment.
    #[serde(default = "Organization::default_assign_delay")]
    pub assign_delay: MillisRange,
    /// How long a job stays locked by an agent that is not heard of.
    #[serde(default = "Organization::default_job_lock")]
    pub job_lock: Millis,
    /// How long a session without polls lives.
    #[serde(default = "Organization::default_session_expiry")]
    pub session_expiry: Millis,
    /// How it behaves where the real service's behaviour is not known.
    #[serde(default, skip_serializing_if = "Quirks::is_default")]
    pub quirks: Quirks,
    /// Its agent pools.
    pub pools: Vec<Pool>,
}

impl Organization {
    /// An organisation with these pools and the default of everything else.
    #[must_use]
    pub fn with_pools(pools: Vec<Pool>) -> Self {
        Self {
            parallel_jobs: ParallelJobs::default(),
            assign_delay: Self::default_assign_delay(),
            job_lock: Self::default_job_lock(),
            session_expiry: Self::default_session_expiry(),
            quirks: Quirks::default(),
            pools,
        }
    }

    fn default_assign_delay() -> MillisRange {
        MillisRange { least: Millis::seconds(1), most: Millis::seconds(3) }
    }
    fn default_job_lock() -> Millis {
        Millis::minutes(10)
    }
    fn default_session_expiry() -> Millis {
        Millis::minutes(5)
    }
}

/// How many jobs an organisation may run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ParallelJobs {
    /// That many.
    Limited(u32),
    /// As many as there are agents.
    #[default]
    #[serde(with = "unlimited")]
    #[schemars(with = "unlimited::Unlimited")]
    Unlimited,
}

mod unlimited {
    //! The word `unlimited`, as an untagged variant.
    use schemars::JsonSchema;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub(super) enum Unlimited {
        /// No limit.
        Unlimited,
    }
    pub(super) fn serialize<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        Unlimited::Unlimited.serialize(serializer)
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        Unlimited::deserialize(deserializer).map(|_| ())
    }
}

/// An agent pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: u64,
    /// Placeholders: agents that are registered and stay offline, so that builds are accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<Placeholder>,
}

/// An agent that is registered and never comes online.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Placeholder {
    /// Its name.
    pub name: String,
    /// What it can do, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capabilities: BTreeMap<String, String>,
}

/// What is filled in for a text that a manifest leaves to its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Substitute {
    /// The organisation's address.
    OrganizationUrl,
    /// A personal access token, as it is.
    PersonalAccessToken,
    /// A personal access token in base64, as a Secret's `data` wants it.
    PersonalAccessTokenBase64,
}

/// The cluster that the scenario needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// How many nodes.
    pub nodes: u32,
    /// How many pods a node takes.
    pub pods_per_node: u32,
    /// How long a node takes to pull the image; a node pulls it once.
    pub image_pull: MillisRange,
    /// How long a container takes to start when its image is there.
    pub container_start: MillisRange,
    /// KEDA's version, unless the command line names others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keda: Option<String>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            nodes: 3,
            pods_per_node: 30,
            image_pull: MillisRange::exactly(Millis::seconds(20)),
            container_start: MillisRange { least: Millis::seconds(1), most: Millis::seconds(3) },
            keda: None,
        }
    }
}

/// The agents in the pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Agents {
    /// From the container's start to listening for jobs.
    pub start_up: MillisRange,
    /// Capabilities beside the container's environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub capabilities: BTreeMap<String, String>,
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            start_up: MillisRange { least: Millis::seconds(8), most: Millis::seconds(20) },
            capabilities: BTreeMap::new(),
        }
    }
}

/// Builds that are queued at the same moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// When, from the moment that everything is in place.
    pub at: Millis,
    /// How long after that it comes again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Millis>,
    /// How often it comes in all, if it comes again.
    #[serde(default = "one")]
    pub times: u32,
    /// How many builds.
    #[serde(default = "one")]
    pub builds: u32,
    /// The pipeline, by name: it says what each build runs. Without one, `jobs`, `duration`, `demands` and
    /// `pool` say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// How many parallel jobs each build has.
    #[serde(default = "one")]
    pub jobs: u32,
    /// How long each job runs.
    #[serde(default, skip_serializing_if = "MillisRange::is_zero")]
    pub duration: MillisRange,
    /// What each job demands of an agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub demands: Vec<String>,
    /// The pool, by name. It can be left out if there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
}

fn one() -> u32 {
    1
}

/// When a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Until {
    /// This long after everything is in place.
    After(Millis),
    /// When the load is done, no job is unfinished and the replicas are at the minimum.
    #[default]
    #[serde(with = "settled")]
    #[schemars(with = "settled::Settled")]
    Settled,
}

mod settled {
    //! The word `settled`, as an untagged variant.
    use schemars::JsonSchema;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub(super) enum Settled {
        /// Nothing is left to do.
        Settled,
    }
    pub(super) fn serialize<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        Settled::Settled.serialize(serializer)
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        Settled::deserialize(deserializer).map(|_| ())
    }
}

/// What must hold at the end of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// The most replicas (for a ScaledJob: unfinished Jobs) that were ever asked for.
    PeakReplicas(u32),
    /// After the last job ended, replicas are back at the minimum in time.
    ReturnsToMin(Within),
    /// After the peak, replicas never rise again.
    NoSecondRise,
    /// Every agent that registered was unregistered, none is offline, none was orphaned.
    AgentsDeregister,
    /// No pod was deleted while its agent held a job.
    NoBusyAgentKilled,
    /// How long jobs wait from queued to received.
    QueueWait(Percentiles),
    /// The most agents that registered and never received a job.
    SurplusAgents(u32),
    /// The most reads of the queue in an hour, on average over the run.
    ReadsPerHour(u32),
}

/// A bound on how long something takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Within {
    /// The longest it may take.
    pub within: Millis,
}

/// Bounds on a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Percentiles {
    /// Half of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<Millis>,
    /// Nineteen of twenty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95: Option<Millis>,
    /// All of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Millis>,
}

/// Versions on which a scenario must fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownBad {
    /// KEDA's, as comma-separated comparisons that all hold: `>=2.20.0, <2.21.0`. `||` stands between alternatives.
    pub keda: String,
    /// The rules that must find it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
}
