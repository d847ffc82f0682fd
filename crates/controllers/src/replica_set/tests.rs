//! Deployments, as their pods show them.

use model::{Fact, Instant, Millis};

use crate::trial::{Trial, running};
use crate::{Cluster, Conflict, Version};
use crate::{Kind, PodId, Propagation, Restarts, Settings, Strategy, Template};

#[test]
fn a_deployment_has_the_pods_that_it_asks_for() {
    let mut trial = Trial::new(1, &[110]);
    let id = trial.deployment(3);
    trial.run_for(10);
    assert_eq!(trial.active().len(), 3);
    let status = trial.cluster.workload(id).status();
    assert_eq!((status.replicas, status.ready), (3, 3));
    let owners: Vec<_> = trial
        .log
        .iter()
        .filter_map(|(_, fact)| match fact {
            Fact::PodCreated { pod, owner } => Some((pod.clone(), owner.clone().unwrap())),
            _ => None,
        })
        .collect();
    assert_eq!(owners.len(), 3);
    assert!(
        owners.iter().all(|(pod, owner)| owner == "ReplicaSet/agents-5" && pod.starts_with("agents-5-")),
        "{owners:?}"
    );
}

#[test]
fn replicas_are_told_as_each_controller_writes_them() {
    let mut trial = Trial::new(1, &[110]);
    trial.deployment(2);
    trial.run_for(10);
    let counts: Vec<_> = trial
        .log
        .iter()
        .filter_map(|(_, fact)| match fact {
            Fact::Replicas { spec, status, ready, .. } => Some((*spec, *status, *ready)),
            _ => None,
        })
        .collect();
    assert_eq!(counts.first(), Some(&(2, 0, 0)));
    assert_eq!(counts.last(), Some(&(2, 2, 2)));
    assert!(counts.contains(&(2, 2, 0)), "{counts:?}");
}

#[test]
fn terminating_pods_stop_counting_at_once() {
    let mut trial = Trial::new(1, &[110]);
    let id = trial.deployment(4);
    trial.run_for(10);
    trial.scale(id, 1);
    trial.run_for(1);
    assert_eq!(trial.cluster.workload(id).status().replicas, 1);
    assert_eq!((trial.pods().len(), trial.active().len()), (4, 1));
    trial.run_for(5);
    assert_eq!(trial.pods().len(), 1);
}

#[test]
fn a_deleted_pod_is_replaced_while_it_terminates() {
    let mut trial = Trial::new(1, &[110]);
    trial.deployment(1);
    trial.run_for(10);
    trial.with(|cluster, now, out| cluster.delete_pod(now, PodId(0), None, out));
    trial.run_for(1);
    assert_eq!(trial.active(), [PodId(1)]);
    assert!(trial.cluster.pod(PodId(0)).unwrap().is_terminating());
}

#[test]
fn pods_without_a_node_go_first() {
    let mut trial = Trial::new(1, &[3]);
    let id = trial.deployment(5);
    trial.run_for(10);
    let waiting: Vec<_> = trial.active().into_iter().filter(|pod| trial.node_of(*pod).is_none()).collect();
    assert_eq!(waiting.len(), 2);
    trial.scale(id, 3);
    trial.run_for(1);
    assert!(trial.active().iter().all(|pod| trial.is_ready(*pod)));
}

#[test]
fn restarts_decide_among_pods_of_one_second() {
    let mut trial = Trial::new(1, &[110]);
    trial.start = Millis(5_000);
    let id = trial.deployment(6);
    trial.run_for(10);
    let restarts = Restarts { most: 3, most_of_sidecars: 0, sum: 3 };
    trial.report(PodId(4), crate::PodReport { restarts, ..running() });
    let ready: Vec<_> =
        trial.times(|fact| matches!(fact, Fact::PodReady { .. })).iter().map(|at| at / 1000).collect();
    assert!(ready.iter().all(|second| *second == ready[0]), "{ready:?}");
    trial.scale(id, 5);
    trial.run_for(1);
    assert!(!trial.active().contains(&PodId(4)));
}

#[test]
fn a_lower_deletion_cost_is_chosen() {
    let mut trial = Trial::new(1, &[110]);
    let id = trial.deployment(6);
    trial.run_for(10);
    trial.cluster.set_deletion_cost(PodId(2), -1);
    trial.scale(id, 5);
    trial.run_for(1);
    assert!(!trial.active().contains(&PodId(2)));
}

