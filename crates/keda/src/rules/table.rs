//! The table of versions: each row is the row before it with what that release changed.

use super::{
    Accurate, CacheRules, CustomWithoutDeduction, Demands, Fallback, HpaHealth, Identities, JobBounds,
    JobPaused, OrganizationUrl, Paused, PausedReplicas, PendingConditions, Ready, Received, RolloutCheck,
    Rules, ScaledJobRules, ScaledObjectRules, ScalerRules, Settings, TokenTrim, Top,
};

/// The first version of each set of rules, oldest first.
pub static TABLE: [((u64, u64, u64), &Rules); 20] = [
    ((2, 9, 0), &V2_9_0),
    ((2, 10, 0), &V2_10_0),
    ((2, 10, 1), &V2_10_1),
    ((2, 11, 0), &V2_11_0),
    ((2, 12, 0), &V2_12_0),
    ((2, 12, 1), &V2_12_1),
    ((2, 13, 0), &V2_13_0),
    ((2, 14, 0), &V2_14_0),
    ((2, 14, 1), &V2_14_1),
    ((2, 15, 0), &V2_15_0),
    ((2, 16, 0), &V2_16_0),
    ((2, 16, 1), &V2_16_1),
    ((2, 17, 0), &V2_17_0),
    ((2, 18, 0), &V2_18_0),
    ((2, 18, 1), &V2_18_1),
    ((2, 18, 2), &V2_18_2),
    ((2, 19, 0), &V2_19_0),
    ((2, 20, 0), &V2_20_0),
    ((2, 20, 2), &V2_20_2),
    ((2, 21, 0), &V2_21_0),
];

const V2_9_0: Rules = Rules {
    scaler: ScalerRules {
        top: Top::Never,
        unfinished_only: false,
        pool_name_escaped: false,
        pool_id_from_answer: true,
        received: Received::Count,
        demands: Demands::AllButOne,
        require_all_demands: false,
        require_all_and_ignore_others: false,
        case_insensitive_demands: false,
        settings: Settings::OneByOne,
        organization_url: OrganizationUrl::ParametersThenEnvironment,
        token_trim: TokenTrim::OneLineFeed,
        identities: Identities::None,
        pool_id_cause: false,
    },
    cache: CacheRules {
        retry_in_builder_context: true,
        closed_is_inactive: false,
        builds_in_turn: true,
        refresh_locks: false,
        poll_error_drops: false,
        parallel: false,
        error_drops_records: true,
        hpa_observations: false,
        query_error_named: false,
    },
    scaled_object: ScaledObjectRules {
        fallback: Fallback::PollAtOnce,
        fallback_behavior: false,
        fallback_for_value: false,
        fallback_events: false,
        initial_cooldown: false,
        paused: Paused::Unknown,
        paused_replicas: PausedReplicas::Loop,
        partial_pause: false,
        paused_is_false_at_first: false,
        ready: Ready::WhenWrong,
        hpa_health: HpaHealth::Ignored,
        failed_scale_is_told: false,
        failed_to_scale: "scaled",
        activation_names_triggers: false,
        built_events: false,
        check_tells_cause: false,
        unknown_state: "UnkownState",
        pause_events: false,
    },
    scaled_job: ScaledJobRules {
        accurate: Accurate::RunningWithinMaximum,
        eager: false,
        custom_without_deduction: CustomWithoutDeduction::Panics,
        bounds: JobBounds::MaximumIsZero,
        pending_conditions: PendingConditions::SumOverPods,
        rollout: RolloutCheck::None,
        series_limit: false,
        paused: JobPaused::Unknown,
        ready: Ready::WhenWrong,
        ready_tells_errors: false,
        all_failed_is_false: false,
        annotations_copied: false,
        activity_events: false,
        ready_recovers: false,
        polls_without_scalers: false,
        retries_stay: true,
        labels_excluded: false,
    },
};

const V2_10_0: Rules = {
    let mut rules = V2_9_0;
    rules.scaler.top = Top::Always;
    rules.scaler.require_all_demands = true;
    rules.scaler.pool_id_cause = true;
    rules.cache.poll_error_drops = true;
    rules
};

const V2_10_1: Rules = {
    let mut rules = V2_10_0;
    rules.scaler.top = Top::UnlessParent;
    rules.scaler.demands = Demands::WithoutAgentVersion;
    rules
};

const V2_11_0: Rules = {
    let mut rules = V2_10_1;
    rules.scaled_object.paused_replicas = PausedReplicas::ReconcilerByExecutor;
    rules.scaled_object.unknown_state = "UnknownState";
    rules.scaled_job.bounds = JobBounds::Clipped;
    rules.scaled_job.paused = JobPaused::Presence;
    rules
};

