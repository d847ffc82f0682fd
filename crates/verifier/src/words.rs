//! Small helpers for sentences in findings.

use model::{Instant, Millis};

/// `1 job`, `3 jobs`.
pub(crate) fn counted(count: impl Into<u64>, noun: &str) -> String {
    match count.into() {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

/// A span as people say it, to the tenth of a second: `1m12.3s`.
pub(crate) fn span(span: Millis) -> String {
    let rounded = Millis(span.0.saturating_add(50) / 100 * 100);
    if span.0 < 100 { span.to_string() } else { rounded.to_string() }
}

/// An instant on the chart's axis: `07:12`, or `72:05` after more than an hour.
pub(crate) fn clock(at: Instant) -> String {
    format!("{:02}:{:02}", at.0 / 60_000, at.0 / 1000 % 60)
}

/// The first few of many names, and how many more there are.
pub(crate) fn names<T: AsRef<str>>(names: &[T], most: usize) -> String {
    let shown: Vec<&str> = names.iter().take(most).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(most) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_rounded_to_tenths() {
        assert_eq!(span(Millis(72_345)), "1m12.3s");
        assert_eq!(span(Millis(7)), "7ms");
        assert_eq!(span(Millis(90_000)), "1m30s");
    }

    #[test]
    fn only_the_first_names_are_listed() {
        assert_eq!(names(&["a", "b", "c"], 2), "a, b and 1 more");
        assert_eq!(names(&["a", "b"], 2), "a, b");
        assert_eq!((counted(1_u32, "job"), counted(0_u32, "job")), ("1 job".into(), "0 jobs".into()));
    }

    #[test]
    fn the_axis_counts_minutes_beyond_an_hour() {
        assert_eq!(clock(Instant(4_325_000)), "72:05");
    }
}
