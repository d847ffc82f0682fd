//! Jobs that are queued: builds of many jobs each, and of one.

use std::path::Path;

use crate::Outcome;
use crate::client::rate;
use crate::reads::{CONNECTIONS, ROUNDS, SPAN};
use crate::report::{Report, note};
use crate::service::Service;

/// Jobs of a build, as a matrix has them.
const JOBS: u32 = 20;
/// So many jobs a second are wanted.
const WANTED: f64 = 20_000.0;

pub(crate) async fn measure(program: &Path, report: &mut Report) -> Outcome<()> {
    let mut best = [0.0_f64; 2];
    for _ in 0..ROUNDS {
        for (index, jobs) in [1, JOBS].into_iter().enumerate() {
            // Each round has a server of its own, and is short: an organisation holds 100,000 jobs that wait.
            let service = Service::start(program).await?;
            let definition = service.define("build", usize::try_from(jobs)?).await?;
            let request = service.queue(definition);
            let builds = rate(&service.target, request, CONNECTIONS, SPAN / 8).await?;
            if let Some(best) = best.get_mut(index) {
                *best = best.max(builds * f64::from(jobs));
            }
        }
    }
    let [single, matrix] = best;
    note("builds of one job each", &format!("{single:.0} jobs/s"));
    let measured = format!("{matrix:.0} jobs/s");
    report.tell(&format!("builds of {JOBS} jobs each"), &measured, ">= 20,000", matrix >= WANTED);
    Ok(())
}
