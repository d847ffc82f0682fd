//! Reading a saved log: one JSON object a line.

use model::Event;

/// Why a text is not an event log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not an event: {because}")]
pub struct LogError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub because: String,
}

/// The events of a log in JSON lines.
///
/// A last line that was cut off, as after `kill -9`, is left out: such a log has no
/// `run.finished`, and rule `log_incomplete` says so. Empty lines are skipped.
///
/// # Errors
/// The first line that is not an event.
pub fn read_log(text: &str) -> Result<Vec<Event>, LogError> {
    let mut events = Vec::new();
    let mut lines = text.split('\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let cut_off = lines.peek().is_none();
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(line) {
            Ok(event) => events.push(event),
            // Only a line without its line break can have been cut off.
            Err(error) if cut_off && error.is_eof() => {}
            Err(error) => return Err(LogError { line: index + 1, because: error.to_string() }),
        }
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = r#"{"at":5,"by":"run","event":"run.ready"}"#;

    #[test]
    fn every_line_is_an_event() {
        let events = read_log(&format!("{READY}\n\n{READY}\n")).expect("two events");
        assert_eq!(events.len(), 2);
    }

    #[test]
    fn a_line_that_is_no_event_is_named() {
        let error = read_log(&format!("{READY}\n{{\"at\":1}}\n{READY}\n")).expect_err("line 2 has no event");
        assert_eq!(error.line, 2);
        let error =
            read_log(&format!("{READY}\n{{\"at\":1,\"by\"\n")).expect_err("a whole line that ends too soon");
        assert_eq!(error.line, 2);
    }

    #[test]
    fn a_last_line_that_was_cut_off_is_left_out() {
        let events = read_log(&format!("{READY}\n{}", &READY[..20])).expect("the first event");
        assert_eq!(events.len(), 1);
    }

    #[test]
    fn a_last_line_that_is_nonsense_is_not_taken_for_a_cut_off_one() {
        let error = read_log(&format!("{READY}\nnonsense")).expect_err("no event");
        assert_eq!(error.line, 2);
    }
}
