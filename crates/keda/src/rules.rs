//! What differs between KEDA's versions, as data.
//!
//! Every rule that changed between 2.9.0 and 2.21 is a field here, and no other
//! module asks for a version number. A version's rules are those of the version
//! before it with the changes that its release made ([`TABLE`]).
//!
//! Sources are named `K:path` for a file of github.com/kedacore/keda, with the
//! pull request where one made the change. The behavior was read in the tagged
//! sources of each release.

mod releases;
mod table;
#[cfg(test)]
mod tests;

use semver::Version;

pub use releases::RELEASES;
pub use table::TABLE;

/// The oldest version whose rules are known.
pub const OLDEST: Version = Version::new(2, 9, 0);
/// The newest minor version whose rules are known; its patch releases count as equal.
pub const NEWEST_MINOR: (u64, u64) = (2, 21);

/// A version that is not modelled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("KEDA {version} is not modelled: 2.9.0 up to and including 2.21 are")]
pub struct UnknownVersion {
    /// The version that was asked for.
    pub version: Version,
}

/// How one version of KEDA behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The azure-pipelines scaler.
    pub scaler: ScalerRules,
    /// Scalers caches and how a failed read is tried again.
    pub cache: CacheRules,
    /// The ScaledObject controller and its loop.
    pub scaled_object: ScaledObjectRules,
    /// The ScaledJob controller and its loop.
    pub scaled_job: ScaledJobRules,
}

impl Rules {
    /// The rules of a version. A pre-release counts as the version that it leads to.
    ///
    /// # Errors
    /// The version is older than 2.9.0 or newer than 2.21.
    pub fn of(version: &Version) -> Result<&'static Self, UnknownVersion> {
        let numbers = (version.major, version.minor, version.patch);
        if (version.major, version.minor) > NEWEST_MINOR {
            return Err(UnknownVersion { version: version.clone() });
        }
        let row = TABLE.iter().rev().find(|(first, _)| *first <= numbers);
        row.map(|(_, rules)| *rules).ok_or_else(|| UnknownVersion { version: version.clone() })
    }
}

/// The azure-pipelines scaler (K:pkg/scalers/azure_pipelines_scaler.go).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScalerRules {
    /// When the job requests are asked for with `$top`.
    pub top: Top,
    /// Whether `fetchUnfinishedJobsOnly` is understood, and with it the errors about settings that exclude
    /// each other (2.18.0, #6894).
    pub unfinished_only: bool,
    /// Whether the pool's name is escaped in the query; before, a blank in it made a request that
    /// the service refuses (2.12.1, #5120).
    pub pool_name_escaped: bool,
    /// Whether the `id` in the answer about `poolID` becomes the pool that is read (until 2.16; `parseAzurePipelinesMetadata`).
    pub pool_id_from_answer: bool,
    /// Which rows count though an agent received them.
    pub received: Received,
    /// How demands are compared.
    pub demands: Demands,
    /// Whether `requireAllDemands` is understood (2.10.0, #4203).
    pub require_all_demands: bool,
    /// Whether `requireAllDemandsAndIgnoreOthers` is understood (2.17.0, #5839).
    pub require_all_and_ignore_others: bool,
    /// Whether `caseInsensitiveDemandsProcessing` is understood (2.18.0, #7112).
    pub case_insensitive_demands: bool,
    /// How settings are read.
    pub settings: Settings,
    /// Where `organizationURL` is looked for.
    pub organization_url: OrganizationUrl,
    /// What is cut off the personal access token.
    pub token_trim: TokenTrim,
    /// Ways to authenticate beside the personal access token.
    pub identities: Identities,
    /// Whether the cause is told when `poolID` cannot be read (2.10.0, #3996).
    pub pool_id_cause: bool,
}

/// When the job requests are asked for with `$top=<jobsToFetch>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Top {
    /// Never: without any query (2.9).
    Never,
    /// Always, with a parent too, which leaves the answer without matched agents (2.10.0, #4326).
    Always,
    /// Unless `parent` is set (2.10.1, #4401).
    UnlessParent,
}

/// Which rows count though an agent received them (`stripDeadJobs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// All of them (until 2.19).
    Count,
    /// None (2.20, #7757).
    Drop,
    /// As `scaleOnInFlight` says, which is true unless it is set (2.21.0, #7905).
    AsScaleOnInFlight,
}

