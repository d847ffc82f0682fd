//! `poolproof run --follow LOG`: the decisions of a real run, as the twin would have taken them.

use std::path::Path;

use twin::follow::{Compared, Followed, Who, follow};

use super::verify::{read_events, to_json};
use super::{Outcome, print};
use crate::arguments::{Output, RunArguments};
use crate::exit::{Exit, Failure};

/// Passed if every decision of every log is equal.
pub(crate) fn follow_logs(arguments: &RunArguments) -> Outcome {
    let followed: Result<Vec<Followed>, Failure> =
        arguments.follow.iter().map(|log| Ok(follow(&read_events(log)?))).collect();
    let followed = followed?;
    match arguments.output {
        Output::Json => print(&format!("{}\n", to_json(&followed)?)),
        Output::Text => {
            for (log, followed) in arguments.follow.iter().zip(&followed) {
                print(&render(log, followed));
            }
        }
    }
    Ok(exit_of(&followed))
}

fn exit_of(followed: &[Followed]) -> Exit {
    if followed.iter().any(|followed| !followed.differences.is_empty()) {
        Exit::Findings
    } else if followed.iter().any(|followed| followed.compared == 0) {
        Exit::Inconclusive
    } else {
        Exit::Passed
    }
}

fn render(log: &Path, followed: &Followed) -> String {
    let mut text = format!("{}\n  {}, {}\n", log.display(), followed.object, followed.line());
    for difference in &followed.differences {
        text.push_str(&format!("  {}\n", sentence(difference)));
    }
    for boundary in &followed.boundaries {
        let by = boundary.boundary.as_deref().unwrap_or_default();
        text.push_str(&format!("  boundary at {}: {by}\n", boundary.at));
    }
    for skipped in &followed.skipped {
        text.push_str(&format!(
            "  not compared, {} times from {}: {}\n",
            skipped.times, skipped.at, skipped.why
        ));
    }
    text
}

/// A decision that is not equal, in a sentence.
pub(crate) fn sentence(difference: &Compared) -> String {
    let Compared { at, who, what, expected, seen, because, .. } = difference;
    let who = match who {
        Who::Hpa => "the HPA",
        Who::Keda => "KEDA",
    };
    let number =
        |number: &Option<i64>| number.map_or_else(|| "nothing".to_owned(), |number| number.to_string());
    format!("{at} {who}, {what:?}: {} seen, {} expected: {because}", number(seen), number(expected))
}
