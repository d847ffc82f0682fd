//! Temporary.
#![allow(clippy::all, clippy::print_stdout)]
#[test]
fn all() {
    for path in std::env::var("LOGS").unwrap().split_whitespace() {
        let text = std::fs::read_to_string(path).unwrap();
        let events: Vec<model::Event> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let f = twin::follow::follow(&events);
        println!("{path}: {} audited={}", f.line(), f.audited);
        for d in f.differences.iter().chain(&f.boundaries) { println!("  {} {}", if d.equal {"bound"} else {"DIFF"}, serde_json::to_string(d).unwrap()); }
    }
}
