//! `poolproof verify`: a saved log, judged.

use std::io::{IsTerminal, Read};
use std::path::Path;

use model::Event;
use verifier::{Report, Verdict};

use super::{Outcome, has_colour, print, width};
use crate::arguments::{Colour, Output, VerifyArguments};
use crate::exit::{Exit, Failure};

pub(crate) fn verify(arguments: &VerifyArguments, colour: Colour) -> Outcome {
    let report = judge(&arguments.log)?;
    match arguments.output {
        Output::Json => print(&format!("{}\n", to_json(&report)?)),
        Output::Text => print(&report.render(width(), has_colour(colour, std::io::stdout().is_terminal()))),
    }
    Ok(exit_of(report.verdict))
}

/// Reads a log and judges it.
pub(crate) fn judge(log: &Path) -> Result<Report, Failure> {
    Ok(verifier::verify(read_events(log)?))
}

/// The events of a log.
pub(crate) fn read_events(log: &Path) -> Result<Vec<Event>, Failure> {
    let mut text = Vec::new();
    let read = if log == Path::new("-") {
        std::io::stdin().read_to_end(&mut text).map(|_| ())
    } else {
        std::fs::read(log).map(|bytes| text = bytes)
    };
    read.map_err(|error| Failure::usage(format!("cannot read {}: {error}", log.display())))?;
    verifier::read_log(&String::from_utf8_lossy(&text))
        .map_err(|error| Failure::usage(format!("{}:{}: {}", log.display(), error.line, error.because)))
}

pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, Failure> {
    let internal =
        |error| Failure { exit: Exit::Internal, message: format!("cannot write a report: {error}") };
    serde_json::to_string_pretty(value).map_err(internal)
}

/// The exit code that a verdict means.
pub(crate) fn exit_of(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Passed | Verdict::ExpectedFindings => Exit::Passed,
        Verdict::Findings => Exit::Findings,
        Verdict::Inconclusive => Exit::Inconclusive,
    }
}
