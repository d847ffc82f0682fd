//! The same body from general fakes: WireMock and json-server, started by `scripts/bench-server`.
//!
//! Their addresses come by the environment: `PEERS="wiremock=http://127.0.0.1:1234/rows json-server=http://..."`.
//! The body that they have to serve is written where `PEER_BODY` says, before they are started.

use std::path::Path;

use crate::Outcome;
use crate::client::{Target, rate};
use crate::reads::{CONNECTIONS, ROUNDS, ROWS, SPAN, with_rows};
use crate::report::{Report, note};

/// Who they are, as `PEERS` has them.
const NAMES: [&str; 2] = ["wiremock", "json-server"];

pub(crate) async fn measure(program: &Path, report: &mut Report) -> Outcome<()> {
    let (service, body) = with_rows(program).await?;
    if let Ok(file) = std::env::var("PEER_BODY") {
        std::fs::write(file, &body)?;
        return Ok(());
    }
    let peers = std::env::var("PEERS").unwrap_or_default();
    for name in NAMES {
        let url = peers.split_whitespace().find_map(|peer| peer.strip_prefix(name)?.strip_prefix('='));
        let Some(url) = url else {
            note(
                &format!("jobrequests beside {name}"),
                "not measured here: `just bench-server` starts it if it can",
            );
            continue;
        };
        let (base, path) = url.rsplit_once('/').ok_or("a URL with a path")?;
        let target = Target::new(base, "")?;
        let (mut own, mut other) = (0.0_f64, 0.0_f64);
        for _ in 0..ROUNDS {
            let request = service.target.request("GET", ROWS, "");
            own = own.max(rate(&service.target, request, CONNECTIONS, SPAN).await?);
            let request = target.request("GET", &format!("/{path}"), "");
            other = other.max(rate(&target, request, CONNECTIONS, SPAN).await?);
        }
        let ratio = own / other;
        note(&format!("{name}, the same body"), &format!("{other:.0} reads/s"));
        report.tell(
            &format!("jobrequests beside {name}"),
            &format!("{ratio:.1} x"),
            ">= 10 x",
            ratio >= 10.0,
        );
    }
    Ok(())
}