/// How a row's demands are compared with the trigger's (`getCanAgentDemandFulfilJob`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demands {
    /// Equal pairs must be one less than the job's demands, as if exactly one of them were `Agent.Version` (until 2.10.0).
    AllButOne,
    /// `Agent.Version` is left out on both sides, and the rest is compared (2.10.1, #4405).
    WithoutAgentVersion,
}

/// How settings are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settings {
    /// One by one: the first bad one is told, texts stay untrimmed, and an empty
    /// `targetPipelinesQueueLength` or `activationTargetPipelinesQueueLength` is an error (until 2.16).
    OneByOne,
    /// All at once, trimmed, an empty one counting as absent
    /// (2.17.0, #5839; K:pkg/scalers/scalersconfig/typed_config.go).
    Typed,
}

/// Where `organizationURL` is looked for, the first place first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrganizationUrl {
    /// Authentication parameters, then the environment (until 2.16).
    ParametersThenEnvironment,
    /// The environment, then authentication parameters (2.17.0, #5839).
    EnvironmentThenParameters,
    /// The environment, authentication parameters, then the trigger's own metadata (2.18.1, #7188).
    EnvironmentThenParametersThenMetadata,
}

/// What is cut off the personal access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenTrim {
    /// One line feed at its end (until 2.18.0).
    OneLineFeed,
    /// All white space around it (2.18.1, #7188: it is read as all settings are).
    WhiteSpace,
}

/// Ways to authenticate beside the personal access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identities {
    /// None (until 2.12).
    None,
    /// The pod identities `azure-workload` and `azure` (2.13 and 2.14, #4867). What `azure` sends is not modelled.
    Pod,
    /// The pod identity `azure-workload` (2.15; `azure` was removed from KEDA).
    Workload,
    /// That, and a service principal among the authentication parameters (2.21.0).
    WorkloadAndServicePrincipal,
}

/// Scalers caches (K:pkg/scaling/cache/scalers_cache.go, K:pkg/scaling/scale_handler.go).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheRules {
    /// Whether the retry after a failed read lives in the call that built the cache. One that an HPA's query
    /// built has ended by then, and the retry fails with "context canceled" without a request (until 2.20;
    /// K:pkg/scaling/scalers_builder.go, `buildScalers`: the factory took its context from there until 2.21.0).
    pub retry_in_builder_context: bool,
    /// Whether a reader notices that its cache was closed meanwhile, and takes the trigger
    /// as inactive without an error (2.20.0, #7574; `ErrCacheClosed`).
    pub closed_is_inactive: bool,
    /// Whether one build waits for the other, because the lock over all caches is held meanwhile (until 2.12.0;
    /// `performGetScalersCache`, #5083). Here one object's builds wait; KEDA let those of all objects do so.
    pub builds_in_turn: bool,
    /// Whether a cache is locked while one of its scalers is made anew (2.16.0, #6273).
    pub refresh_locks: bool,
    /// Whether a poll's failed read drops the cache (2.10.0); a query's always did.
    pub poll_error_drops: bool,
    /// Whether the triggers of a ScaledObject are read side by side (2.13.0, #5276; `getScaledObjectState`).
    pub parallel: bool,
    /// Whether any failed read drops the records of `useCachedMetrics` (until 2.20; 2.21.0 keeps them, #8073; `ClearScalersCache`).
    pub error_drops_records: bool,
    /// Whether a poll takes over what the HPA's reads found (2.21.0; `hpaObservedRecord`).
    pub hpa_observations: bool,
    /// Whether a query that failed is answered "metric:... encountered error"; before, with
    /// "no matching metrics found for ..." (2.14.0; `GetScaledObjectMetrics`).
    pub query_error_named: bool,
}

