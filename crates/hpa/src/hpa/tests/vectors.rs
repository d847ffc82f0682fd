//! What the controller's own functions give for the same input.

use super::*;
use crate::spec::Select;

/// The replicas after each sync, from one pod on, until they reach `goal`.
fn growth(behavior: Option<&str>, minor: u64, jobs: i64, syncs: usize) -> Vec<i32> {
    let spec = match behavior {
        Some(behavior) => with_behavior(spec(100, 1), behavior),
        None => spec(100, 1),
    };
    Cluster::new(spec, minor, 1).syncs(vec![Some(jobs); syncs])
}

#[test]
fn without_a_behavior_it_doubles_from_four() {
    for minor in [32, 33, 34, 35] {
        assert_eq!(growth(None, minor, 9, 4), [4, 8, 9, 9]);
        assert_eq!(growth(None, minor, 11, 4), [4, 8, 11, 11]);
        assert_eq!(growth(None, minor, 17, 5), [4, 8, 16, 17, 17]);
        assert_eq!(growth(None, minor, 50, 6), [4, 8, 16, 32, 50, 50]);
        assert_eq!(growth(None, minor, 110, 7), [4, 8, 16, 32, 64, 100, 100]);
    }
}

#[test]
fn with_the_default_behavior_it_adds_four_or_doubles() {
    for minor in [33, 34, 35] {
        assert_eq!(growth(Some("{}"), minor, 9, 3), [5, 9, 9]);
        assert_eq!(growth(Some("{}"), minor, 11, 4), [5, 10, 10, 10]);
        assert_eq!(growth(Some("{}"), minor, 17, 4), [5, 10, 17, 17]);
        assert_eq!(growth(Some("{}"), minor, 50, 6), [5, 10, 20, 40, 50, 50]);
        assert_eq!(growth(Some("{}"), minor, 110, 7), [5, 10, 20, 40, 80, 100, 100]);
    }
}

#[test]
fn with_the_default_behavior_before_1_33_eleven_are_not_ten() {
    assert_eq!(growth(Some("{}"), 32, 9, 3), [5, 9, 9]);
    assert_eq!(growth(Some("{}"), 32, 11, 4), [5, 10, 11, 11]);
    assert_eq!(growth(Some("{}"), 32, 17, 4), [5, 10, 17, 17]);
    assert_eq!(growth(Some("{}"), 32, 50, 6), [5, 10, 20, 40, 50, 50]);
    assert_eq!(growth(Some("{}"), 32, 110, 7), [5, 10, 20, 40, 80, 100, 100]);
}

#[test]
fn the_limits_of_one_sync_from_one_pod() {
    let [mut plain, mut with] =
        [spec(1000, 1), with_behavior(spec(1000, 1), "{}")].map(|spec| Cluster::new(spec, 35, 1));
    assert_eq!(plain.syncs([Some(900); 6]), [4, 8, 16, 32, 64, 128]);
    assert_eq!(with.syncs([Some(900); 6]), [5, 10, 20, 40, 80, 160]);
}

#[test]
fn the_tolerance_around_ten_pods() {
    let jobs = [10, 10, 11, 11, 12, 12].map(Some);
    assert_eq!(Cluster::new(spec(100, 1), 33, 10).syncs(jobs), [10, 10, 10, 10, 12, 12]);
    assert_eq!(Cluster::new(spec(100, 1), 32, 10).syncs(jobs), [10, 10, 11, 11, 11, 11]);
}

#[test]
fn twenty_pods_stay_for_five_minutes() {
    let mut cluster = Cluster::new(spec(100, 1), 35, 20);
    cluster.hpa.align(Instant(14_980));
    assert_eq!(cluster.syncs([Some(20), Some(20)]), [20, 20]);
    assert_eq!(cluster.hpa.next_deadline(), Some(Instant(45_020)), "the last read of 20 was at 30.0 s");
    assert_eq!(cluster.until(Instant(316_000), 0), [20; 19]);
    assert_eq!(cluster.syncs([Some(0)]), [1]);
}

