//! `poolproof compare`: two results of `bench latency`, and whether the second is slower.

use std::io::IsTerminal;
use std::path::Path;

use serde::Deserialize;
use verifier::compare::Judgement;
use verifier::latency::{FILE, FORMAT, Latency};

use super::verify::to_json;
use super::{Outcome, has_colour, print, width};
use crate::arguments::{Colour, CompareArguments, Output};
use crate::exit::{Exit, Failure};

/// The largest result that is read.
const LARGEST: u64 = 512 << 20;

pub(crate) fn compare(arguments: &CompareArguments, colour: Colour) -> Outcome {
    let (a, b) = (read(&arguments.a)?, read(&arguments.b)?);
    let comparison = verifier::compare(&a, &b, &arguments.fail_if).map_err(Failure::usage)?;
    match arguments.output {
        Output::Json => print(&format!("{}\n", to_json(&comparison)?)),
        Output::Text => {
            print(&comparison.render(width(), has_colour(colour, std::io::stdout().is_terminal())));
        }
    }
    Ok(match comparison.judgement {
        None | Some(Judgement::Within | Judgement::NotShown) => Exit::Passed,
        Some(Judgement::Slower) => Exit::Findings,
        Some(Judgement::CannotTell) => Exit::Inconclusive,
    })
}

/// What of any format says which one it is.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

/// Reads a result; a folder stands for the one in it.
fn read(path: &Path) -> Result<Latency, Failure> {
    let path = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
    let unreadable = |because: String| Failure::usage(format!("cannot read {}: {because}", path.display()));
    let size = std::fs::metadata(&path).map_err(|error| unreadable(error.to_string()))?.len();
    if size > LARGEST {
        return Err(unreadable(format!("it has more than {LARGEST} bytes")));
    }
    let text = std::fs::read(&path).map_err(|error| unreadable(error.to_string()))?;
    let no_result =
        |error: serde_json::Error| unreadable(format!("this is no result of `bench latency`: {error}"));
    let Head { format } = serde_json::from_slice(&text).map_err(no_result)?;
    if format != FORMAT {
        return Err(unreadable(format!("it has format {format}, and this version reads format {FORMAT}")));
    }
    serde_json::from_slice(&text).map_err(no_result)
}
