//! From a parser's events to a tree, within bounds.

use std::collections::{BTreeMap, BTreeSet};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span as ParserSpan, StrInput, Tag, options};

use super::resolve::resolve;
use super::{Dialect, Entry, Kind, MAX_BYTES, MAX_DEPTH, MAX_NODES, Node, Scalar, Value, shortened};
use crate::problem::{Mark, Position, Problem, Span};

/// The documents of a file, or everything that is wrong with them.
pub(crate) fn parse(file: &str, text: &str, dialect: Dialect) -> Result<Vec<Node>, Vec<Problem>> {
    if text.len() > MAX_BYTES {
        let message = format!("{} bytes are too many: at most {MAX_BYTES} are read", text.len());
        return Err(vec![Mark::START.of(file).problem(message)]);
    }
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::new(file, body, text.len() - body.len(), dialect);
    let documents = reader.documents();
    match documents {
        Ok(documents) if reader.problems.is_empty() => Ok(documents),
        Ok(_) => Err(reader.problems),
        Err(problem) => {
            reader.problems.push(*problem);
            Err(reader.problems)
        }
    }
}

/// The end of reading: what follows in the file is not understood any more.
type Stopped = Box<Problem>;

struct Reader<'t> {
    file: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    /// Bytes before the text that the parser sees.
    skipped: usize,
    dialect: Dialect,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    /// What is wrong without ending the reading.
    problems: Vec<Problem>,
}

impl<'t> Reader<'t> {
    fn new(file: &'t str, body: &'t str, skipped: usize, dialect: Dialect) -> Self {
        let options = options! {
            emit_comments: false,
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
        };
        let parser = Parser::new_from_str_with_options(body, options);
        Self { file, parser, skipped, dialect, anchors: BTreeMap::new(), nodes: 0, problems: Vec::new() }
    }

