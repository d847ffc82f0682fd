//! What holds in every run, whatever the scenario and KEDA's version: no job is lost or runs twice, bounds
//! are kept, requests end, pods are in one place. The long run of it is `examples/fuzz.rs`.

mod random;

use random::Trial;

/// Few enough for a build without optimisation.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=60;

#[test]
fn every_invariant_holds_in_random_scenarios() {
    for seed in SEEDS {
        let checked = Trial::draw(seed).and_then(|trial| trial.check());
        if let Err(broken) = checked {
            panic!(
                "seed {seed}: {broken}\nagain: cargo run --release -p poolproof-twin --example fuzz -- --from {seed} --count 1"
            );
        }
    }
}
