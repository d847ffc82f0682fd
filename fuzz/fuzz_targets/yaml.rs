//! Scenario files, with everything that is read of them.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Either a scenario, or problems that say where they are.
    if let Err(problems) = model::load::scenario("fuzz.yaml", text) {
        assert!(!problems.is_empty());
    }
});
