//! What a scenario and a seed come to: every build with its moment, and every
//! definition with its jobs and their durations. The same on all engines.

use azure_devops::{Definition, Demand, JobTemplate};
use model::scenario::{Burst, Scenario};
use model::{Millis, MillisRange, stream};

/// The project that all definitions belong to.
pub const PROJECT: &str = "poolproof";
/// The random stream of the jobs' durations, drawn burst by burst, build by build, job by job.
pub const DURATIONS: &str = "job durations";

/// Everything that is queued in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The pipelines. Builds whose jobs take equally long share one.
    pub definitions: Vec<Definition>,
    /// The builds in the order of their moments; at the same moment in the order of the scenario.
    pub builds: Vec<PlannedBuild>,
}

/// A build that is to be queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedBuild {
    /// When, from the moment that everything is in place.
    pub at: Millis,
    /// Its definition's name.
    pub definition: String,
    /// How many jobs it queues at once.
    pub jobs: u32,
}

impl Plan {
    /// How many jobs all builds have.
    #[must_use]
    pub fn jobs(&self) -> u64 {
        self.builds.iter().map(|build| u64::from(build.jobs)).sum()
    }
}

/// The plan of a scenario under a seed.
///
/// # Panics
/// If the scenario did not come through `model::load`: without a pool, or with a
/// text among the demands that is none.
#[must_use]
pub fn plan(scenario: &Scenario, seed: u64) -> Plan {
    let mut durations = stream(seed, DURATIONS);
    let mut plan = Plan { definitions: Vec::new(), builds: Vec::new() };
    for (at, burst) in scenario.load.iter().enumerate() {
        if let Some(pipeline) = &burst.definition {
            plan.add_builds_of(scenario, burst, pipeline, &mut |range| range.draw(&mut durations));
            continue;
        }
        let burst_name = format!("burst-{}", at + 1);
        let exact = burst.duration.least == burst.duration.most;
        for build in 1..=burst.builds.saturating_mul(burst.times) {
            let drawn = (0..burst.jobs).map(|_| burst.duration.draw(&mut durations)).collect();
            let name = if exact { burst_name.clone() } else { format!("{burst_name}-build-{build}") };
            if !exact || build == 1 {
                plan.definitions.push(definition(scenario, burst, name.clone(), drawn));
            }
            plan.builds.push(PlannedBuild { at: moment(burst, build), definition: name, jobs: burst.jobs });
        }
    }
    plan.builds.sort_by_key(|build| build.at);
    plan
}

/// When a burst's build is queued; the first is number 1.
fn moment(burst: &Burst, build: u32) -> Millis {
    let every = burst.every.unwrap_or_default();
    let before = u64::from((build - 1) / burst.builds);
    Millis(burst.at.0.saturating_add(every.0.saturating_mul(before)))
}

impl Plan {
    /// The builds of a pipeline that the scenario states. If chance decides how long its jobs take, each
    /// build has a definition of its own.
    fn add_builds_of(
        &mut self,
        scenario: &Scenario,
        burst: &Burst,
        pipeline: &str,
        draw: &mut dyn FnMut(MillisRange) -> Millis,
    ) {
        let stated = scenario.definitions.iter().find(|stated| stated.name == pipeline);
        let stated = stated.expect("a loaded scenario states its pipelines");
        let pool = scenario.organization.pools.first().map_or("", |pool| pool.name.as_str());
        let whole = Definition::of_scenario(stated, pool).expect("a loaded scenario's demands are demands");
        let exact = whole.jobs().all(|job| job.duration.least == job.duration.most);
        let jobs = u32::try_from(whole.jobs().count()).unwrap_or(u32::MAX);
        for build in 1..=burst.builds.saturating_mul(burst.times) {
            let mut definition = whole.clone();
            for job in definition.jobs_mut() {
                job.duration = MillisRange::exactly(draw(job.duration));
            }
            if !exact {
                definition.name = format!("{pipeline}-build-{}", self.definitions.len() + 1);
            }
            let name = definition.name.clone();
            if !exact || (build == 1 && self.definitions.iter().all(|known| known.name != name)) {
                self.definitions.push(definition);
            }
            self.builds.push(PlannedBuild { at: moment(burst, build), definition: name, jobs });
        }
    }
}

