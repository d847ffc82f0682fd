//! `poolproof explain` and `poolproof diff`: what logs say about decisions.

use std::io::IsTerminal;

use model::Instant;
use verifier::Likeness;

use super::verify::{read_events, to_json};
use super::{Outcome, has_colour, print, width};
use crate::arguments::{Colour, DiffArguments, ExplainArguments, Output};
use crate::exit::Exit;

pub(crate) fn explain(arguments: &ExplainArguments, colour: Colour) -> Outcome {
    let events = read_events(&arguments.log)?;
    let explanation = verifier::explain(events, arguments.at.map(|at| Instant::START + at));
    match arguments.output {
        Output::Json => print(&format!("{}\n", to_json(&explanation)?)),
        Output::Text => {
            print(&explanation.render(width(), has_colour(colour, std::io::stdout().is_terminal())));
        }
    }
    Ok(Exit::Passed)
}

/// Passed if both logs decide the same, boundary cases aside.
pub(crate) fn diff(arguments: &DiffArguments, colour: Colour) -> Outcome {
    let (a, b) = (read_events(&arguments.a)?, read_events(&arguments.b)?);
    let difference = verifier::diff_within(a, b, arguments.within);
    match arguments.output {
        Output::Json => print(&format!("{}\n", to_json(&difference)?)),
        Output::Text => {
            print(&difference.render(width(), has_colour(colour, std::io::stdout().is_terminal())));
        }
    }
    Ok(match difference.verdict {
        Likeness::Equal { .. } | Likeness::EqualButBoundary { .. } => Exit::Passed,
        Likeness::Different => Exit::Findings,
    })
}
