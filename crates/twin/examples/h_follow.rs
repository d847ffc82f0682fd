//! Temporary.
#![allow(clippy::all, missing_docs, clippy::print_stdout)]
fn main() {
    let full = std::env::var("FULL").is_ok();
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path).unwrap();
        let events: Vec<model::Event> = text
            .lines()
            .filter_map(|l| match serde_json::from_str(l) {
                Ok(e) => Some(e),
                Err(e) => {
                    println!("bad line {e}: {}", &l[..l.len().min(100)]);
                    None
                }
            })
            .collect();
        let t = std::time::Instant::now();
        let mut f = twin::follow::follow(&events);
        println!("{path}: {} audited={} in {:?}", f.line(), f.audited, t.elapsed());
        for k in &f.kinds {
            println!("    {k:?}");
        }
        for d in &f.differences {
            println!("  DIFF {} {}", d.at.0, serde_json::to_string(d).unwrap());
        }
        if full {
            for d in &f.boundaries {
                println!("  bound {}", serde_json::to_string(d).unwrap());
            }
        }
        for s in &f.skipped {
            println!("  skip {}x {}", s.times, s.why);
        }
        if full {
            f.decisions.truncate(400);
            for d in &f.decisions {
                println!("   {} {:?} {:?} {:?} {:?} {}", d.at, d.who, d.what, d.expected, d.seen, d.because);
            }
        }
    }
}
