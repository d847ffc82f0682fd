//! Requests with bodies, one after another: what is accepted is done, kept and read back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use server::fuzzing::Target;

fuzz_target!(|text: &str| {
    let mut target = Target::default();
    target.requests(text);
    target.check_snapshot();
});
