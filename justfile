# The tests that need nothing but Rust: README's second command.
test:
    cargo test

# Everything that guards a change: style, tests, and the scenarios on the real control plane.
e2e: style test scenarios

# Formatting and lints, warnings denied.
style:
    cargo fmt --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo clippy --test local_cluster -- -D warnings
    gofmt -l kind/local/launcher | (! grep .)

# The scenarios that guard a change, on real KEDA.
scenarios:
    scripts/scenarios

# The simulation held against real KEDA, on the library and on random scenarios.
fidelity *arguments:
    scripts/fidelity {{arguments}}

# What takes too long for every change; docs/full.md has its last result.
full: e2e
    scripts/full

# The micro-benchmarks.
bench:
    cargo bench
