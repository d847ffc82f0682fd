//! What the server bears, measured over its own sockets with the clients in processes of their own.
//!
//! `just bench-server` builds it and the program, and runs it:
//! `load PROGRAM [FIGURE...]`, with figures of [`FIGURES`]; all of them without any. It fails if a figure
//! is missed, and names those that are. On a machine that does other things too only what was measured
//! beside something else in the same run is worth comparing.

mod client;
mod delivery;
mod idle;
mod peers;
mod reads;
mod report;
mod service;
mod submission;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use report::Report;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What can be measured.
const FIGURES: [&str; 6] = ["reads", "finished", "idle", "delivery", "submission", "peers"];

fn main() -> Outcome<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        // This program again, as the other side of itself.
        ["static", file] => {
            runtime.block_on(reads::serve_static(Path::new(file)))?;
            Ok(ExitCode::SUCCESS)
        }
        ["hold", url, token, agents] => {
            runtime.block_on(idle::hold(url, token, agents.parse()?))?;
            Ok(ExitCode::SUCCESS)
        }
        [program, figures @ ..] => runtime.block_on(measure(PathBuf::from(program), figures)),
        [] => Err(format!("usage: load PROGRAM [{}]", FIGURES.join("|")).into()),
    }
}

async fn measure(program: PathBuf, figures: &[&str]) -> Outcome<ExitCode> {
    if let Some(unknown) = figures.iter().find(|figure| !FIGURES.contains(figure)) {
        return Err(format!("`{unknown}` is none of {}", FIGURES.join(", ")).into());
    }
    let wanted = |figure: &str| figures.is_empty() || figures.contains(&figure);
    let mut report = Report::default();
    if wanted("reads") {
        reads::against_static(&program, &mut report).await?;
    }
    if wanted("finished") {
        reads::with_finished_jobs(&program, &mut report).await?;
    }
    if wanted("idle") {
        idle::measure(&program, &mut report).await?;
    }
    if wanted("delivery") {
        delivery::measure(&program, &mut report).await?;
    }
    if wanted("submission") {
        submission::measure(&program, &mut report).await?;
    }
    if wanted("peers") {
        peers::measure(&program, &mut report).await?;
    }
    Ok(report.end())
}
