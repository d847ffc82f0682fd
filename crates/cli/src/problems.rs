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

/// All problems: each with its place in a form that editors understand, then with the lines around it.
pub(crate) fn render(problems: &[Problem], colour: bool) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false);
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    let mut rendered = String::new();
    for problem in problems {
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