fn definition(scenario: &Scenario, burst: &Burst, name: String, durations: Vec<Millis>) -> Definition {
    let only_pool = || scenario.organization.pools.first().map(|pool| pool.name.clone());
    let pool = burst.pool.clone().or_else(only_pool).expect("a loaded scenario has a pool");
    let demand = |text: &String| text.parse().expect("a loaded scenario's demands are demands");
    let demands: Vec<Demand> = burst.demands.iter().map(demand).collect();
    let job = |(at, duration)| JobTemplate::new(format!("job-{}", at + 1), demands.clone(), duration);
    let jobs = durations.into_iter().enumerate().map(job).collect();
    Definition::flat(name, PROJECT.to_owned(), pool, jobs)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use model::load;
    use proptest::prelude::*;

    use super::*;

    const SCENARIO: &str = "\
name: example
about: Bursts out of order.
organization: { pools: [{ name: linux, id: 7 }, { name: windows, id: 8 }] }
manifests: [agents.yml]
load:
  - { at: 2m, builds: 2, jobs: 2, duration: 1m..3m, pool: windows, demands: [docker, Agent.OS -equals Linux] }
  - { at: 1m, builds: 3, duration: 5m, pool: linux }
at_most: 25m
";

    fn scenario() -> Scenario {
        load::scenario("example.yaml", SCENARIO).expect("a good scenario")
    }

    #[test]
    fn builds_come_in_the_order_of_their_moments() {
        let plan = plan(&scenario(), 1);
        let builds: Vec<(Millis, &str)> =
            plan.builds.iter().map(|build| (build.at, build.definition.as_str())).collect();
        let (early, late) = (Millis::minutes(1), Millis::minutes(2));
        assert_eq!(
            builds,
            [
                (early, "burst-2"),
                (early, "burst-2"),
                (early, "burst-2"),
                (late, "burst-1-build-1"),
                (late, "burst-1-build-2")
            ]
        );
        assert_eq!(plan.jobs(), 7);
    }

    #[test]
    fn a_definition_says_what_its_jobs_are() {
        let plan = plan(&scenario(), 1);
        let [first, second, third] = plan.definitions.as_slice() else { panic!("three definitions") };
        assert_eq!((first.pool.as_str(), third.pool.as_str()), ("windows", "linux"));
        assert_eq!(third.jobs().count(), 1);
        assert_eq!(third.jobs().next().expect("a job").duration, MillisRange::exactly(Millis::minutes(5)));
        let job = second.jobs().nth(1).expect("a second job");
        let demands: Vec<&str> = job.demands.iter().map(Demand::as_str).collect();
        assert_eq!((job.name.as_str(), demands), ("job-2", vec!["docker", "Agent.OS -equals Linux"]));
    }

    const PIPELINES: &str = "\
name: example
about: Pipelines.
organization: { pools: [{ name: linux, id: 7 }] }
manifests: [agents.yml]
definitions:
  - name: exact
    jobs: [{ name: build, duration: 1m }, { name: test, duration: 2m, parallel: 3, depends_on: [build] }]
  - { name: by-chance, jobs: [{ duration: 1m..2m }] }
load:
  - { at: 2m, builds: 2, definition: exact }
  - { at: 1m, builds: 2, definition: by-chance }
at_most: 25m
";

    #[test]
    fn builds_of_a_pipeline_share_its_definition_unless_chance_decides() {
        let scenario = load::scenario("pipelines.yaml", PIPELINES).expect("a good scenario");
        let plan = plan(&scenario, 1);
        let names: Vec<&str> = plan.definitions.iter().map(|definition| definition.name.as_str()).collect();
        assert_eq!(names, ["exact", "by-chance-build-2", "by-chance-build-3"]);
        assert_eq!(plan.jobs(), 2 * 4 + 2);
        assert_eq!(plan.definitions[0].stages[0].phases[1].depends_on, ["build"]);
        let chances: Vec<Millis> = plan.definitions[1..]
            .iter()
            .flat_map(Definition::jobs)
            .map(|job| {
                assert_eq!(job.duration.least, job.duration.most);
                job.duration.most
            })
            .collect();
        assert_ne!(chances[0], chances[1]);
        assert_eq!(plan, super::plan(&scenario, 1));
    }

    #[test]
    fn the_only_pool_need_not_be_named() {
        let mut scenario = scenario();
        scenario.organization.pools.truncate(1);
        scenario.load.truncate(1);
        scenario.load[0].pool = None;
        assert!(plan(&scenario, 1).definitions.iter().all(|definition| definition.pool == "linux"));
    }

    #[test]
    fn a_seed_gives_the_same_durations_for_ever() {
        let durations = |seed| -> Vec<u64> {
            plan(&scenario(), seed).definitions[..2]
                .iter()
                .flat_map(Definition::jobs)
                .map(|job| job.duration.most.0)
                .collect()
        };
        assert_eq!(durations(1), [170_933, 125_705, 62_126, 119_622]);
        assert_ne!(durations(1), durations(2));
    }

    prop_compose! {
        fn a_burst()(at in 0_u64..600, builds in 1_u32..6, jobs in 1_u32..6,
            every in 1_u64..60, times in 1_u32..4, least in 1_u64..300, width in 0_u64..300)
            -> Burst {
            let duration = MillisRange { least: Millis::seconds(least), most: Millis::seconds(least + width) };
            let pool = Some("linux".to_owned());
            let every = Some(Millis::seconds(every));
            Burst {
                at: Millis::seconds(at),
                every,
                times,
                builds,
                definition: None,
                jobs,
                duration,
                demands: Vec::new(),
                pool,
            }
        }
    }

    proptest! {
        /// What the loader lets through, the service understands.
        #[test]
        fn a_loaded_demand_is_a_demand(demand in "( |-|[a-c]|-equals|-gtVersion|\\.){0,8}") {
            let text = SCENARIO.replace("docker", &format!("'{demand}'"));
            if let Ok(scenario) = load::scenario("example.yaml", &text) {
                let plan = plan(&scenario, 1);
                let demands = &plan.definitions[0].jobs().next().expect("a job").demands;
                prop_assert_eq!(demands[0].as_str(), demand.trim());
            } else {
                prop_assert!(demand.parse::<Demand>().is_err());
            }
        }

        #[test]
        fn a_plan_holds_what_the_scenario_asks_for(load in prop::collection::vec(a_burst(), 1..8), seed: u64) {
            let scenario = Scenario { load, ..scenario() };
            let plan = plan(&scenario, seed);
            prop_assert_eq!(&plan, &super::plan(&scenario, seed));
            prop_assert!(plan.builds.is_sorted_by_key(|build| build.at));

            let asked: u64 = scenario.load.iter().map(|burst| u64::from(burst.builds * burst.times) * u64::from(burst.jobs)).sum();
            prop_assert_eq!(plan.jobs(), asked);

            let names: BTreeSet<&str> = plan.definitions.iter().map(|definition| definition.name.as_str()).collect();
            prop_assert_eq!(names.len(), plan.definitions.len(), "a name for each definition");
            for build in &plan.builds {
                let definition = plan.definitions.iter().find(|definition| definition.name == build.definition);
                prop_assert_eq!(definition.map(|definition| definition.jobs().count()), Some(build.jobs as usize));
            }
            for (burst, builds) in scenario.load.iter().enumerate().map(|(at, burst)| (burst, format!("burst-{}", at + 1))) {
                let of_burst = |name: &str| name == builds || name.starts_with(&format!("{builds}-build-"));
                for job in plan.definitions.iter().filter(|d| of_burst(&d.name)).flat_map(Definition::jobs) {
                    prop_assert!(burst.duration.least <= job.duration.least && job.duration.most <= burst.duration.most);
                }
            }
        }
    }
}
