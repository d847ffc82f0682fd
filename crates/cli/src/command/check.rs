//! `poolproof check`: something of the user's, held against the fake service.

use runner::entrypoint::{self, CheckError, Options, Report, Step, Verdict};
use serde_json::json;

use super::verify::to_json;
use super::{Outcome, interruption, print};
use crate::arguments::{CheckCommand, Output};
use crate::exit::{Exit, Failure};
use crate::progress::Live;

pub(crate) async fn check(command: CheckCommand) -> Outcome {
    let CheckCommand::Entrypoint { path, step, output, arguments } = command;
    let binary = entrypoint::own_binary().map_err(Failure::environment)?;
    let live = Live::new(0);
    live.say("running the script through its lives (about a minute)");
    let mut interrupted = interruption();
    let checked = tokio::select! {
        checked = entrypoint::check(Options { script: path, binary, arguments, only: step }) => checked,
        _ = interrupted.wait_for(|&interrupted| interrupted) => {
            live.finish();
            return Ok(Exit::Interrupted);
        }
    };
    live.finish();
    let report = checked.map_err(|error| match error {
        CheckError::Unreadable { .. } | CheckError::UnknownStep { .. } => Failure::usage(error),
        _ => Failure::environment(error),
    })?;
    match output {
        Output::Text => print(&report.to_string()),
        Output::Json => print(&format!("{}\n", to_json(&describe(&report))?)),
    }
    Ok(if report.passed() { Exit::Passed } else { Exit::Findings })
}

/// The report for programs.
fn describe(report: &Report) -> serde_json::Value {
    let step = |step: &Step| {
        json!({
            "step": step.name,
            "expected": step.expected,
            "verdict": match step.verdict {
                Verdict::Passed => "passed",
                Verdict::Failed => "failed",
                Verdict::Skipped => "skipped",
            },
            "because": step.because,
            "saw": step.saw.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "exit_codes": step.exit_codes,
        })
    };
    json!({ "passed": report.passed(), "steps": report.steps.iter().map(step).collect::<Vec<_>>() })
}
