//! What the server bears, measured over its own sockets with the clients in processes of their own.
//!
//! `just bench-server` builds it and the program, and runs it:
//! `load PROGRAM [FIGURE...]`, with figures of [`FIGURES`]; all of them without any. On a machine that
//! does other things too only what was measured beside something else in the same run is worth comparing.

mod client;
mod delivery;
mod idle;
mod peers;
mod reads;
mod service;
mod submission;

use std::error::Error;
use std::path::{Path, PathBuf};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What can be measured.
const FIGURES: [&str; 6] = ["reads", "finished", "idle", "delivery", "submission", "peers"];

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        // This program again, as the other side of itself.
        ["static", file] => runtime.block_on(reads::serve_static(Path::new(file))),
        ["hold", url, token, agents] => runtime.block_on(idle::hold(url, token, agents.parse()?)),
        [program, figures @ ..] => runtime.block_on(measure(PathBuf::from(program), figures)),
        [] => Err(format!("usage: load PROGRAM [{}]", FIGURES.join("|")).into()),
    }
}

async fn measure(program: PathBuf, figures: &[&str]) -> Outcome<()> {
    if let Some(unknown) = figures.iter().find(|figure| !FIGURES.contains(figure)) {
        return Err(format!("`{unknown}` is none of {}", FIGURES.join(", ")).into());
    }
    let wanted = |figure: &str| figures.is_empty() || figures.contains(&figure);
    if wanted("reads") {
        reads::against_static(&program).await?;
    }
    if wanted("finished") {
        reads::with_finished_jobs(&program).await?;
    }
    if wanted("idle") {
        idle::measure(&program).await?;
    }
    if wanted("delivery") {
        delivery::measure(&program).await?;
    }
    if wanted("submission") {
        submission::measure(&program).await?;
    }
    if wanted("peers") {
        peers::measure(&program).await?;
    }
    Ok(())
}

/// Prints a figure beside what it should come to.
#[expect(clippy::print_stdout, reason = "a program for people")]
pub(crate) fn tell(figure: &str, measured: &str, wanted: &str, holds: bool) {
    println!("{figure:<52} {measured:<34} {wanted:<22} {}", if holds { "holds" } else { "MISSED" });
}

/// Prints a figure that is only there to be looked at.
#[expect(clippy::print_stdout, reason = "a program for people")]
pub(crate) fn note(figure: &str, measured: &str) {
    println!("{figure:<52} {measured}");
}
