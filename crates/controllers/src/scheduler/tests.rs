//! Where pods go.

use crate::trial::Trial;
use crate::{JobSpec, NewNode, NodeId, Phase, PodId};

fn loads(trial: &Trial, nodes: u32) -> Vec<usize> {
    (0..nodes).map(|node| trial.cluster.node(NodeId(node)).pods().count()).collect()
}

#[test]
fn pods_are_spread() {
    let mut trial = Trial::new(1, &[110, 110, 110]);
    trial.deployment(9);
    trial.run_for(5);
    assert_eq!(loads(&trial, 3), [3, 3, 3]);
}

#[test]
fn pods_of_jobs_go_to_the_emptiest_node() {
    let mut trial = Trial::new(1, &[110, 110]);
    for _ in 0..6 {
        trial.job(JobSpec::default());
    }
    trial.run_for(5);
    assert_eq!(loads(&trial, 2), [3, 3]);
}

#[test]
fn no_node_has_more_pods_than_places() {
    let mut trial = Trial::new(1, &[2, 3]);
    trial.deployment(9);
    trial.run_for(5);
    assert_eq!(loads(&trial, 2), [2, 3]);
    assert_eq!(trial.active().len(), 9);
}

#[test]
fn a_pod_that_fits_nowhere_gets_the_place_of_one_that_goes() {
    let mut trial = Trial::new(1, &[2]);
    trial.deployment(3);
    trial.run_for(5);
    assert_eq!(trial.node_of(PodId(2)), None);
    trial.with(|cluster, now, out| cluster.delete_pod(now, PodId(0), None, out));
    trial.run_for(2);
    assert_eq!(trial.node_of(PodId(2)), None, "a terminating pod keeps its place");
    trial.run_for(3);
    assert_eq!(trial.node_of(PodId(2)), Some(NodeId(0)));
}

#[test]
fn an_ended_pod_takes_no_place() {
    let mut trial = Trial::new(1, &[1]);
    trial.job(JobSpec::default());
    trial.run_for(5);
    trial.job(JobSpec::default());
    trial.run_for(5);
    assert_eq!(trial.node_of(PodId(1)), None);
    trial.end(PodId(0), Phase::Succeeded);
    trial.run_for(1);
    assert_eq!(trial.node_of(PodId(1)), Some(NodeId(0)));
    assert!(trial.cluster.pod(PodId(0)).is_some());
}

#[test]
fn a_node_that_joins_takes_those_that_wait() {
    let mut trial = Trial::new(1, &[1]);
    trial.deployment(4);
    trial.run_for(5);
    let new = NewNode { name: "late".into(), pods: 2 };
    trial.with(|cluster, now, out| cluster.add_node(now, new, out));
    trial.run_for(1);
    assert_eq!(loads(&trial, 2), [1, 2]);
}

#[test]
fn a_pod_deleted_while_it_waits_is_gone_at_once() {
    let mut trial = Trial::new(1, &[1]);
    let id = trial.deployment(2);
    trial.run_for(5);
    trial.scale(id, 1);
    trial.run_for(1);
    assert_eq!(trial.pods(), [PodId(0)]);
    assert_eq!(trial.terminating(), [0_u64; 0]);
}

#[test]
fn a_jobs_pod_deleted_while_it_waits_fails_at_the_next_look_of_the_collector() {
    let mut trial = Trial::new(1, &[1]);
    trial.deployment(1);
    trial.run_for(5);
    trial.job(JobSpec { replacement: crate::PodReplacement::Failed, ..JobSpec::default() });
    trial.run_for(1);
    trial.with(|cluster, now, out| cluster.delete_pod(now, PodId(1), None, out));
    trial.run_for(10);
    assert_eq!(trial.pods(), [PodId(0), PodId(1)]);
    trial.run_for(30);
    assert_eq!(trial.pods(), [PodId(0), PodId(2)]);
}

#[test]
fn of_equal_nodes_the_dictated_one_is_chosen_and_of_others_the_best() {
    for node in [0, 1, 2].map(NodeId) {
        let mut trial = Trial::new(1, &[110, 110, 110]);
        trial.cluster.dictate_nodes([Some(node), Some(node)]);
        trial.deployment(2);
        trial.run_for(5);
        assert_eq!(trial.node_of(PodId(0)), Some(node));
        assert_ne!(trial.node_of(PodId(1)), Some(node), "the second pod has better ones");
    }
}