const V2_12_0: Rules = {
    let mut rules = V2_11_0;
    rules.scaled_object.paused = Paused::Presence;
    rules.scaled_object.built_events = true;
    rules.scaled_job.polls_without_scalers = true;
    rules
};

const V2_12_1: Rules = {
    let mut rules = V2_12_0;
    rules.scaler.pool_name_escaped = true;
    rules.cache.builds_in_turn = false;
    rules
};

const V2_13_0: Rules = {
    let mut rules = V2_12_1;
    rules.scaler.identities = Identities::Pod;
    rules.cache.parallel = true;
    rules.scaled_object.paused = Paused::Value;
    rules.scaled_job.paused = JobPaused::Value;
    rules.scaled_job.annotations_copied = true;
    rules
};

const V2_14_0: Rules = {
    let mut rules = V2_13_0;
    rules.cache.query_error_named = true;
    rules.scaled_object.initial_cooldown = true;
    rules.scaled_object.activation_names_triggers = true;
    rules
};

const V2_14_1: Rules = {
    let mut rules = V2_14_0;
    rules.scaled_job.rollout = RolloutCheck::Generation;
    rules.scaled_job.ready_tells_errors = true;
    rules
};

const V2_15_0: Rules = {
    let mut rules = V2_14_1;
    rules.scaler.identities = Identities::Workload;
    rules.scaled_job.eager = true;
    rules
};

const V2_16_0: Rules = {
    let mut rules = V2_15_0;
    rules.cache.refresh_locks = true;
    rules
};

const V2_16_1: Rules = {
    let mut rules = V2_16_0;
    rules.scaled_job.ready_recovers = true;
    rules
};

const V2_17_0: Rules = {
    let mut rules = V2_16_1;
    rules.scaler.pool_id_from_answer = false;
    rules.scaler.require_all_and_ignore_others = true;
    rules.scaler.settings = Settings::Typed;
    rules.scaler.organization_url = OrganizationUrl::EnvironmentThenParameters;
    rules.scaled_object.fallback = Fallback::HpaOnly;
    rules.scaled_object.fallback_behavior = true;
    rules
};

const V2_18_0: Rules = {
    let mut rules = V2_17_0;
    rules.scaler.unfinished_only = true;
    rules.scaler.case_insensitive_demands = true;
    rules.scaled_object.fallback_for_value = true;
    rules.scaled_object.partial_pause = true;
    rules.scaled_object.paused_is_false_at_first = true;
    rules.scaled_object.check_tells_cause = true;
    rules.scaled_job.pending_conditions = PendingConditions::OnePodAll;
    rules.scaled_job.labels_excluded = true;
    rules
};

const V2_18_1: Rules = {
    let mut rules = V2_18_0;
    rules.scaler.organization_url = OrganizationUrl::EnvironmentThenParametersThenMetadata;
    rules.scaler.token_trim = TokenTrim::WhiteSpace;
    rules
};

const V2_18_2: Rules = {
    let mut rules = V2_18_1;
    rules.scaled_job.all_failed_is_false = true;
    rules
};

const V2_19_0: Rules = {
    let mut rules = V2_18_2;
    rules.scaled_object.fallback = Fallback::PollAndHpa;
    rules.scaled_object.fallback_events = true;
    rules.scaled_object.pause_events = true;
    rules.scaled_job.accurate = Accurate::RunningWithoutPendingWithinMaximum;
    rules.scaled_job.activity_events = true;
    rules
};

const V2_20_0: Rules = {
    let mut rules = V2_19_0;
    rules.scaler.received = Received::Drop;
    rules.cache.closed_is_inactive = true;
    rules.scaled_object.paused_replicas = PausedReplicas::Reconciler;
    rules.scaled_object.ready = Ready::EveryPoll;
    rules.scaled_object.hpa_health = HpaHealth::LowersReady;
    rules.scaled_object.failed_to_scale = "scale";
    rules.scaled_job.ready = Ready::EveryPoll;
    rules.scaled_job.retries_stay = false;
    rules
};

const V2_20_2: Rules = {
    let mut rules = V2_20_0;
    rules.scaled_object.hpa_health = HpaHealth::Condition;
    rules.scaled_job.custom_without_deduction = CustomWithoutDeduction::Zero;
    rules
};

const V2_21_0: Rules = {
    let mut rules = V2_20_2;
    rules.scaler.received = Received::AsScaleOnInFlight;
    rules.scaler.identities = Identities::WorkloadAndServicePrincipal;
    rules.cache.retry_in_builder_context = false;
    rules.cache.error_drops_records = false;
    rules.cache.hpa_observations = true;
    rules.scaled_object.failed_scale_is_told = true;
    rules.scaled_job.series_limit = true;
    rules
};