#[test]
fn eighteen_jobs_for_twenty_pods_are_within_the_tolerance() {
    assert_eq!(Cluster::new(spec(100, 1), 35, 20).syncs([Some(18); 60]), [20; 60]);
}

#[test]
fn seventeen_jobs_shrink_twenty_pods_once_the_twenty_left_the_window() {
    let replicas = Cluster::new(spec(100, 1), 35, 20).syncs([Some(17); 30]);
    assert_eq!(replicas[..20], [20; 20], "the 20 that were first seen");
    assert_eq!(replicas[20..], [17; 10]);
}

/// 20 jobs for 90 s, none, zero by KEDA at 135 s, one again for one job at 165 s.
fn again_within_the_window(spec: HpaSpec) -> Cluster {
    let mut cluster = Cluster::new(spec, 35, 1);
    cluster.until(Instant(90_000), 20);
    assert_eq!(cluster.view.spec_replicas, 20);
    cluster.until(Instant(135_000), 0);
    assert_eq!(cluster.view.spec_replicas, 20);
    cluster.scale(0);
    assert_eq!(cluster.until(Instant(165_000), 0), [0, 0]);
    cluster.scale(1);
    cluster
}

#[test]
fn without_a_behavior_old_recommendations_pull_up() {
    let mut cluster = again_within_the_window(spec(100, 1));
    assert_eq!(cluster.syncs([Some(1); 4]), [4, 8, 16, 20]);
    assert!(cluster.until(Instant(375_000), 1).iter().all(|&replicas| replicas == 20));
    assert_eq!(cluster.syncs([Some(1)]), [1], "the last 20 was recommended at 75 s");
}

#[test]
fn with_a_behavior_old_recommendations_do_not_pull_up() {
    let mut cluster = again_within_the_window(with_behavior(spec(100, 1), "{}"));
    assert_eq!(cluster.syncs([Some(1); 40]), [1; 40]);
}

#[test]
fn thirteen_jobs_of_three_for_each_pod_keep_four_pods() {
    for minor in [32, 35] {
        assert_eq!(Cluster::new(spec(100, 3), minor, 4).syncs([Some(13)]), [4]);
        assert_eq!(Cluster::new(spec(100, 3), minor, 4).syncs([Some(14)]), [5]);
    }
}

#[test]
fn more_than_max_goes_down_at_once_and_what_was_seen_first_holds_it_there() {
    let mut cluster = Cluster::new(spec(9, 1), 35, 12);
    assert_eq!(cluster.syncs([Some(4)]), [9]);
    assert_eq!(cluster.reads, 0);
    assert_eq!(cluster.syncs([Some(4); 19]), [9; 19]);
    assert_eq!(cluster.syncs([Some(4)]), [4]);
}

#[test]
fn failed_reads_change_nothing() {
    let jobs = [None, Some(14), None, Some(14), Some(14)];
    assert_eq!(Cluster::new(spec(100, 1), 35, 1).syncs(jobs), [1, 4, 4, 8, 14]);
}

#[test]
fn three_pods_in_thirty_seconds() {
    let behavior = r#"{"scaleUp":{"policies":[{"type":"Pods","value":3,"periodSeconds":30}]}}"#;
    let mut cluster = Cluster::new(with_behavior(spec(100, 1), behavior), 35, 1);
    assert_eq!(cluster.syncs([Some(12); 7]), [4, 4, 7, 7, 10, 10, 12]);
}

#[test]
fn a_value_waits_for_ready_pods_and_then_grows_every_sync() {
    let mut spec = spec(30, 1);
    spec.metrics[0].target = Target::Value(2000);
    let mut cluster = Cluster::new(spec, 35, 1);
    let replicas = [0, 0, 1, 4, 8].map(|ready| {
        cluster.view.ready = ready;
        cluster.sync(&[Some(10_000)])
    });
    assert_eq!(replicas, [1, 1, 4, 8, 16]);
}

