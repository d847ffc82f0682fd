//! Every row of the table, at its first version and just before it.

use super::*;

fn rules(version: &str) -> &'static Rules {
    Rules::of(&Version::parse(version).expect("a version")).expect("modelled")
}

#[test]
fn versions_outside_are_refused_and_the_error_says_which_are_modelled() {
    for version in ["2.8.9", "2.22.0", "3.0.0", "1.5.0"] {
        let error = Rules::of(&Version::parse(version).expect("a version")).expect_err("not modelled");
        assert_eq!(
            error.to_string(),
            format!("KEDA {version} is not modelled: 2.9.0 up to and including 2.21 are")
        );
    }
}

#[test]
fn the_table_is_in_order_and_starts_with_the_oldest_version() {
    assert_eq!(TABLE[0].0, (OLDEST.major, OLDEST.minor, OLDEST.patch));
    assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1));
}

/// What a field is in a version, and in the one before it.
fn changes<T: Copy + PartialEq + std::fmt::Debug>(
    at: &str,
    before: &str,
    field: impl Fn(&Rules) -> T,
    from: T,
    to: T,
) {
    assert_eq!(field(rules(before)), from, "{before}");
    assert_eq!(field(rules(at)), to, "{at}");
}

#[test]
fn requests_change_with_2_10_0_2_10_1_2_12_1_2_17_0_and_2_18_0() {
    changes("2.10.0", "2.9.3", |r| r.scaler.top, Top::Never, Top::Always);
    changes("2.10.1", "2.10.0", |r| r.scaler.top, Top::Always, Top::UnlessParent);
    changes("2.12.1", "2.12.0", |r| r.scaler.pool_name_escaped, false, true);
    changes("2.17.0", "2.16.1", |r| r.scaler.pool_id_from_answer, true, false);
    changes("2.18.0", "2.17.3", |r| r.scaler.unfinished_only, false, true);
}

#[test]
fn counting_changes_with_2_10_2_17_2_18_2_20_and_2_21() {
    let old = Demands::AllButOne;
    changes("2.10.1", "2.10.0", |r| r.scaler.demands, old, Demands::WithoutAgentVersion);
    changes("2.10.0", "2.9.3", |r| r.scaler.require_all_demands, false, true);
    changes("2.17.0", "2.16.1", |r| r.scaler.require_all_and_ignore_others, false, true);
    changes("2.18.0", "2.17.3", |r| r.scaler.case_insensitive_demands, false, true);
    changes("2.20.0", "2.19.0", |r| r.scaler.received, Received::Count, Received::Drop);
    changes("2.21.0", "2.20.2", |r| r.scaler.received, Received::Drop, Received::AsScaleOnInFlight);
}

#[test]
fn authentication_and_settings_change_with_2_13_2_15_2_17_2_18_1_and_2_21() {
    changes("2.13.0", "2.12.1", |r| r.scaler.identities, Identities::None, Identities::Pod);
    changes("2.15.0", "2.14.1", |r| r.scaler.identities, Identities::Pod, Identities::Workload);
    let newest = Identities::WorkloadAndServicePrincipal;
    changes("2.21.0", "2.20.2", |r| r.scaler.identities, Identities::Workload, newest);
    changes("2.17.0", "2.16.1", |r| r.scaler.settings, Settings::OneByOne, Settings::Typed);
    changes("2.18.1", "2.18.0", |r| r.scaler.token_trim, TokenTrim::OneLineFeed, TokenTrim::WhiteSpace);
}

#[test]
fn caches_change_with_2_10_2_12_1_2_13_2_14_2_16_2_20_and_2_21() {
    changes("2.10.0", "2.9.3", |r| r.cache.poll_error_drops, false, true);
    changes("2.12.1", "2.12.0", |r| r.cache.builds_in_turn, true, false);
    changes("2.13.0", "2.12.1", |r| r.cache.parallel, false, true);
    changes("2.14.0", "2.13.1", |r| r.cache.query_error_named, false, true);
    changes("2.16.0", "2.15.1", |r| r.cache.refresh_locks, false, true);
    changes("2.20.0", "2.19.0", |r| r.cache.closed_is_inactive, false, true);
    changes("2.21.0", "2.20.2", |r| r.cache.retry_in_builder_context, true, false);
    changes("2.21.0", "2.20.2", |r| r.cache.error_drops_records, true, false);
    changes("2.21.0", "2.20.2", |r| r.cache.hpa_observations, false, true);
}