#[test]
fn dictated_pods_go_first_and_in_their_order() {
    let mut trial = Trial::new(1, &[110]);
    let id = trial.deployment(6);
    trial.run_for(10);
    trial.cluster.dictate_victims([PodId(5), PodId(0), PodId(3)]);
    trial.scale(id, 4);
    trial.run_for(1);
    assert_eq!(trial.active(), [1, 2, 3, 4].map(PodId));
    trial.scale(id, 3);
    trial.run_for(1);
    assert_eq!(trial.active(), [1, 2, 4].map(PodId));
}

#[test]
fn pods_beyond_the_burst_are_created_one_after_the_other() {
    let mut trial = Trial::new(1, &[200]);
    trial.deployment(100);
    trial.run_for(60);
    let created = trial.created();
    assert_eq!(created.len(), 100);
    let took = created[99] - created[0];
    // 30 at once, then 20 a second, events among them.
    assert!((3_500..6_000).contains(&took), "{took} ms");
}

#[test]
fn few_pods_are_created_at_once_in_growing_batches() {
    let mut trial = Trial::new(1, &[110]);
    trial.deployment(7);
    trial.run_for(10);
    let created = trial.created();
    assert!(created[6] - created[0] < 100, "{created:?}");
    assert!(created[1] > created[0] && created[3] > created[1], "{created:?}");
}

#[test]
fn the_status_is_written_once_all_pods_of_a_sync_are_created() {
    let mut trial = Trial::new(1, &[200]);
    trial.deployment(100);
    trial.run_for(60);
    let first = trial.times(|fact| matches!(fact, Fact::Replicas { status: 1.., .. }))[0];
    assert!(first >= trial.created()[99], "{first}");
}

#[test]
fn a_rolling_update_keeps_three_quarters_and_adds_a_quarter() {
    let mut trial = Trial::new(1, &[110]);
    let id = trial.deployment(8);
    trial.run_for(10);
    let template = Template { hash: 2, grace: Millis::seconds(30) };
    trial.with(|cluster, now, out| cluster.edit_template(now, id, template, out));
    let end = trial.now + Millis::seconds(60);
    while trial.now < end {
        trial.run_until(trial.now + Millis(50));
        let ready = trial.active().into_iter().filter(|pod| trial.is_ready(*pod)).count();
        // Pods that become ready within milliseconds of each other: the old ReplicaSet's status
        // is not written yet when the next of them counts, and the original takes one too many.
        assert!(ready >= 5, "{ready} at {}", trial.now);
        assert!(trial.active().len() <= 10);
    }
    assert_eq!(trial.active().len(), 8);
    assert!(trial.active().iter().all(|pod| trial.cluster.pod(*pod).unwrap().template() == 2));
}

#[test]
fn one_replica_is_updated_without_a_gap() {
    let mut trial = Trial::new(1, &[110]);
    let id = trial.deployment(1);
    trial.run_for(10);
    let template = Template { hash: 2, grace: Millis::seconds(30) };
    trial.with(|cluster, now, out| cluster.edit_template(now, id, template, out));
    for _ in 0..100 {
        trial.run_until(trial.now + Millis(100));
        assert!(trial.active().into_iter().any(|pod| trial.is_ready(pod)));
    }
    assert_eq!(trial.active(), [PodId(1)]);
}

#[test]
fn recreate_waits_until_the_old_pods_are_gone() {
    let mut trial = Trial::new(1, &[110]);
    let id = trial.workload(Kind::Deployment(Strategy::Recreate), 3);
    trial.run_for(10);
    let template = Template { hash: 2, grace: Millis::seconds(30) };
    trial.with(|cluster, now, out| cluster.edit_template(now, id, template, out));
    trial.run_for(2);
    assert_eq!(trial.active().len(), 0);
    trial.run_for(10);
    assert_eq!(trial.active().len(), 3);
    let gone = trial.times(|fact| matches!(fact, Fact::PodGone { .. }));
    assert!(trial.created()[3] > gone[2]);
}

