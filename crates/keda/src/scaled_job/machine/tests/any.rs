//! Whatever happens around it, the machine keeps its bounds.

use proptest::prelude::{Just, any};
use proptest::strategy::Strategy as _;
use proptest::{prop_assert, prop_oneof, proptest};
use serde_json::json;

use super::{World, scaled_job};
use crate::scaled_job::{Finished, PAUSED};
use crate::scaled_object::LONGEST_BACK_OFF;

/// Something that happens around the machine.
#[derive(Debug, Clone)]
enum Change {
    Queue(u64),
    Pools(bool),
    Reads(bool),
    Hangs(bool),
    Api(bool),
    Runs(usize),
    Finishes(usize, bool),
    Interval(u32),
    Pause(bool),
    Restart,
}

fn changes() -> impl proptest::strategy::Strategy<Value = Change> {
    prop_oneof![
        (0_u64..40).prop_map(Change::Queue),
        any::<bool>().prop_map(Change::Pools),
        any::<bool>().prop_map(Change::Reads),
        any::<bool>().prop_map(Change::Hangs),
        any::<bool>().prop_map(Change::Api),
        any::<usize>().prop_map(Change::Runs),
        (any::<usize>(), any::<bool>()).prop_map(|(place, well)| Change::Finishes(place, well)),
        (1_u32..20).prop_map(Change::Interval),
        any::<bool>().prop_map(Change::Pause),
        Just(Change::Restart),
    ]
}

fn make(world: &mut World, version: &str, change: &Change) {
    match *change {
        Change::Queue(queue) => {
            world.queues.insert(7, queue);
        }
        Change::Pools(fail) => world.pools_fail = fail,
        Change::Reads(fail) => world.reads_fail = if fail { vec![7] } else { Vec::new() },
        Change::Hangs(hangs) => world.hangs = hangs,
        Change::Api(fails) => world.api_fails = fails,
        Change::Runs(place) if !world.jobs.is_empty() => {
            let place = place % world.jobs.len();
            world.jobs[place].runs = true;
        }
        Change::Finishes(place, well) if !world.jobs.is_empty() => {
            let place = place % world.jobs.len();
            let (kind, at) =
                if well { (Finished::Complete, Some(world.now)) } else { (Finished::Failed, None) };
            let job = &mut world.jobs[place];
            (job.finished, job.completed) = (Some(kind), at);
        }
        Change::Runs(_) | Change::Finishes(..) => {}
        Change::Interval(seconds) => world.edit(|object| object.spec.polling_interval = Some(seconds)),
        Change::Pause(pauses) => world.annotate(PAUSED, if pauses { "true" } else { "false" }),
        Change::Restart => world.restart(version),
    }
}

proptest! {
    #[test]
    fn unfinished_jobs_stay_within_the_maximum_whatever_happens(
        version in proptest::sample::select(vec!["2.9.0", "2.14.0", "2.15.0", "2.19.0", "2.20.2", "2.21.0"]),
        strategy in proptest::sample::select(vec!["default", "accurate", "eager"]),
        rollout in proptest::sample::select(vec!["gradual", "immediate"]),
        minimum in 0_u32..4,
        beyond in 0_u32..12,
        story in proptest::collection::vec((0_u64..20_000, changes()), 0..40),
    ) {
        let maximum = minimum + beyond;
        let spec = json!({
            "minReplicaCount": minimum,
            "maxReplicaCount": maximum,
            "pollingInterval": 5,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "rollout": {"strategy": rollout},
            "scalingStrategy": {"strategy": strategy},
        });
        let mut world = World::unseen(version, scaled_job(&[7], &spec));
        world.restart(version);
        for (pause, change) in &story {
            world.run(world.now + pause);
            prop_assert!(u32::try_from(world.unfinished()).is_ok_and(|number| number <= maximum));
            make(&mut world, version, change);
        }
        // Once everything works again, the minimum is there within the longest retry and a poll.
        world.queues.insert(7, 0);
        (world.pools_fail, world.hangs, world.api_fails) = (false, false, false);
        world.reads_fail.clear();
        world.annotate(PAUSED, "false");
        world.run(world.now + LONGEST_BACK_OFF.0 + 40_000);
        prop_assert!(u32::try_from(world.unfinished()).is_ok_and(|number| (minimum..=maximum).contains(&number)));
        let kept = |kind| world.jobs.iter().filter(|job| job.finished == Some(kind)).count();
        prop_assert!(kept(Finished::Complete) <= 3 && kept(Finished::Failed) <= 3);
    }
}
