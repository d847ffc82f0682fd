//! What becomes of pods whose node is lost.

use model::{Fact, Millis};

use crate::trial::Trial;
use crate::{Action, JobSpec, NodeId, PodId};

/// The pod that is on this node, of two on two nodes.
fn pod_on(trial: &Trial, node: u32) -> PodId {
    trial.cluster.node(NodeId(node)).pods().next().unwrap()
}

fn two() -> Trial {
    let mut trial = Trial::new(1, &[10, 10]);
    trial.deployment(2);
    trial.run_for(20);
    trial
}

#[test]
fn a_silent_node_is_not_ready_after_50_s_without_a_lease() {
    let mut trial = two();
    let pod = pod_on(&trial, 0);
    let now = trial.now;
    trial.cluster.lose_node(now, NodeId(0));
    trial.run_for(39);
    assert!(trial.cluster.node(NodeId(0)).is_ready() && trial.is_ready(pod));
    trial.run_for(17);
    assert!(!trial.cluster.node(NodeId(0)).is_ready());
    assert!(!trial.is_ready(pod));
    let id = crate::WorkloadId(0);
    assert_eq!(trial.cluster.workload(id).status().ready, 1);
    assert_eq!(trial.cluster.workload(id).status().replicas, 2);
}

#[test]
fn its_pods_are_deleted_300_s_later_and_replaced_elsewhere() {
    let mut trial = two();
    let pod = pod_on(&trial, 0);
    let lost = trial.now;
    trial.cluster.lose_node(lost, NodeId(0));
    trial.run_for(600);
    let deleted = trial.terminating()[0] - lost.0;
    assert!((340_000..357_000).contains(&deleted), "{deleted} ms");
    assert!(trial.cluster.pod(pod).unwrap().is_terminating(), "nobody ends it");
    assert_eq!(trial.cluster.node(NodeId(1)).pods().count(), 2);
}

#[test]
fn a_node_that_is_back_hears_of_its_pods() {
    let mut trial = two();
    let pod = pod_on(&trial, 0);
    let now = trial.now;
    trial.cluster.lose_node(now, NodeId(0));
    trial.run_for(600);
    trial.told.clear();
    trial.with(|cluster, now, out| cluster.return_node(now, NodeId(0), out));
    assert_eq!(trial.told, [Action::DeletePod { pod, grace: Millis::seconds(30) }]);
    trial.run_for(10);
    assert!(trial.cluster.pod(pod).is_none());
    assert!(trial.cluster.node(NodeId(0)).is_ready());
}

#[test]
fn a_node_that_is_back_in_time_keeps_its_pods() {
    let mut trial = two();
    let pod = pod_on(&trial, 0);
    let now = trial.now;
    trial.cluster.lose_node(now, NodeId(0));
    trial.run_for(200);
    trial.told.clear();
    trial.with(|cluster, now, out| cluster.return_node(now, NodeId(0), out));
    assert_eq!(trial.told, [Action::StartPod { pod, node: NodeId(0) }]);
    trial.run_for(600);
    assert!(trial.is_ready(pod));
    assert_eq!(trial.terminating(), [0_u64; 0]);
}

#[test]
fn if_every_node_is_silent_nothing_is_evicted() {
    let mut trial = Trial::new(1, &[10]);
    trial.deployment(2);
    trial.run_for(20);
    let now = trial.now;
    trial.cluster.lose_node(now, NodeId(0));
    trial.run_for(1000);
    assert_eq!(trial.terminating(), [0_u64; 0]);
    assert_eq!(trial.active().len(), 2);
}

#[test]
fn once_one_node_is_back_the_others_pods_are_evicted() {
    let mut trial = two();
    let now = trial.now;
    trial.cluster.lose_node(now, NodeId(0));
    trial.cluster.lose_node(now, NodeId(1));
    trial.run_for(1000);
    assert_eq!(trial.terminating(), [0_u64; 0]);
    trial.with(|cluster, now, out| cluster.return_node(now, NodeId(1), out));
    let back = trial.now;
    trial.run_for(400);
    let evicted = trial.terminating()[0] - back.0;
    assert!((300_000..312_000).contains(&evicted), "{evicted} ms");
}

#[test]
fn the_pods_of_a_removed_node_fail_and_go() {
    let mut trial = two();
    let pod = pod_on(&trial, 0);
    let removed = trial.now;
    trial.with(|cluster, now, out| cluster.remove_node(now, NodeId(0), out));
    trial.run_for(100);
    assert!(trial.cluster.pod(pod).is_none());
    let ended = trial.times(|fact| matches!(fact, Fact::PodEnded { phase, .. } if phase == "Failed"))[0];
    assert!((40_000..61_000).contains(&(ended - removed.0)), "{ended}");
    assert_eq!(trial.active().len(), 2);
}

#[test]
fn a_jobs_pod_on_a_lost_node_fails_when_it_is_evicted() {
    let mut trial = Trial::new(1, &[10, 10]);
    let job = trial.job(JobSpec::default());
    trial.run_for(20);
    let node = trial.node_of(PodId(0)).unwrap();
    let now = trial.now;
    trial.cluster.lose_node(now, node);
    trial.run_for(330);
    assert_eq!(trial.created().len(), 1);
    trial.run_for(60);
    assert_eq!(trial.created().len(), 2);
    assert_eq!(trial.cluster.job(job).unwrap().failed(), 1);
}

#[test]
fn a_node_lost_while_the_manager_is_down_has_its_50_s_from_then_on() {
    let mut trial = two();
    trial.cluster.stop_manager();
    let now = trial.now;
    trial.cluster.lose_node(now, NodeId(0));
    trial.run_for(300);
    assert!(trial.cluster.node(NodeId(0)).is_ready());
    let now = trial.now;
    trial.cluster.start_manager(now);
    trial.run_for(49);
    assert!(trial.cluster.node(NodeId(0)).is_ready());
    trial.run_for(10);
    assert!(!trial.cluster.node(NodeId(0)).is_ready());
}

#[test]
fn nodes_that_are_lost_together_are_emptied_10_s_apart() {
    let mut trial = Trial::new(1, &[10, 10, 10, 10, 10]);
    trial.deployment(5);
    trial.run_for(20);
    let now = trial.now;
    trial.cluster.lose_node(now, NodeId(0));
    trial.cluster.lose_node(now, NodeId(1));
    trial.run_for(500);
    let evicted = trial.terminating();
    assert_eq!(evicted.len(), 2);
    assert!(evicted[1] - evicted[0] >= 9_000, "{evicted:?}");
}

#[test]
fn with_most_nodes_silent_no_more_are_emptied() {
    let mut trial = Trial::new(1, &[10, 10, 10, 10]);
    trial.deployment(8);
    trial.run_for(20);
    let now = trial.now;
    for node in 0..3 {
        trial.cluster.lose_node(now, NodeId(node));
    }
    trial.run_for(2_000);
    // The first may have got its taint before the third was missed.
    let evicted = trial.terminating().len();
    assert!(evicted <= 4, "{evicted}");
    assert!((0..3).all(|node| !trial.cluster.node(NodeId(node)).is_ready()));
}
