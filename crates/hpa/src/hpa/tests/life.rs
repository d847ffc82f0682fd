//! When it is synced, conflicts, restarts, deletion.

use super::*;
use crate::rules::RETRY_PAUSE;
use crate::status::Reason;

const VIEW: View = View { spec_replicas: 1, status_replicas: 1, pods: 1, ready: 1 };

fn at(millis: u64) -> Instant {
    Instant(millis)
}

fn hpa(minor: u64) -> Hpa {
    Hpa::new(at(1000), spec(100, 1), rules(minor))
}

fn handle(hpa: &mut Hpa, now: Instant, input: Input) -> Vec<Action> {
    let mut actions = Vec::new();
    hpa.handle(now, input, Some(&VIEW), &mut actions);
    actions
}

fn advance(hpa: &mut Hpa, now: Instant) -> Vec<Action> {
    let mut actions = Vec::new();
    hpa.advance(now, Some(&VIEW), &mut actions);
    actions
}

/// Begins the sync that is due, and tells its number.
fn read(hpa: &mut Hpa, now: Instant) -> u32 {
    match advance(hpa, now)[..] {
        [Action::Read { sync, metric: 0 }] => sync,
        ref other => panic!("{other:?} is no read"),
    }
}

fn answer(hpa: &mut Hpa, now: Instant, sync: u32, jobs: i64) -> Vec<Action> {
    handle(hpa, now, Input::Answered { sync, answer: Some(jobs * 1000) })
}

fn written(hpa: &mut Hpa, now: Instant, sync: u32, outcome: Written) -> Vec<Action> {
    handle(hpa, now, Input::Written { sync, outcome })
}

/// The replicas and the time of the read that the only action wants written.
fn write(actions: &[Action]) -> (i32, Instant) {
    match *actions {
        [Action::Write { replicas, read_at, .. }] => (replicas, read_at),
        ref other => panic!("{other:?} is no write"),
    }
}

/// The history has a recommendation of so many replicas.
fn remembers(hpa: &Hpa, replicas: i32) -> bool {
    hpa.history.recommendations().iter().any(|recommendation| recommendation.replicas == replicas)
}

#[test]
fn the_first_sync_is_15_s_after_the_creation() {
    let mut hpa = hpa(35);
    assert_eq!(hpa.next_deadline(), Some(at(16_000)));
    assert_eq!(advance(&mut hpa, at(15_999)), []);
    read(&mut hpa, at(16_000));
}

#[test]
fn the_next_sync_is_15_s_after_the_end_of_the_last() {
    let mut hpa = hpa(35);
    let sync = read(&mut hpa, at(16_000));
    assert_eq!(hpa.next_deadline(), None);
    assert_eq!(answer(&mut hpa, at(16_012), sync, 1), [Action::Status]);
    assert_eq!(hpa.next_deadline(), Some(at(31_012) + super::super::FINISHING));
}

#[test]
fn a_sync_can_be_put_where_a_log_has_it() {
    let mut hpa = hpa(35);
    hpa.align(at(3000));
    let sync = read(&mut hpa, at(3000));
    answer(&mut hpa, at(3002), sync, 1);
    assert_eq!(hpa.next_deadline(), Some(at(18_010)));
}

#[test]
fn a_touch_or_a_resync_during_a_sync_brings_the_next_one_forward() {
    let mut touched = hpa(35);
    let sync = read(&mut touched, at(16_000));
    handle(&mut touched, at(16_003), Input::Touched);
    answer(&mut touched, at(16_010), sync, 1);
    assert_eq!(touched.next_deadline(), Some(at(31_003)));

    let mut resynced = hpa(35);
    resynced.resync_at(at(1_005));
    let sync = read(&mut resynced, at(16_000));
    answer(&mut resynced, at(16_010), sync, 1);
    assert_eq!(resynced.next_deadline(), Some(at(31_005)));
}

#[test]
fn an_edit_counts_from_the_next_sync_on_and_moves_it_not() {
    let mut hpa = hpa(35);
    let sync = read(&mut hpa, at(16_000));
    answer(&mut hpa, at(16_010), sync, 1);
    let next = hpa.next_deadline();
    handle(&mut hpa, at(20_000), Input::Edited(spec(3, 1)));
    assert_eq!(hpa.next_deadline(), next);
    let sync = read(&mut hpa, at(31_018));
    assert_eq!(write(&answer(&mut hpa, at(31_020), sync, 50)).0, 3);
}

