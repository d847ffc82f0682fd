//! Whatever happens to pods, and whenever: no job is lost, none runs twice, and everything ends.

use std::collections::BTreeMap;

use controllers::{NodeId, PodId};
use model::event::JobResult;
use model::{Event, Fact, Millis};
use proptest::prelude::*;

use super::bench::{Bench, manifest, template};
use crate::node::Occupation;

#[derive(Debug, Clone, Copy)]
enum Upset {
    Build { jobs: usize, seconds: u64 },
    Start { job: bool, second_node: bool },
    Delete { pick: usize, grace: u64 },
    Gone { pick: usize },
    Kill { pick: usize },
    LoseAndReturn { seconds: u64 },
    Pass { millis: u64 },
}

fn upsets() -> impl Strategy<Value = Vec<Upset>> {
    let pick = 0_usize..16;
    let upset = prop_oneof![
        2 => (1_usize..4, 1_u64..900).prop_map(|(jobs, seconds)| Upset::Build { jobs, seconds }),
        4 => (any::<bool>(), any::<bool>()).prop_map(|(job, second_node)| Upset::Start { job, second_node }),
        2 => (pick.clone(), 0_u64..600).prop_map(|(pick, grace)| Upset::Delete { pick, grace }),
        1 => pick.clone().prop_map(|pick| Upset::Gone { pick }),
        2 => pick.prop_map(|pick| Upset::Kill { pick }),
        1 => (1_u64..900).prop_map(|seconds| Upset::LoseAndReturn { seconds }),
        6 => prop_oneof![0_u64..5_000, 5_000_u64..90_000, 90_000_u64..600_000]
            .prop_map(|millis| Upset::Pass { millis }),
    ];
    prop::collection::vec(upset, 1..40)
}

struct World {
    bench: Bench,
    pods: Vec<(PodId, NodeId, bool)>,
}

impl World {
    fn upset(&mut self, upset: Upset) {
        let deployment = template(&manifest("Always", "pat", "run"));
        let of_a_job = template(&manifest("Never", "pat", "run-docker"));
        let picked =
            |pods: &[(PodId, NodeId, bool)], pick: usize| pods.get(pick % pods.len().max(1)).copied();
        match upset {
            Upset::Build { jobs, seconds } => {
                self.bench.build(jobs, Millis::seconds(seconds));
            }
            Upset::Start { job, second_node } => {
                let node = NodeId(u32::from(second_node));
                let template = if job { &of_a_job } else { &deployment };
                self.pods.push((self.bench.start_on(node, template), node, job));
            }
            Upset::Delete { pick, grace } => {
                if let Some((pod, ..)) = picked(&self.pods, pick) {
                    self.bench.delete(pod, Millis::seconds(grace));
                }
            }
            Upset::Gone { pick } => {
                if let Some((pod, ..)) = picked(&self.pods, pick) {
                    self.bench.gone(pod);
                    self.pods.retain(|(other, ..)| *other != pod);
                }
            }
            Upset::Kill { pick } => {
                if let Some((pod, ..)) = picked(&self.pods, pick) {
                    self.bench.kill(pod);
                }
            }
            Upset::LoseAndReturn { seconds } => {
                self.bench.nodes.lose_node(self.bench.now, NodeId(0));
                self.bench.pass(Millis::seconds(seconds));
                self.bench.nodes.return_node(self.bench.now, NodeId(0));
                for (pod, node, job) in self.pods.clone() {
                    if node == NodeId(0) && !self.bench.finished.contains(&pod) {
                        self.bench.start_again(pod, node, if job { &of_a_job } else { &deployment });
                    }
                }
            }
            Upset::Pass { millis } => self.bench.pass(Millis(millis)),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Queued,
    By(u64),
    Ended,
}

/// Follows every request from its queueing to its end.
fn check(log: &[Event]) {
    let mut requests = BTreeMap::<u64, Held>::new();
    for event in log {
        match event.fact {
            Fact::JobRequestQueued { request, .. } => {
                let before = requests.insert(request, Held::Queued);
                assert_eq!(before, None, "{request} was there");
            }
            Fact::JobRequestAssigned { request, agent } => {
                assert!(
                    !requests.values().any(|held| *held == Held::By(agent)),
                    "agent {agent} has two jobs"
                );
                assert_eq!(requests.insert(request, Held::By(agent)), Some(Held::Queued));
            }
            Fact::JobRequestRequeued { request, agent, .. } => {
                assert_eq!(requests.insert(request, Held::Queued), Some(Held::By(agent)));
            }
            Fact::JobRequestFinished { request, .. } => {
                assert_ne!(requests.insert(request, Held::Ended), Some(Held::Ended));
            }
            _ => {}
        }
    }
    assert!(requests.values().all(|held| *held == Held::Ended), "{requests:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_job_is_lost_no_agent_has_two_and_everything_ends(seed: u64, upsets in upsets()) {
        let mut world = World { bench: Bench::new(seed), pods: Vec::new() };
        for upset in upsets {
            world.upset(upset);
        }
        // Somebody brings fresh agents until nothing is left to do.
        let deployment = template(&manifest("Always", "pat", "run"));
        let fresh = [world.bench.start(&deployment), world.bench.start_on(NodeId(1), &deployment)];
        let mut rounds = 0;
        while world.bench.service.unfinished() > 0 {
            world.bench.pass(Millis::minutes(30));
            rounds += 1;
            prop_assert!(rounds < 40, "jobs never end");
        }
        check(&world.bench.log);
        let succeeded = world.bench.results().iter().filter(|result| **result == JobResult::Succeeded).count();
        let abandoned = world.bench.results().iter().filter(|result| **result == JobResult::Abandoned).count();
        prop_assert_eq!(succeeded + abandoned, world.bench.results().len());
        world.bench.pass(Millis::minutes(2));
        for pod in fresh {
            prop_assert!(world.bench.nodes.occupation(pod) >= Occupation::Idle);
            world.bench.delete(pod, Millis::minutes(10));
        }
        for (pod, ..) in world.pods.clone() {
            world.bench.delete(pod, Millis::minutes(10));
        }
        world.bench.pass(Millis::minutes(11));
        for pod in fresh {
            prop_assert!(world.bench.is(pod, Occupation::Nothing));
        }
        prop_assert!(world.bench.nodes.pods.iter().all(Option::is_none), "every pod is gone");
    }
}
