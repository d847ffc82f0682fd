# The tests that need nothing but Rust: README's second command.
test:
    cargo test

# Everything that guards a change: style, tests, the official clients, every route's requests, the scenarios on the
# real control plane, KEDA's own tests.
e2e: style test clients openapi scenarios keda-e2e

# Formatting and lints, warnings denied.
style:
    cargo fmt --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo clippy --test local_cluster -- -D warnings
    gofmt -l kind/local/launcher clients/go | (! grep .)
    cargo fmt --check --manifest-path clients/rust/Cargo.toml

# The official clients of Azure DevOps in four languages, unmodified, against a server; --table writes down what they found.
clients *arguments:
    scripts/clients {{arguments}}

# The scenarios that guard a change, on real KEDA.
scenarios:
    scripts/scenarios

# KEDA's own end-to-end tests, unmodified; a machine that was too slow to tell tries once more, at half the speed.
keda-e2e *arguments:
    scripts/keda-e2e {{arguments}} || { test $? = 4 && scripts/keda-e2e --speed 10 {{arguments}}; }

# The simulation held against real KEDA, on the library and on random scenarios.
fidelity *arguments:
    scripts/fidelity {{arguments}}

# What takes too long for every change; docs/full.md has its last result.
full: e2e
    scripts/full

# The micro-benchmarks.
bench:
    cargo bench

# What the server bears, beside a bare axum, WireMock and json-server.
bench-server *figures:
    scripts/bench-server {{figures}}

# The twin beside the same queue in SimPy, in one go.
peers:
    python3 -m venv target/peers
    scripts/retry target/peers/bin/pip install --quiet simpy==4.1.1
    cargo bench -p poolproof-twin --bench twin -- twin/peer > target/peers/twin.txt
    target/peers/bin/python benches/peers/queue_simpy.py target/peers/twin.txt

# schemathesis against a server, with the document of its routes.
openapi:
    cargo build -p poolproof
    scripts/openapi

# Each fuzz target for so many seconds; needs cargo-fuzz and a nightly compiler.
fuzz seconds='600':
    cargo +nightly fuzz run router -- -max_total_time={{seconds}}
    cargo +nightly fuzz run bodies -- -max_total_time={{seconds}}
    cargo +nightly fuzz run yaml -- -max_total_time={{seconds}}