#[test]
fn an_edit_during_a_sync_leaves_that_one_alone_and_its_status_unwritten() {
    let mut hpa = hpa(35);
    let sync = read(&mut hpa, at(16_000));
    handle(&mut hpa, at(16_001), Input::Edited(spec(3, 1)));
    assert_eq!(hpa.spec().max, 3);
    assert_eq!(write(&answer(&mut hpa, at(16_010), sync, 50)).0, 4);
    assert_eq!(written(&mut hpa, at(16_011), sync, Written::Done), []);
    assert_eq!(*hpa.status(), Status::default());
    assert_eq!(hpa.next_deadline(), Some(at(31_001)));
    let sync = read(&mut hpa, at(31_001));
    assert_eq!(write(&answer(&mut hpa, at(31_002), sync, 50)).0, 3);
}

#[test]
fn an_edit_that_changes_nothing_is_no_event() {
    let mut hpa = hpa(35);
    let sync = read(&mut hpa, at(16_000));
    handle(&mut hpa, at(16_001), Input::Edited(spec(100, 1)));
    assert!(hpa.is_syncing());
    assert_eq!(answer(&mut hpa, at(16_010), sync, 1), [Action::Status]);
    assert!(!hpa.is_syncing());
    assert_eq!(hpa.next_deadline(), Some(at(31_018)));
}

#[test]
fn a_conflict_is_tried_five_times_from_1_34() {
    let mut hpa = hpa(34);
    let sync = read(&mut hpa, at(16_000));
    assert_eq!(write(&answer(&mut hpa, at(16_010), sync, 50)), (4, at(16_000)));
    let mut now = at(16_012);
    for _ in 1..5 {
        assert_eq!(written(&mut hpa, now, sync, Written::Conflict), []);
        assert_eq!(hpa.next_deadline(), Some(now + RETRY_PAUSE));
        let read_at = now;
        now += RETRY_PAUSE;
        assert_eq!(write(&advance(&mut hpa, now)), (4, read_at), "read at once, written after the pause");
    }
    assert_eq!(written(&mut hpa, now, sync, Written::Conflict), [Action::Status]);
    let able = hpa.status().conditions.able_to_scale.expect("a condition");
    assert_eq!((able.holds, able.reason), (false, Reason::FailedUpdateScale));
    assert_eq!((hpa.status().current, hpa.status().desired, hpa.status().last_scale), (1, 0, None));
    assert_eq!(hpa.next_deadline(), Some(now + Millis(15_008)));
}

#[test]
fn a_conflict_that_passes_is_written_after_all() {
    let mut hpa = hpa(34);
    let sync = read(&mut hpa, at(16_000));
    answer(&mut hpa, at(16_010), sync, 50);
    written(&mut hpa, at(16_012), sync, Written::Conflict);
    write(&advance(&mut hpa, at(16_022)));
    assert_eq!(written(&mut hpa, at(16_023), sync, Written::Done), [Action::Status]);
    assert_eq!(hpa.status().desired, 4);
    assert_eq!(hpa.status().last_scale, Some(at(16_023)));
}

#[test]
fn a_conflict_is_final_before_1_34_and_any_other_failure_always() {
    for (minor, outcome) in [(33, Written::Conflict), (35, Written::Failed)] {
        let mut hpa = hpa(minor);
        let sync = read(&mut hpa, at(16_000));
        answer(&mut hpa, at(16_010), sync, 50);
        assert_eq!(written(&mut hpa, at(16_012), sync, outcome), [Action::Status]);
        assert_eq!(hpa.next_deadline(), Some(at(31_020)));
        let sync = read(&mut hpa, at(31_020));
        assert_eq!(write(&answer(&mut hpa, at(31_021), sync, 50)).0, 4);
    }
}