#[test]
fn scaled_objects_change_with_2_11_to_2_14_2_17_to_2_21() {
    type S = ScaledObjectRules;
    let so = |field: fn(&S) -> bool| move |r: &Rules| field(&r.scaled_object);
    changes("2.17.0", "2.16.1", |r| r.scaled_object.fallback, Fallback::PollAtOnce, Fallback::HpaOnly);
    changes("2.19.0", "2.18.3", |r| r.scaled_object.fallback, Fallback::HpaOnly, Fallback::PollAndHpa);
    changes("2.17.0", "2.16.1", so(|r| r.fallback_behavior), false, true);
    changes("2.18.0", "2.17.3", so(|r| r.fallback_for_value), false, true);
    changes("2.14.0", "2.13.1", so(|r| r.initial_cooldown), false, true);
    changes("2.12.0", "2.11.2", |r| r.scaled_object.paused, Paused::Unknown, Paused::Presence);
    changes("2.13.0", "2.12.1", |r| r.scaled_object.paused, Paused::Presence, Paused::Value);
    let (by_loop, by_both) = (PausedReplicas::Loop, PausedReplicas::ReconcilerByExecutor);
    changes("2.11.0", "2.10.1", |r| r.scaled_object.paused_replicas, by_loop, by_both);
    changes("2.20.0", "2.19.0", |r| r.scaled_object.paused_replicas, by_both, PausedReplicas::Reconciler);
    changes("2.12.0", "2.11.2", so(|r| r.built_events), false, true);
    changes("2.14.0", "2.13.1", so(|r| r.activation_names_triggers), false, true);
    changes("2.19.0", "2.18.3", so(|r| r.fallback_events && r.pause_events), false, true);
    changes("2.18.0", "2.17.3", so(|r| r.check_tells_cause && r.paused_is_false_at_first), false, true);
    changes("2.18.0", "2.17.3", so(|r| r.partial_pause), false, true);
    changes("2.20.0", "2.19.0", |r| r.scaled_object.ready, Ready::WhenWrong, Ready::EveryPoll);
    let (ignored, lowers) = (HpaHealth::Ignored, HpaHealth::LowersReady);
    changes("2.20.0", "2.19.0", |r| r.scaled_object.hpa_health, ignored, lowers);
    changes("2.20.2", "2.20.1", |r| r.scaled_object.hpa_health, lowers, HpaHealth::Condition);
    changes("2.21.0", "2.20.2", so(|r| r.failed_scale_is_told), false, true);
}

#[test]
fn scaled_jobs_change_with_2_11_to_2_15_2_18_to_2_21() {
    type J = ScaledJobRules;
    let job = |field: fn(&J) -> bool| move |r: &Rules| field(&r.scaled_job);
    let (running, pending) = (Accurate::RunningWithinMaximum, Accurate::RunningWithoutPendingWithinMaximum);
    changes("2.19.0", "2.18.3", |r| r.scaled_job.accurate, running, pending);
    changes("2.15.0", "2.14.1", job(|r| r.eager), false, true);
    let (panics, zero) = (CustomWithoutDeduction::Panics, CustomWithoutDeduction::Zero);
    changes("2.20.2", "2.20.1", |r| r.scaled_job.custom_without_deduction, panics, zero);
    changes("2.11.0", "2.10.1", |r| r.scaled_job.bounds, JobBounds::MaximumIsZero, JobBounds::Clipped);
    let (sum, one) = (PendingConditions::SumOverPods, PendingConditions::OnePodAll);
    changes("2.18.0", "2.17.3", |r| r.scaled_job.pending_conditions, sum, one);
    changes("2.14.1", "2.14.0", |r| r.scaled_job.rollout, RolloutCheck::None, RolloutCheck::Generation);
    changes("2.21.0", "2.20.2", job(|r| r.series_limit), false, true);
    changes("2.18.2", "2.18.1", job(|r| r.all_failed_is_false), false, true);
    changes("2.13.0", "2.12.1", job(|r| r.annotations_copied), false, true);
}
