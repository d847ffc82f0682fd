//! Mistakes in files, shown where they stand.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use model::problem::Problem;

/// A problem with the text around it.
#[derive(Debug)]
struct Shown<'p> {
    problem: &'p Problem,
    source: NamedSource<String>,
}

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.problem.hint.as_ref().map(|hint| Box::new(hint) as _)
    }
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.problem.place.span;
        Some(Box::new(std::iter::once(LabeledSpan::new(None, span.offset, span.length))))
    }
}

/// All problems: each with its place in a form that editors understand, then with the lines around it,
/// unless these hold a secret.
pub(crate) fn render(problems: &[Problem], colour: bool) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false);
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    let mut rendered = String::new();
    for problem in problems {
        if problem.private {
            let _ = writeln!(rendered, "{problem}\n");
            continue;
        }
        let place = &problem.place;
        let text = texts
            .entry(&place.file)
            .or_insert_with(|| std::fs::read_to_string(&place.file).unwrap_or_default())
            .clone();
        let _ = writeln!(rendered, "{}:{}:{}", place.file, place.position.line, place.position.column);
        let source = NamedSource::new(&place.file, text);
        // A place beyond the text, as in a file that changed meanwhile, is told without its lines.
        if handler.render_report(&mut rendered, &Shown { problem, source }).is_err() {
            let _ = writeln!(rendered, "{problem}");
        }
        rendered.push('\n');
    }
    rendered
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::manifest;

    /// What is shown of a manifest with this mistake in it, read from a file as `poolproof run` does.
    fn shown(text: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("agents.yml");
        std::fs::write(&path, text).expect("a file");
        render(&manifest::load(&path.display().to_string(), text).expect_err("a mistake"), false)
    }

    #[test]
    fn a_problem_is_shown_with_its_lines() {
        let shown = shown("apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndata:\n  port: 8080\n");
        assert!(shown.contains("`port` must be a text, not the number 8080"), "{shown}");
        assert!(shown.contains("  port: 8080"), "{shown}");
    }

    #[test]
    fn a_private_problem_is_shown_without_its_lines() {
        let shown = shown("apiVersion: v1\nkind: Secret\nmetadata: { name: a }\ndata:\n  pin: 8080\n");
        assert!(shown.contains("agents.yml:5:8: `pin` must be a text, not the number ..."), "{shown}");
        assert!(!shown.contains("8080"), "{shown}");
    }
}
