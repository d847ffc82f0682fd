//! Drawing a recipe.

use model::Millis;
use model::stream::{below, stream};
use rand_chacha::ChaCha8Rng;

use super::{Burst, Recipe, Scaler, Selection};

/// What recipes are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest run.
    pub longest: Millis,
    /// The most bursts.
    pub bursts: u64,
    /// The most builds of a burst.
    pub builds: u64,
    /// The most jobs of a build.
    pub jobs: u64,
    /// The longest job.
    pub duration: Millis,
    /// How many of a hundred have faults.
    pub faulty: u64,
    /// Whether faults may hit programs that other runs share.
    pub shared_faults: bool,
}

impl Limits {
    /// For holding the twin against the real thing, where runs share a control plane.
    pub const REAL: Self = Self {
        longest: Millis::minutes(10),
        bursts: 3,
        builds: 6,
        jobs: 3,
        duration: Millis::minutes(4),
        faulty: 30,
        shared_faults: false,
    };
    /// For looking for what breaks the twin: short, and with every fault.
    pub const SHORT: Self = Self {
        longest: Millis::minutes(6),
        bursts: 2,
        builds: 3,
        jobs: 2,
        duration: Millis::minutes(2),
        faulty: 60,
        shared_faults: true,
    };
}

struct Dice(ChaCha8Rng);

impl Dice {
    /// From `least` to `most`, both included.
    fn number(&mut self, least: u64, most: u64) -> u64 {
        least + below(&mut self.0, most - least + 1)
    }

    fn small(&mut self, least: u32, most: u32) -> u32 {
        u32::try_from(self.number(least.into(), most.into())).unwrap_or(most)
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.number(1, 100) <= chance
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        let at = usize::try_from(below(&mut self.0, of.len() as u64)).unwrap_or_default();
        of[at]
    }

    /// A span in whole seconds.
    fn seconds(&mut self, least: u64, most: u64) -> Millis {
        Millis::seconds(self.number(least, most))
    }
}

impl Recipe {
    /// The recipe of this seed.
    #[must_use]
    pub fn draw(seed: u64, limits: Limits) -> Self {
        let mut dice = Dice(stream(seed, "random scenario"));
        let job = dice.percent(40);
        let min = if dice.percent(60) { 0 } else { dice.small(1, 2) };
        let max = dice.one(&[2, 3, 5, 8, 12]).max(min + 1);
        let selection = match dice.number(1, 10) {
            1..=7 => Selection::All,
            8 | 9 => Selection::Demands { all: dice.percent(50) },
            _ => Selection::Parent,
        };
        let scaler = if job { scaled_job(&mut dice) } else { scaled_object(&mut dice) };
        let length = limits.longest;
        let bursts = (0..dice.number(1, limits.bursts)).map(|_| burst(&mut dice, limits)).collect();
        let nodes = dice.small(1, 3);
        let mut recipe = Self {
            seed,
            scaler,
            min,
            max,
            polling_interval: dice.one(&[10, 20, 30, 30, 45]),
            target: dice.one(&[1, 1, 1, 2]),
            activation: dice.one(&[0, 0, 0, 1]),
            selection,
            scale_on_in_flight: dice.one(&[None, None, Some(true), Some(false)]),
            unfinished_only: dice.percent(15),
            pool_by_name: dice.percent(50),
            bursts,
            faults: Vec::new(),
            nodes,
            pods_per_node: dice.one(&[3, 10, 30]),
            image_pull: dice.seconds(3, 30),
            start_up: dice.seconds(6, 20),
            assign_delay: dice.seconds(1, 3),
            grace: dice.one(&[30, 30, 60, 600]),
            length,
        };
        // Agents of the minimum must have room before anything can begin.
        recipe.pods_per_node = recipe.pods_per_node.max(recipe.min);
        if matches!(selection, Selection::Parent) {
            recipe.unfinished_only = false;
        }
        if dice.percent(limits.faulty) {
            recipe.faults = vec![fault(&mut dice, limits, nodes, &recipe.scaler)];
        }
        recipe
    }
}

fn scaled_object(dice: &mut Dice) -> Scaler {
    Scaler::Object {
        stateful: dice.percent(20),
        long_lived: dice.percent(60),
        cooldown: dice.one(&[30, 60, 120, 300]),
        window: dice.one(&[None, None, Some(30), Some(60), Some(120)]),
        cached: dice.percent(10),
        fallback: dice.percent(15).then(|| (dice.small(1, 3), dice.small(1, 4))),
    }
}

fn scaled_job(dice: &mut Dice) -> Scaler {
    Scaler::Job {
        strategy: dice.one(&["default", "default", "accurate", "eager"]),
        history: dice.one(&[0, 2, 5, 100]),
        backoff_limit: dice.one(&[0, 0, 2, 6]),
    }
}

fn burst(dice: &mut Dice, limits: Limits) -> Burst {
    let (longest, duration) = (limits.longest.0 / 1000, limits.duration.0 / 1000);
    Burst {
        at: dice.seconds(20, longest * 6 / 10),
        builds: u32::try_from(dice.number(1, limits.builds)).unwrap_or(1),
        jobs: u32::try_from(dice.number(1, limits.jobs)).unwrap_or(1),
        duration: dice.seconds(15, duration),
        demands: dice.one::<&[&'static str]>(&[&[], &[], &["java"], &["java", "docker"]]).to_vec(),
    }
}

fn fault(dice: &mut Dice, limits: Limits, nodes: u32, scaler: &Scaler) -> String {
    let at = dice.number(60, limits.longest.0 / 1000 * 7 / 10);
    let to = at + dice.number(20, 90);
    let pod = dice.one(&["busy", "idle", "any"]);
    let of_service =
        |answer: &str| format!("service: {{ from: {at}s, to: {to}s, route: job_requests, {answer} }}");
    let kinds = if limits.shared_faults { 11 } else { 8 };
    match dice.number(1, kinds) {
        1 => of_service("answer: 503"),
        2 => of_service("answer: 401"),
        3 => of_service("answer: malformed"),
        4 => of_service("delay: 1s"),
        5 => of_service("answer: sign_in_page"),
        6 => format!("pod_kill: {{ at: {at}s, pod: {pod} }}"),
        7 => format!("pod_delete: {{ at: {at}s, pod: {pod} }}"),
        8 => {
            let kind = if matches!(scaler, Scaler::Job { .. }) { "ScaledJob" } else { "ScaledObject" };
            let max = dice.number(3, 9);
            format!(
                "edit: {{ at: {at}s, object: {kind}/agents, patch: {{ spec: {{ maxReplicaCount: {max} }} }} }}"
            )
        }
        9 => format!("restart: {{ at: {at}s, what: keda_operator }}"),
        10 => format!("restart: {{ at: {at}s, what: kube_controller_manager }}"),
        _ => format!("node_loss: {{ from: {at}s, node: {} }}", dice.number(1, nodes.into())),
    }
}
