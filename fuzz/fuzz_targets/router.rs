//! Methods, paths and queries, whatever they are made of.

#![no_main]

use libfuzzer_sys::fuzz_target;
use server::fuzzing::Target;

fuzz_target!(|text: &str| {
    let (method, target) = text.split_once(' ').unwrap_or(("GET", text));
    Target::default().request(method, target, b"{}");
});