    fn documents(&mut self) -> Result<Vec<Node>, Stopped> {
        let mut documents = Vec::new();
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                Event::DocumentStart(..) => self.anchors.clear(),
                event => documents.push(self.node(event, &span, 1)?),
            }
        }
        Ok(documents)
    }

    fn next(&mut self) -> Result<Option<(Event<'t>, ParserSpan)>, Stopped> {
        self.parser.next_event().transpose().map_err(|error| Box::new(self.not_yaml(&error)))
    }

    fn expect(&mut self) -> Result<(Event<'t>, ParserSpan), Stopped> {
        match self.next()? {
            Some(next) => Ok(next),
            None => Err(Box::new(Mark::START.of(self.file).problem("not YAML: the file ends too early"))),
        }
    }

    fn not_yaml(&self, error: &ScanError) -> Problem {
        let marker = *error.marker();
        let mark = self.mark(&ParserSpan::new(marker, marker));
        let hint = match error.info() {
            info if info.contains("tab") => Some("indent with spaces, not with tabs".to_owned()),
            info if info.contains("mapping values are not allowed") => {
                Some("put quotes around a text that contains `: `".to_owned())
            }
            _ => None,
        };
        mark.of(self.file).problem(format!("not YAML: {}", error.info())).with_hint_if(hint)
    }

    fn mark(&self, span: &ParserSpan) -> Mark {
        let range = span.byte_range().unwrap_or_default();
        Mark {
            position: Position { line: span.start.line().max(1), column: span.start.col() + 1 },
            span: Span { offset: range.start + self.skipped, length: range.len() },
        }
    }

    fn problem(&mut self, mark: Mark, message: impl Into<String>) {
        self.problems.push(mark.of(self.file).problem(message));
    }

    fn stop<T>(&self, mark: Mark, message: impl Into<String>) -> Result<T, Stopped> {
        Err(Box::new(mark.of(self.file).problem(message)))
    }

    fn node(&mut self, event: Event<'t>, span: &ParserSpan, depth: usize) -> Result<Node, Stopped> {
        let mark = self.mark(span);
        self.bound(mark, 1, depth)?;
        let anchor = event.anchor_id();
        let value = match event {
            Event::Alias(target) => return self.alias(target, mark, depth),
            Event::Scalar(text, style, _, tag) => {
                Value::Scalar(self.scalar(&text, style, tag.as_deref(), mark))
            }
            Event::SequenceStart(..) => Value::List(self.list(depth)?),
            Event::MappingStart(..) => Value::Map(self.map(depth)?),
            _ => return self.stop(mark, "not YAML: a value is missing here"),
        };
        let node = Node { mark, value };
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// Against files that blow up in memory or on the stack.
    fn bound(&mut self, mark: Mark, more: usize, depth: usize) -> Result<(), Stopped> {
        self.nodes += more;
        if self.nodes > MAX_NODES {
            return self.stop(mark, format!("too much YAML: at most {MAX_NODES} values, aliases counted"));
        }
        if depth > MAX_DEPTH {
            return self.stop(mark, format!("too deep: at most {MAX_DEPTH} levels, aliases counted"));
        }
        Ok(())
    }

    fn alias(&mut self, target: usize, mark: Mark, depth: usize) -> Result<Node, Stopped> {
        let Some(node) = self.anchors.get(&target) else {
            return self.stop(mark, "an alias cannot stand inside what it names");
        };
        let (count, deepest) = (node.count(), depth + node.depth());
        let copy = Node { mark, value: node.value.clone() };
        self.bound(mark, count, deepest)?;
        Ok(copy)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Stopped> {
        let mut items = Vec::new();
        loop {
            match self.expect()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, &span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Stopped> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.expect()?;
            if event == Event::MappingEnd {
                merge(&mut entries, merged);
                return Ok(entries);
            }
            let plain = matches!(event, Event::Scalar(_, ScalarStyle::Plain, ..));
            let key_node = self.node(event, &span, depth + 1)?;
            let (event, span) = self.expect()?;
            let node = self.node(event, &span, depth + 1)?;
            let Value::Scalar(Scalar { text: key, .. }) = key_node.value else {
                self.problem(key_node.mark, "a key must be a text, not a list or a mapping");
                continue;
            };
            if plain && key == "<<" && self.dialect == Dialect::Kubernetes {
                merged.push(node);
                continue;
            }
            if let Some(line) = lines.get(&key) {
                let message = format!("`{}` is given twice", shortened(&key));
                let problem = key_node.mark.of(self.file).problem(message);
                self.problems
                    .push(problem.with_hint(format!("the first is in line {line}; keep one of them")));
                continue;
            }
            lines.insert(key.clone(), key_node.mark.position.line);
            entries.push(Entry { key, key_mark: key_node.mark, node });
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, mark: Mark) -> Scalar {
        let suffix = tag.map(|tag| tag.core_suffix().unwrap_or("?"));
        let kind = match suffix {
            Some("str") => Kind::Text,
            Some("int" | "float" | "bool" | "null") => resolve(text, self.dialect),
            Some(_) => {
                self.problem(mark, "a tag (`!...`) is not understood here");
                Kind::Text
            }
            None if style == ScalarStyle::Plain => resolve(text, self.dialect),
            None => Kind::Text,
        };
        Scalar { text: text.to_owned(), kind }
    }
}

/// Merge keys as YAML 1.1 has them: what is written in the map itself wins, then the earlier one.
fn merge(entries: &mut Vec<Entry>, merged: Vec<Node>) {
    let mut present: BTreeSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    for node in merged {
        let maps = match node.value {
            Value::Map(entries) => vec![entries],
            Value::List(items) => items.into_iter().map(|item| item.entries().to_vec()).collect(),
            Value::Scalar(_) => Vec::new(),
        };
        for entry in maps.into_iter().flatten() {
            if present.insert(entry.key.clone()) {
                entries.push(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str, dialect: Dialect) -> serde_json::Value {
        let documents = parse("test.yaml", text, dialect).expect("good YAML");
        documents.first().expect("a document").to_json()
    }

    #[test]
    fn quotes_and_tags_make_texts() {
        let expected = serde_json::json!({ "a": "18", "b": "18", "c": "18", "d": 18 });
        assert_eq!(json("a: '18'\nb: \"18\"\nc: !!str 18\nd: !!int '18'\n", Dialect::Core), expected);
        let problems = parse("test.yaml", "a: !secret b", Dialect::Core).expect_err("an unknown tag");
        assert_eq!(problems[0].to_string(), "test.yaml:1:12: a tag (`!...`) is not understood here");
    }

    #[test]
    fn aliases_and_merge_keys_stand_for_what_they_name() {
        let text = "base: &base { a: 1, b: 2 }\nmore: { <<: *base, b: 3 }\nsame: *base\n";
        let expected = serde_json::json!({
            "base": { "a": 1, "b": 2 }, "more": { "b": 3, "a": 1 }, "same": { "a": 1, "b": 2 }
        });
        assert_eq!(json(text, Dialect::Kubernetes), expected);
        assert_eq!(json("a: { <<: 1 }", Dialect::Core), serde_json::json!({ "a": { "<<": 1 } }));
    }
}
