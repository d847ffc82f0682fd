//! Random scenarios from a seed: bursts, durations, demands, strategies, limits,
//! cooldowns and faults. They hold the twin against real KEDA, and look for what
//! breaks it.
//!
//! A [`Recipe`] is drawn, written as the text of a scenario and its manifest, and
//! read like any other scenario. A recipe that shows something is made smaller by
//! [`Recipe::smaller`] until nothing can be left out any more.

mod draw;
mod shrink;
mod text;

use model::Millis;

pub use draw::Limits;

/// Everything that is drawn of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The seed that it was drawn from.
    pub seed: u64,
    /// What KEDA scales.
    pub scaler: Scaler,
    /// minReplicaCount.
    pub min: u32,
    /// maxReplicaCount.
    pub max: u32,
    /// pollingInterval in seconds.
    pub polling_interval: u32,
    /// targetPipelinesQueueLength.
    pub target: u32,
    /// activationTargetPipelinesQueueLength.
    pub activation: u32,
    /// How jobs are told apart.
    pub selection: Selection,
    /// scaleOnInFlight, if it is set.
    pub scale_on_in_flight: Option<bool>,
    /// fetchUnfinishedJobsOnly.
    pub unfinished_only: bool,
    /// Whether the pool is named rather than numbered.
    pub pool_by_name: bool,
    /// The bursts.
    pub bursts: Vec<Burst>,
    /// The faults, as a scenario's lines.
    pub faults: Vec<String>,
    /// Nodes of the cluster.
    pub nodes: u32,
    /// Pods that each takes.
    pub pods_per_node: u32,
    /// How long a node takes to pull the image.
    pub image_pull: Millis,
    /// How long an agent takes to start.
    pub start_up: Millis,
    /// How long the service takes to assign.
    pub assign_delay: Millis,
    /// The pods' grace period in seconds.
    pub grace: u32,
    /// How long the run is.
    pub length: Millis,
}

/// What KEDA scales.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scaler {
    /// A workload, through an HPA.
    Object {
        /// Whether it is a StatefulSet.
        stateful: bool,
        /// Whether agents stay for the next job rather than take one only.
        long_lived: bool,
        /// cooldownPeriod in seconds.
        cooldown: u32,
        /// The HPA's behavior: none, or one whose scale-down window has so many seconds.
        window: Option<u32>,
        /// useCachedMetrics.
        cached: bool,
        /// fallback: failureThreshold and replicas.
        fallback: Option<(u32, u32)>,
    },
    /// Kubernetes Jobs.
    Job {
        /// scalingStrategy.strategy.
        strategy: &'static str,
        /// successfulJobsHistoryLimit.
        history: u32,
        /// backoffLimit.
        backoff_limit: u32,
    },
}

/// How jobs are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Not at all.
    All,
    /// `demands`, with requireAllDemands.
    Demands {
        /// requireAllDemands.
        all: bool,
    },
    /// `parent`, a template agent.
    Parent,
}

/// Builds at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burst {
    /// When.
    pub at: Millis,
    /// How many builds.
    pub builds: u32,
    /// How many jobs in each.
    pub jobs: u32,
    /// How long each runs.
    pub duration: Millis,
    /// Which demands.
    pub demands: Vec<&'static str>,
}

/// A recipe as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The scenario.
    pub scenario: String,
    /// Its manifest.
    pub manifest: String,
}

/// The manifest's name in a generated scenario.
pub const MANIFEST: &str = "agents.yml";

#[cfg(test)]
mod tests {
    use model::{load, manifest};
    use proptest::prelude::*;

    use super::*;

    fn read(recipe: &Recipe) -> Result<(), String> {
        let written = recipe.written();
        let told = |problems: Vec<model::Problem>| format!("{problems:?}\n{}", written.scenario);
        let loaded = load::scenario_with_places("random.yaml", &written.scenario).map_err(told)?;
        let documents = manifest::load(MANIFEST, &written.manifest).map_err(told)?;
        manifest::check(&loaded.scenario, &loaded.places, &documents).map_err(told)?;
        let left = crate::manifests::not_modelled(&documents);
        if left.is_empty() { Ok(()) } else { Err(told(left)) }
    }

    proptest! {
        // Each case reads some fifty files.
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn every_recipe_is_a_good_scenario_and_so_is_each_smaller_one(seed: u64) {
            for limits in [Limits::REAL, Limits::SHORT] {
                let recipe = Recipe::draw(seed, limits);
                prop_assert_eq!(read(&recipe), Ok(()));
                for smaller in recipe.smaller() {
                    prop_assert_ne!(&smaller, &recipe);
                    prop_assert_eq!(read(&smaller), Ok(()));
                }
            }
        }
    }

    #[test]
    fn a_seed_gives_the_same_recipe() {
        assert_eq!(Recipe::draw(7, Limits::REAL), Recipe::draw(7, Limits::REAL));
        assert_ne!(Recipe::draw(7, Limits::REAL).written(), Recipe::draw(8, Limits::REAL).written());
    }

    #[test]
    fn making_smaller_comes_to_an_end() {
        for seed in 0..50 {
            let mut recipe = Recipe::draw(seed, Limits::REAL);
            let mut steps = 0;
            while let Some(smaller) = recipe.smaller().into_iter().next() {
                recipe = smaller;
                steps += 1;
                assert!(steps < 1000, "{recipe:?}");
            }
        }
    }
}
