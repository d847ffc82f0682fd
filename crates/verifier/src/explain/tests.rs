use super::*;
use crate::testing::{Log, article, busy_agents_killed};

#[test]
fn shown() {
    for path in std::env::var("LOGS").unwrap_or_default().split_whitespace() {
        let text = std::fs::read_to_string(path).expect("a log");
        let events = crate::read_log(&text).expect("events");
        println!("{}", explain(events, None).render(120, false));
    }
    println!("{}", explain(article().events(), None).render(110, false));
    println!("{}", explain(article().events(), Some(Instant(600_000))).render(110, false));
    println!("{}", explain(busy_agents_killed().events(), None).render(110, false));
    let _ = Log::new();
}