/// The ScaledObject controller and its loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScaledObjectRules {
    /// What `fallback` does, and when.
    pub fallback: Fallback,
    /// Whether `fallback.behavior` is understood (2.17.0, #6450).
    pub fallback_behavior: bool,
    /// Whether triggers with `metricType: Value` can fall back (2.18.0, #6655).
    pub fallback_for_value: bool,
    /// Whether the events ScaledObjectFallbackActivated and ...Deactivated exist (2.19.0, #7382).
    pub fallback_events: bool,
    /// Whether `initialCooldownPeriod` is understood (2.14.0, #5008).
    pub initial_cooldown: bool,
    /// Whether `autoscaling.keda.sh/paused` is understood (2.12.0, #3304).
    pub paused: Paused,
    /// Who sets the replicas that `autoscaling.keda.sh/paused-replicas` names, and what happens to the HPA.
    pub paused_replicas: PausedReplicas,
    /// Whether the annotations `paused-scale-in`, `paused-scale-out` and `force-activation`
    /// are understood (2.18.0, #6902, #7022, #6903).
    pub partial_pause: bool,
    /// What the condition Paused is before it was ever decided: False (2.18.0, #7011) or Unknown.
    pub paused_is_false_at_first: bool,
    /// When the condition Ready is written by a poll.
    pub ready: Ready,
    /// What becomes of the HPA's condition ScalingActive.
    pub hpa_health: HpaHealth,
    /// Whether a failed write of replicas makes Ready False with ErrorScalingTarget, and
    /// its event tells the cause (2.21.0; K:pkg/scaling/executor/scale_scaledobjects.go).
    pub failed_scale_is_told: bool,
    /// The verb in the event KEDAScaleTargetActivationFailed: `scaled` until 2.19, `scale` from 2.20.0.
    pub failed_to_scale: &'static str,
    /// Whether the activation event says which triggers caused it (2.14.0).
    pub activation_names_triggers: bool,
    /// Whether a failed check tells its cause in Ready and event (2.18.0; `Reconcile`).
    pub check_tells_cause: bool,
    /// The reason of Active while a check fails: spelt `UnkownState` until 2.10.
    pub unknown_state: &'static str,
    /// Whether each new scaler is an event (2.12.0; K:pkg/scaling/scalers_builder.go, `ScalerIsBuiltMsg`).
    pub built_events: bool,
    /// Whether the events ScaledObjectPaused and ScaledObjectUnpaused exist (2.19.0, #7382).
    pub pause_events: bool,
}

/// What `fallback` does, and when (K:pkg/fallback/fallback.go).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// A poll with an error sets `fallback.replicas` at once, whatever the threshold;
    /// HPA queries count failures and are answered past it (until 2.16, #6520).
    PollAtOnce,
    /// Only HPA queries count failures and fall back: from zero nothing ever does (2.17 and 2.18).
    HpaOnly,
    /// Polls and HPA queries count and fall back alike (2.19.0, #7239).
    PollAndHpa,
}

/// What `autoscaling.keda.sh/paused` does (K:controllers/keda/scaledobject_controller.go).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paused {
    /// Nothing (until 2.11).
    Unknown,
    /// Its presence pauses, whatever it says (2.12).
    Presence,
    /// It pauses unless it says false; what is no truth value counts as true (2.13.0, #5215).
    Value,
}

/// Who sets the replicas that `autoscaling.keda.sh/paused-replicas` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PausedReplicas {
    /// The loop goes on and sets them; the HPA stays, with both bounds at that number (2.9 and 2.10).
    Loop,
    /// The reconciler, once: it sets them by the executor, stops the loop and deletes the HPA (2.11.0, #4253).
    ReconcilerByExecutor,
    /// The reconciler, when it first sees the annotation (2.20.0, #7663).
    Reconciler,
}

/// When the condition Ready is written by a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// Only when a poll finds it to be wrong (until 2.19; `RequestScale`).
    WhenWrong,
    /// By every poll, True being assumed (2.20.0; `ScaleResult`).
    EveryPoll,
}

/// What becomes of the HPA's condition ScalingActive (`checkHPAHealth`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HpaHealth {
    /// Nothing (until 2.19).
    Ignored,
    /// Ready is False when an HPA older than 60 s does not scale (2.20.0 and 2.20.1).
    LowersReady,
    /// It is the condition HPAActive (2.20.2).
    Condition,
}