#[test]
fn a_restart_loses_the_history_and_syncs_15_s_after_the_start() {
    let mut hpa = hpa(35);
    let sync = read(&mut hpa, at(16_000));
    answer(&mut hpa, at(16_010), sync, 50);
    assert!(remembers(&hpa, 50));
    handle(&mut hpa, at(17_000), Input::ControllerStopped);
    assert_eq!(hpa.next_deadline(), None);
    handle(&mut hpa, at(18_000), Input::Touched);
    assert_eq!(hpa.next_deadline(), None);
    handle(&mut hpa, at(40_000), Input::ControllerStarted);
    assert_eq!(hpa.next_deadline(), Some(at(55_000)));
    assert!(!remembers(&hpa, 50));
    assert_eq!(written(&mut hpa, at(50_000), sync, Written::Done), [], "the write that was under way");
    let again = read(&mut hpa, at(55_000));
    assert_eq!(answer(&mut hpa, at(55_001), sync, 50), [], "the answer to the read of another sync");
    assert_eq!(answer(&mut hpa, at(55_001), again, 1), [Action::Status]);
    assert_eq!(hpa.next_deadline(), Some(at(70_000)), "in step with the resyncs, which began as it did");
}

#[test]
fn a_recreation_within_15_s_keeps_the_history_and_the_phase() {
    let mut hpa = hpa(35);
    let sync = read(&mut hpa, at(16_000));
    answer(&mut hpa, at(16_010), sync, 50);
    written(&mut hpa, at(16_012), sync, Written::Done);
    let next = hpa.next_deadline();
    handle(&mut hpa, at(20_000), Input::Deleted);
    assert_eq!(hpa.next_deadline(), next);
    handle(&mut hpa, at(25_000), Input::Recreated(spec(100, 1)));
    assert_eq!(hpa.next_deadline(), next);
    assert_eq!(*hpa.status(), Status::default());
    assert!(remembers(&hpa, 50));
    let sync = read(&mut hpa, at(31_020));
    assert_eq!(write(&answer(&mut hpa, at(31_021), sync, 1)).0, 4, "pulled up by what it remembers");
}

#[test]
fn after_15_s_a_deleted_hpa_is_forgotten() {
    let mut hpa = hpa(35);
    let sync = read(&mut hpa, at(16_000));
    answer(&mut hpa, at(16_010), sync, 1);
    handle(&mut hpa, at(20_000), Input::Deleted);
    assert_eq!(advance(&mut hpa, at(31_018)), [Action::Forgotten]);
    assert_eq!(hpa.next_deadline(), None);
    assert!(hpa.history.recommendations().is_empty());
    handle(&mut hpa, at(40_000), Input::Recreated(spec(100, 1)));
    assert_eq!(hpa.next_deadline(), Some(at(55_000)));
}

#[test]
fn an_hpa_that_is_deleted_during_a_sync_still_scales_and_is_forgotten_later() {
    let mut hpa = hpa(35);
    let sync = read(&mut hpa, at(16_000));
    handle(&mut hpa, at(16_001), Input::Deleted);
    write(&answer(&mut hpa, at(16_010), sync, 50));
    assert_eq!(written(&mut hpa, at(16_012), sync, Written::Done), []);
    assert_eq!(advance(&mut hpa, at(31_020)), [Action::Forgotten]);
}

#[test]
fn an_hpa_that_is_deleted_while_the_controller_is_down_is_forgotten_at_its_start() {
    let mut hpa = hpa(35);
    handle(&mut hpa, at(2000), Input::ControllerStopped);
    handle(&mut hpa, at(3000), Input::Deleted);
    assert_eq!(handle(&mut hpa, at(4000), Input::ControllerStarted), [Action::Forgotten]);
    assert_eq!(hpa.next_deadline(), None);
}

#[test]
fn a_workload_that_is_not_there_is_looked_for_again() {
    let mut hpa = hpa(35);
    let mut actions = Vec::new();
    hpa.advance(at(16_000), None, &mut actions);
    assert_eq!(actions, [Action::Status]);
    let able = hpa.status().conditions.able_to_scale.expect("a condition");
    assert_eq!((able.holds, able.reason), (false, Reason::FailedGetScale));
    assert!(hpa.history.recommendations().is_empty(), "nothing was seen");
    actions.clear();
    hpa.advance(at(31_008), None, &mut actions);
    assert_eq!(actions, [], "the status says so already");
    read(&mut hpa, at(46_016));
}

