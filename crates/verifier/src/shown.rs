#[test]
fn shown() {
    for path in std::env::var("LOGS").unwrap_or_default().split_whitespace() {
        let events = crate::read_log(&std::fs::read_to_string(path).expect("a log")).expect("events");
        let report = crate::verify(events.clone());
        println!("{path}: {} {}", report.verdict, report.because);
        for finding in report.findings {
            println!(
                "    {} {} {} | {} | {} | {}",
                finding.rule, finding.at, finding.subject, finding.measured, finding.bound, finding.because
            );
        }
        for one in report.not_judged {
            println!("    not judged {} {} {}", one.rule, one.subject, one.because);
        }
        println!("{}", crate::explain(events, None).render(120, false));
    }
}