#[test]
fn a_policy_of_percent_shrinks_step_by_step() {
    let behavior = r#"{"scaleDown":{"stabilizationWindowSeconds":0,
        "policies":[{"type":"Percent","value":10,"periodSeconds":60},{"type":"Pods","value":1,"periodSeconds":60}]}}"#;
    let mut cluster = Cluster::new(with_behavior(spec(100, 1), behavior), 35, 40);
    assert_eq!(cluster.syncs([Some(0); 5]), [36, 36, 36, 36, 32]);
    assert_eq!(cluster.because(), "0 wanted, policy 36-10% = 32");
}

#[test]
fn the_smallest_change_counts_with_min() {
    let behavior = r#"{"scaleUp":{"selectPolicy":"Min"}}"#;
    let mut cluster = Cluster::new(with_behavior(spec(100, 1), behavior), 35, 1);
    assert_eq!(cluster.syncs([Some(50); 4]), [2, 4, 8, 12]);
}

#[test]
fn a_window_on_the_way_up_holds_growth_back() {
    let behavior = r#"{"scaleUp":{"stabilizationWindowSeconds":60}}"#;
    let mut cluster = Cluster::new(with_behavior(spec(100, 1), behavior), 35, 1);
    assert_eq!(cluster.syncs([Some(9); 5]), [1, 1, 1, 1, 5], "what was first seen is 60 s old");
    assert_eq!(cluster.syncs([Some(9)]), [9]);
}

#[test]
fn disabled_directions_do_not_move() {
    let mut cluster =
        Cluster::new(with_behavior(spec(100, 1), r#"{"scaleUp":{"selectPolicy":"Disabled"}}"#), 35, 3);
    assert_eq!(cluster.syncs([Some(50); 3]), [3, 3, 3]);
    assert_eq!(cluster.because(), "50 wanted, selectPolicy is Disabled: 3 stay");

    let mut spec = with_behavior(spec(100, 1), r#"{"scaleDown":{"stabilizationWindowSeconds":0}}"#);
    if let Some(behavior) = &mut spec.behavior {
        behavior.down.select = Select::Disabled;
    }
    assert_eq!(Cluster::new(spec, 35, 9).syncs([Some(1), Some(50), Some(1)]), [9, 18, 18]);
}

#[test]
fn a_growth_of_less_than_15_s_ago_counts() {
    let mut cluster = Cluster::new(with_behavior(spec(100, 1), "{}"), 35, 1);
    assert_eq!(cluster.syncs([Some(50)]), [5]);
    cluster.hpa.align(Instant(29_999));
    assert_eq!(cluster.syncs([Some(50)]), [5], "14.999 s later nothing more may grow");
    assert_eq!(cluster.because(), "50 wanted, policy 1+4 = 5");
    assert_eq!(cluster.syncs([Some(50)]), [10]);
}

#[test]
fn tolerances_of_its_own_count_from_1_35() {
    let behavior = r#"{"scaleUp":{"tolerance":"0"},"scaleDown":{"tolerance":"500m"}}"#;
    for (minor, replicas) in [(34, [10, 10]), (35, [11, 11])] {
        let mut cluster = Cluster::new(with_behavior(spec(100, 1), behavior), minor, 10);
        assert_eq!(cluster.syncs([Some(11), Some(10)]), replicas);
    }
}

#[test]
fn several_metrics_take_the_highest() {
    let mut two = spec(100, 1);
    two.metrics.push(Metric { name: "s1-azure-pipelines-8".into(), target: Target::AverageValue(2000) });
    let mut cluster = Cluster::new(two, 35, 4);
    assert_eq!(cluster.sync(&[Some(3000), Some(12_000)]), 6);
    assert_eq!(cluster.reads, 2);
}

#[test]
fn an_unread_metric_among_several_prevents_fewer_but_not_more() {
    let mut two = spec(100, 1);
    two.metrics.push(two.metrics[0].clone());
    let mut cluster = Cluster::new(two, 35, 4);
    assert_eq!(cluster.sync(&[None, Some(3000)]), 4);
    assert_eq!(cluster.because(), "metric 0 could not be read");
    assert!(!cluster.conditions().is_active());
    assert_eq!(cluster.sync(&[Some(8000), None]), 8);
    assert!(cluster.conditions().is_active());
    assert_eq!(cluster.sync(&[None, None]), 8);
}