#[test]
fn zero_replicas_disable_it_without_a_read() {
    let mut cluster = Cluster::new(spec(100, 1), 35, 0);
    assert_eq!(cluster.syncs([Some(5), Some(5)]), [0, 0]);
    assert_eq!(cluster.reads, 0);
    assert!(!cluster.conditions().is_active());
    assert_eq!(cluster.because(), "no replicas, so the HPA is disabled");
    assert!(cluster.hpa.history.recommendations().len() == 1, "the zero that was seen first");
}

#[test]
fn fewer_than_min_goes_up_at_once_without_a_read() {
    let mut spec = spec(100, 1);
    spec.min = 3;
    let mut cluster = Cluster::new(spec, 35, 1);
    assert_eq!(cluster.syncs([Some(50)]), [3]);
    assert_eq!((cluster.reads, cluster.because().as_str()), (0, "1 are fewer than minReplicas 3"));
}

#[test]
fn the_status_is_written_only_when_it_changes() {
    let mut hpa = hpa(35);
    let mut now = at(16_000);
    let mut statuses = Vec::new();
    for jobs in [1, 1, 0, 0, 1] {
        let sync = read(&mut hpa, now);
        statuses.push(answer(&mut hpa, now, sync, jobs) == [Action::Status]);
        now = hpa.next_deadline().expect("a sync");
    }
    assert_eq!(statuses, [true, false, true, false, true]);
    assert_eq!(hpa.status().metrics, [Some(1000)]);
}

#[test]
fn conditions_and_reasons_are_told() {
    let mut cluster = Cluster::new(spec(100, 1), 35, 1);
    let reasons = |cluster: &Cluster| {
        let named = cluster.conditions().named().map(|(_, condition)| condition.reason.name());
        named.collect::<Vec<_>>()
    };
    let told = |cluster: &Cluster| {
        let named = cluster.conditions().named().map(|(name, condition)| format!("{name} {condition}"));
        named.collect::<Vec<_>>().join(", ")
    };
    cluster.syncs([Some(50)]);
    assert_eq!(reasons(&cluster), ["SucceededRescale", "ValidMetricFound", "ScaleUpLimit"]);
    assert_eq!(cluster.because(), "50 wanted, growth limit 4");
    cluster.syncs([Some(50); 2]);
    assert_eq!(cluster.because(), "50 wanted, growth limit 2x8 = 16");
    cluster.syncs([Some(5)]);
    assert_eq!(cluster.because(), "50 wanted, growth limit 2x16 = 32", "the window's 50");
    cluster.syncs([Some(50), Some(0)]);
    assert_eq!(reasons(&cluster), ["ScaleDownStabilized", "ValidMetricFound", "DesiredWithinRange"]);
    assert_eq!(cluster.because(), "0 wanted, 50 held by a recommendation of the last 5m");
    cluster.syncs([None]);
    assert_eq!(reasons(&cluster), ["SucceededGetScale", "FailedGetExternalMetric", "DesiredWithinRange"]);
    assert_eq!(
        told(&cluster),
        "AbleToScale True/SucceededGetScale, ScalingActive False/FailedGetExternalMetric, \
         ScalingLimited False/DesiredWithinRange"
    );
    let spec = cluster.hpa.spec().clone();
    let message = cluster.conditions().scaling_active.expect("a condition").reason.message(&spec).to_string();
    assert!(message.ends_with("unable to get external metric s0-azure-pipelines-7"), "{message}");
}

#[test]
fn the_scale_counts_as_it_was_read_and_pods_as_they_are_when_the_metric_comes() {
    let mut value = spec(100, 1);
    value.metrics[0].target = Target::Value(1000);
    let mut hpa = Hpa::new(at(1000), value, rules(35));
    let sync = read(&mut hpa, at(16_000));
    let later = View { spec_replicas: 9, status_replicas: 9, pods: 3, ready: 2 };
    let mut actions = Vec::new();
    hpa.handle(at(16_010), Input::Answered { sync, answer: Some(2000) }, Some(&later), &mut actions);
    assert_eq!(write(&actions), (4, at(16_000)), "twice as many as the two that are ready");
}