/// The ScaledJob controller and its loop (K:pkg/scaling/executor/scale_jobs.go unless said otherwise).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScaledJobRules {
    /// When the strategy `accurate` takes what is pending for granted.
    pub accurate: Accurate,
    /// Whether the strategy `eager` exists; before, its name means `default` (2.15.0, #5114).
    pub eager: bool,
    /// What the strategy `custom` does without `customScalingQueueLengthDeduction`.
    pub custom_without_deduction: CustomWithoutDeduction,
    /// What becomes of a minReplicaCount above maxReplicaCount (K:apis/keda/v1alpha1/scaledjob_types.go).
    pub bounds: JobBounds,
    /// How `pendingPodConditions` are matched.
    pub pending_conditions: PendingConditions,
    /// Which Jobs an immediate rollout deletes (K:controllers/keda/scaledjob_controller.go).
    pub rollout: RolloutCheck,
    /// Whether a series of creations ends after P + KEDA_KUBERNETES_API_TIMEOUT, a failure
    /// makes Ready False, and the event tells how many were created instead of how many were wanted (2.21.0; `createJobs`).
    pub series_limit: bool,
    /// Whether `autoscaling.keda.sh/paused` is understood.
    pub paused: JobPaused,
    /// When the condition Ready is written by a poll; the versions are those of ScaledObjects.
    pub ready: Ready,
    /// Whether Ready tells of failed triggers (2.14.1, #5922; before, it stayed as it was).
    pub ready_tells_errors: bool,
    /// Whether Ready is False when all triggers fail (2.18.2, #7205); before, it is Unknown.
    pub all_failed_is_false: bool,
    /// Whether Jobs get the ScaledJob's annotations (2.13.0, #4594).
    pub annotations_copied: bool,
    /// Whether the events ScaledJobActive, ScaledJobInactive and KEDAJobCreateFailed exist, and those of pauses and
    /// rollouts (2.19.0, #7382).
    pub activity_events: bool,
    /// Whether a poll without errors brings Ready back to True; before, only a reconcile did (2.16.1, #6329).
    pub ready_recovers: bool,
    /// Whether a poll that cannot build the scalers goes on without readings; before, it ended there
    /// (2.12.0, #4781; K:pkg/scaling/scale_handler.go).
    pub polls_without_scalers: bool,
    /// Whether a reconcile that waits to be tried again is tried at that time even if an edit has brought
    /// another one before (until 2.19: client-go `util/workqueue`; from 2.20.0 on
    /// controller-runtime's own queue, `pkg/controller/priorityqueue`, keeps one entry).
    pub retries_stay: bool,
    /// Whether `scaledjob.keda.sh/job-excluded-labels` is understood (2.18.0, #6849).
    pub labels_excluded: bool,
}

/// When the strategy `accurate` takes what is pending for granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accurate {
    /// When scale and running Jobs stay within the maximum, pending ones not looked at (until 2.18).
    RunningWithinMaximum,
    /// When scale and running Jobs without the pending ones do (2.19.0, #7329).
    RunningWithoutPendingWithinMaximum,
}

/// What the strategy `custom` does without `customScalingQueueLengthDeduction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomWithoutDeduction {
    /// The operator panics (until 2.20.1).
    Panics,
    /// It counts as zero (2.20.2).
    Zero,
}

/// What becomes of a minReplicaCount above maxReplicaCount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobBounds {
    /// Nothing is created beyond the minimum; a minimum without maxReplicaCount makes the operator panic (until 2.10).
    MaximumIsZero,
    /// Minimum and maximum both become maxReplicaCount (2.11.0, #4568).
    Clipped,
}

/// How `pendingPodConditions` are matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PendingConditions {
    /// The fulfilled conditions of all pods of the Job together must be as many as are listed (until 2.17).
    SumOverPods,
    /// One pod of the Job must fulfil all (2.18.0, #6727).
    OnePodAll,
}

/// Which Jobs an immediate rollout deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutCheck {
    /// All, at every reconcile, that of an operator restart too (until 2.14.0, #5656).
    None,
    /// Those whose generation annotation differs or is missing (2.14.1).
    Generation,
}

/// What `autoscaling.keda.sh/paused` does to a ScaledJob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobPaused {
    /// Nothing (until 2.10).
    Unknown,
    /// Its presence pauses, whatever it says (2.11.0, #3303).
    Presence,
    /// It pauses unless it says false (2.13.0, #5215).
    Value,
}
