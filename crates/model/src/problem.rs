//! A mistake in a file, where it stands, and what to do about it.

use std::fmt;

/// So many problems of a file are told; the last one says how many more there are.
const MOST_PROBLEMS: usize = 100;
/// Longer words than this are not compared with others.
const LONGEST_COMPARED: usize = 80;

/// A stretch of a file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// Where it begins.
    pub offset: usize,
    /// How long it is.
    pub length: usize,
}

/// A place in a file as people count: both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A stretch of a named file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// Where the stretch begins, for people.
    pub position: Position,
    /// The stretch, for programs that show it.
    pub span: Span,
}

/// A mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What is wrong: a fragment in lower case, without a full stop.
    pub message: String,
    /// What to do about it, if that is known.
    pub hint: Option<String>,
    /// Whether the lines at the place hold a secret, and must not be shown.
    pub private: bool,
}

/// `file:line:column: message`, and the hint on a line of its own.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, position, .. } = &self.place;
        write!(f, "{file}:{}:{}: {}", position.line, position.column, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

impl Place {
    /// A mistake here.
    #[must_use]
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem { place: self.clone(), message: message.into(), hint: None, private: false }
    }
}

impl Problem {
    /// The same, with what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, without its place's lines being shown. What it says must tell no secret either.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// The same, with the hint if there is one.
    #[must_use]
    pub fn with_hint_if(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }
}

/// A stretch of a file whose name is known elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) position: Position,
    pub(crate) span: Span,
}

impl Mark {
    /// The first character of a file.
    pub(crate) const START: Self =
        Self { position: Position { line: 1, column: 1 }, span: Span { offset: 0, length: 0 } };

    /// This stretch of that file.
    pub(crate) fn of(self, file: &str) -> Place {
        Place { file: file.to_owned(), position: self.position, span: self.span }
    }
}

/// In the order of the files, each once, and no more than anybody reads.
pub(crate) fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort();
    problems.dedup();
    if problems.len() > MOST_PROBLEMS {
        let more = problems.split_off(MOST_PROBLEMS);
        let last = more[0].place.problem(format!("and {} mistakes from here on", more.len()));
        problems.push(if more[0].private { last.private() } else { last });
    }
    problems
}

/// `did you mean ...?` if one of the known words is close to what was written.
pub(crate) fn did_you_mean<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let length = written.chars().count();
    let close = |word: &'k str| {
        // A third of the word may be wrong: more than that and the suggestion is noise.
        let tolerated = (length.max(word.chars().count()) / 3).max(1);
        // Comparing takes the product of the lengths: not for whole paragraphs.
        let comparable =
            length.max(word.len()) <= LONGEST_COMPARED && word.len().abs_diff(written.len()) <= 4 * tolerated;
        let distance =
            comparable.then(|| strsim::damerau_levenshtein(&written.to_lowercase(), &word.to_lowercase()));
        distance.filter(|distance| *distance <= tolerated).map(|distance| (word, distance))
    };
    let (nearest, _) = known.into_iter().filter_map(close).min_by_key(|(_, distance)| *distance)?;
    Some(format!("did you mean `{nearest}`?"))
}

/// The words as a sentence's part: `a, b or c`, each in back ticks.
pub(crate) fn one_of<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_where_and_what_to_do() {
        let mark = Mark { position: Position { line: 2, column: 6 }, span: Span { offset: 10, length: 5 } };
        let problem = mark.of("a.yaml").problem("no such number").with_hint("count again");
        assert_eq!(problem.to_string(), "a.yaml:2:6: no such number\n  hint: count again");
    }

    #[test]
    fn a_suggestion_is_close_or_not_made() {
        let known = ["pollingInterval", "cooldownPeriod"];
        assert_eq!(did_you_mean("poolingInterval", known), Some("did you mean `pollingInterval`?".into()));
        assert_eq!(did_you_mean("fallback", known), None);
        assert_eq!(did_you_mean(&"x".repeat(1 << 20), known), None);
    }

    #[test]
    fn no_more_is_told_than_anybody_reads() {
        let problem = |at: usize| {
            let position = Position { line: at, column: 1 };
            Mark { position, span: Span { offset: at, length: 0 } }.of("a.yaml").problem("wrong")
        };
        let told = sorted((1..=250).rev().chain(1..=250).map(problem).collect());
        assert_eq!(told.len(), MOST_PROBLEMS + 1);
        assert_eq!(told[0].to_string(), "a.yaml:1:1: wrong");
        assert_eq!(told[MOST_PROBLEMS].to_string(), "a.yaml:101:1: and 150 mistakes from here on");
    }
}
