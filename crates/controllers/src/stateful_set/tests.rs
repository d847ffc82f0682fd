//! StatefulSets, as their pods show them.

use model::{Fact, Millis};

use crate::trial::Trial;
use crate::{Kind, Phase, PodId, PodManagement, Propagation, Template};

const ORDERED: Kind = Kind::StatefulSet(PodManagement::OrderedReady);
const PARALLEL: Kind = Kind::StatefulSet(PodManagement::Parallel);

fn names(trial: &Trial) -> Vec<String> {
    trial.active().iter().map(|pod| trial.cluster.pod(*pod).unwrap().name().to_string()).collect()
}

#[test]
fn each_pod_waits_until_the_one_before_is_ready() {
    let mut trial = Trial::new(1, &[110]);
    trial.workload(ORDERED, 3);
    trial.run_for(20);
    let created = trial.created();
    let ready = trial.times(|fact| matches!(fact, Fact::PodReady { .. }));
    assert_eq!(names(&trial), ["agents-0", "agents-1", "agents-2"]);
    assert!(created[1] > ready[0] && created[2] > ready[1]);
}

#[test]
fn in_parallel_nobody_waits() {
    let mut trial = Trial::new(1, &[110]);
    trial.workload(PARALLEL, 5);
    trial.run_for(1);
    assert_eq!(trial.created().len(), 5);
}

#[test]
fn the_highest_ordinal_goes_first_and_alone() {
    let mut trial = Trial::new(1, &[110]);
    let id = trial.workload(ORDERED, 4);
    trial.run_for(30);
    trial.scale(id, 2);
    trial.run_for(1);
    assert_eq!(names(&trial), ["agents-0", "agents-1", "agents-2"]);
    trial.run_for(20);
    assert_eq!(names(&trial), ["agents-0", "agents-1"]);
    let gone = trial.times(|fact| matches!(fact, Fact::PodGone { .. }));
    assert!(trial.terminating()[1] > gone[0]);
}

#[test]
fn in_parallel_all_surplus_pods_go_together() {
    let mut trial = Trial::new(1, &[110]);
    let id = trial.workload(PARALLEL, 4);
    trial.run_for(10);
    trial.scale(id, 1);
    trial.run_for(1);
    assert_eq!(names(&trial), ["agents-0"]);
}

#[test]
fn terminating_pods_still_count() {
    let mut trial = Trial::new(1, &[110]);
    let id = trial.workload(PARALLEL, 4);
    trial.run_for(10);
    trial.scale(id, 1);
    trial.run_for(2);
    assert_eq!(trial.cluster.workload(id).status().replicas, 4);
    trial.run_for(5);
    assert_eq!(trial.cluster.workload(id).status().replicas, 1);
}

#[test]
fn a_deleted_pod_comes_back_under_its_name_once_it_is_gone() {
    let mut trial = Trial::new(1, &[110]);
    trial.workload(ORDERED, 2);
    trial.run_for(10);
    trial.with(|cluster, now, out| cluster.delete_pod(now, PodId(0), None, out));
    trial.run_for(2);
    assert_eq!(names(&trial), ["agents-1"]);
    trial.run_for(3);
    assert_eq!(names(&trial), ["agents-1", "agents-0"]);
}

#[test]
fn a_failed_pod_is_deleted_and_made_anew() {
    let mut trial = Trial::new(1, &[110]);
    trial.workload(ORDERED, 1);
    trial.run_for(10);
    trial.end(PodId(0), Phase::Failed);
    trial.run_for(5);
    assert_eq!(trial.active(), [PodId(1)]);
}

#[test]
fn a_rolling_update_begins_at_the_top_and_waits() {
    let mut trial = Trial::new(1, &[110]);
    let id = trial.workload(ORDERED, 3);
    trial.run_for(20);
    let template = Template { hash: 2, grace: Millis::seconds(30) };
    trial.with(|cluster, now, out| cluster.edit_template(now, id, template, out));
    let mut least = 3;
    for _ in 0..600 {
        trial.run_until(trial.now + Millis(100));
        least = least.min(trial.active().into_iter().filter(|pod| trial.is_ready(*pod)).count());
    }
    assert_eq!(least, 2);
    assert_eq!(names(&trial), ["agents-2", "agents-1", "agents-0"]);
    assert!(trial.active().iter().all(|pod| trial.cluster.pod(*pod).unwrap().template() == 2));
}

#[test]
fn a_deleted_stateful_sets_pods_are_collected() {
    for propagation in [Propagation::Background, Propagation::Foreground] {
        let mut trial = Trial::new(1, &[110]);
        let id = trial.workload(ORDERED, 2);
        trial.run_for(10);
        trial.with(|cluster, now, out| cluster.delete_workload(now, id, propagation, out));
        trial.run_for(10);
        assert_eq!(trial.pods(), []);
        assert!(trial.cluster.workload(id).is_deleted());
    }
}