#[test]
fn a_scale_during_a_rollout_is_shared_in_proportion() {
    let mut trial = Trial::new(1, &[110]);
    let id = trial.deployment(8);
    trial.run_for(10);
    trial.start = Millis::seconds(600);
    let template = Template { hash: 2, grace: Millis::seconds(30) };
    trial.with(|cluster, now, out| cluster.edit_template(now, id, template, out));
    trial.run_for(20);
    let of = |trial: &Trial, hash| {
        trial.active().into_iter().filter(|pod| trial.cluster.pod(*pod).unwrap().template() == hash).count()
    };
    // 2 more and 2 fewer: the old one kept 6, the new one has 4.
    assert_eq!((of(&trial, 1), of(&trial, 2)), (6, 4));
    trial.scale(id, 16);
    trial.run_for(20);
    assert_eq!((of(&trial, 1), of(&trial, 2)), (12, 8));
}

#[test]
fn a_deleted_deployments_pods_are_collected() {
    for propagation in [Propagation::Background, Propagation::Foreground] {
        let mut trial = Trial::new(1, &[110]);
        let id = trial.deployment(5);
        trial.run_for(10);
        trial.with(|cluster, now, out| cluster.delete_workload(now, id, propagation, out));
        trial.run_for(1);
        assert_eq!((trial.active().len(), trial.terminating().len()), (0, 5));
        trial.run_for(10);
        assert_eq!(trial.pods(), []);
        assert!(trial.cluster.workload(id).is_deleted());
    }
}

#[test]
fn a_write_after_somebody_elses_is_a_conflict() {
    let mut trial = Trial::new(1, &[110]);
    let id = trial.deployment(1);
    let seen = trial.cluster.workload(id).version();
    trial.run_for(10);
    let stale = trial.with(|cluster, now, out| cluster.scale_if(now, id, 5, seen, out));
    assert_eq!(stale, Err(Conflict));
    let Version(fresh) = trial.cluster.workload(id).version();
    assert!(trial.with(|cluster, now, out| cluster.scale_if(now, id, 5, Version(fresh), out)).is_ok());
}

#[test]
fn nothing_is_reconciled_while_the_manager_is_down() {
    let mut trial = Trial::new(1, &[110]);
    let id = trial.deployment(2);
    trial.run_for(10);
    trial.cluster.stop_manager();
    trial.scale(id, 5);
    trial.with(|cluster, now, out| cluster.delete_pod(now, PodId(0), None, out));
    trial.run_for(30);
    assert_eq!(trial.active(), [PodId(1)]);
    let now = trial.now;
    trial.cluster.start_manager(now);
    trial.run_for(5);
    assert_eq!(trial.active().len(), 5);
    assert_eq!(trial.cluster.workload(id).status().replicas, 5);
}

#[test]
fn a_restart_loses_the_calls_under_way() {
    let mut trial = Trial::new(1, &[200]);
    trial.deployment(100);
    trial.run_for(2);
    let before = trial.pods().len();
    assert!(before < 100);
    trial.cluster.stop_manager();
    trial.run_for(20);
    assert_eq!(trial.pods().len(), before);
    let now = trial.now;
    trial.cluster.start_manager(now);
    trial.run_for(20);
    assert_eq!(trial.pods().len(), 100);
}

#[test]
fn without_facts_no_fact_is_built() {
    let mut cluster = Cluster::new(1, Settings { facts: false, ..Settings::default() });
    let mut out = Vec::new();
    cluster.add_node(Instant(0), crate::NewNode { name: "node".into(), pods: 9 }, &mut out);
    let template = Template { hash: 1, grace: Millis::seconds(30) };
    let kind = Kind::Deployment(Strategy::RollingUpdate);
    let new = crate::NewWorkload { name: "agents".into(), kind, replicas: 2, template };
    cluster.create_workload(Instant(0), new, &mut out);
    while let Some(next) = cluster.next_deadline() {
        cluster.advance(next, &mut out);
    }
    assert_eq!(out.len(), 2);
    assert!(out.iter().all(|action| matches!(action, crate::Action::StartPod { .. })));
}

#[test]
fn a_workload_is_found_by_its_kind_and_name_until_it_is_deleted() {
    let mut trial = Trial::new(1, &[110]);
    let id = trial.deployment(1);
    assert_eq!(trial.cluster.find_workload("Deployment", "agents"), Some(id));
    assert_eq!(trial.cluster.find_workload("StatefulSet", "agents"), None);
    assert_eq!(trial.cluster.pods_of(id).count(), 0);
    trial.run_for(5);
    assert_eq!(trial.cluster.pods_of(id).count(), 1);
    trial.with(|cluster, now, out| cluster.delete_workload(now, id, Propagation::Background, out));
    assert_eq!(trial.cluster.find_workload("Deployment", "agents"), None);
}
