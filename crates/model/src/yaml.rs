//! YAML as a tree that remembers where everything stands.
//!
//! Everything that is read from people comes through here: it is bounded in
//! size, depth and number of nodes (aliases counted as what they stand for), a
//! key may be given once, and nothing in it can make the program panic.

use std::collections::{BTreeMap, BTreeSet};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span as ParserSpan, StrInput, Tag, options};
use serde_json::{Map, Number};

use crate::problem::{Mark, Position, Problem, Span};

/// The largest file that is read.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// The deepest nesting, aliases included.
pub(crate) const MAX_DEPTH: usize = 64;
/// The most nodes of a file, aliases counted as what they stand for.
pub(crate) const MAX_NODES: usize = 100_000;

/// How a plain scalar is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// YAML 1.2's core schema: our own files.
    Core,
    /// What kubectl makes of a manifest: YAML 1.1's `yes` and `0644`, and merge keys.
    Kubernetes,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) mark: Mark,
    pub(crate) value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A scalar as it was written, and what it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) kind: Kind,
}

/// What a scalar is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_mark: Mark,
    pub(crate) node: Node,
}

impl Node {
    /// The value under this key, if this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The entry with this key, if this is a map that has it.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The entries of a map; none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Scalar(_) | Value::List(_) => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            Value::Scalar(_) | Value::Map(_) => &[],
        }
    }

    /// The text, if this is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(Scalar { text, kind: Kind::Text }) => Some(text),
            _ => None,
        }
    }

    /// Whether this is nothing: an empty document, or a key without a value.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(Scalar { kind: Kind::Null, .. }))
    }

    /// The value at a path of keys and indices, or the nearest above it that exists.
    pub(crate) fn nearest<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> Mark {
        let mut found = (self, self.mark);
        for step in path {
            let next = match &found.0.value {
                Value::Map(entries) => {
                    entries.iter().find(|entry| entry.key == step).map(|entry| (&entry.node, entry.mark()))
                }
                Value::List(items) => {
                    step.parse().ok().and_then(|at: usize| items.get(at)).map(|node| (node, node.mark))
                }
                Value::Scalar(_) => None,
            };
            match next {
                Some(next) => found = next,
                None => break,
            }
        }
        found.1
    }

    /// The same as JSON.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Scalar(scalar) => match &scalar.kind {
                Kind::Null => serde_json::Value::Null,
                Kind::Bool(value) => (*value).into(),
                Kind::Number(number) => number.clone().into(),
                Kind::Text => scalar.text.clone().into(),
            },
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => {
                let pairs = entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json()));
                serde_json::Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// What this is, for a message: `the number 5`, `a list`.
    pub(crate) fn described(&self) -> String {
        match &self.value {
            Value::Map(_) => "a mapping".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Scalar(Scalar { kind: Kind::Null, .. }) => "nothing".to_owned(),
            Value::Scalar(Scalar { kind: Kind::Number(_), text }) => format!("the number {text}"),
            Value::Scalar(Scalar { kind: Kind::Bool(_) | Kind::Text, text }) => {
                format!("`{}`", shortened(text))
            }
        }
    }

    fn depth(&self) -> usize {
        let below = match &self.value {
            Value::Scalar(_) => 0,
            Value::List(items) => items.iter().map(Self::depth).max().unwrap_or(0),
            Value::Map(entries) => entries.iter().map(|entry| entry.node.depth()).max().unwrap_or(0),
        };
        below + 1
    }

    fn count(&self) -> usize {
        let below: usize = match &self.value {
            Value::Scalar(_) => 0,
            Value::List(items) => items.iter().map(Self::count).sum(),
            Value::Map(entries) => entries.iter().map(|entry| entry.node.count()).sum(),
        };
        below + 1
    }
}

impl Entry {
    /// Where to point when the value is wrong: at the value, unless it is nothing or spans lines.
    pub(crate) fn mark(&self) -> Mark {
        match &self.node.value {
            Value::Scalar(_) if !self.node.is_null() => self.node.mark,
            _ => self.key_mark,
        }
    }
}

/// As much of a text as fits a message.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    let mut characters = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let head: String = characters.by_ref().take(MOST).collect();
    if characters.next().is_some() { format!("{head}...") } else { head }
}

/// A file's bytes as text, or why they are not.
pub(crate) fn text<'b>(file: &str, bytes: &'b [u8]) -> Result<&'b str, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
        let line_start = good.rfind('\n').map_or(0, |at| at + 1);
        let position =
            Position { line: good.matches('\n').count() + 1, column: good[line_start..].chars().count() + 1 };
        let mark = Mark { position, span: Span { offset: error.valid_up_to(), length: 1 } };
        mark.of(file).problem("not text: this byte is not part of UTF-8").with_hint("save the file as UTF-8")
    })?;
    Ok(text)
}

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

fn resolve(text: &str, dialect: Dialect) -> Kind {
    match dialect {
        Dialect::Core => resolve_core(text),
        Dialect::Kubernetes => resolve_kubernetes(text),
    }
}

/// YAML 1.2.2, section 10.3.2.
fn resolve_core(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        _ => integer(text, false).or_else(|| float(text)).map_or(Kind::Text, Kind::Number),
    }
}

/// go.yaml.in/yaml v2.4, resolve.go, `resolve`: what sigs.k8s.io/yaml, and so kubectl, reads with.
/// A date stays a text there (decode.go, `scalar`), and so it does here.
fn resolve_kubernetes(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Kind::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Kind::Bool(false)
        }
        _ if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) => {
            let digits = text.replace('_', "");
            integer(&digits, true).or_else(|| float(&digits)).map_or(Kind::Text, Kind::Number)
        }
        _ => Kind::Text,
    }
}

/// A whole number that fits 64 bits. In YAML 1.1 a leading zero makes it octal.
fn integer(text: &str, leading_zero_is_octal: bool) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] if leading_zero_is_octal => (2, &digits[2..]),
        [b'0', _, ..] if leading_zero_is_octal => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if !negative {
        return Some(magnitude.into());
    }
    0_i64.checked_sub_unsigned(magnitude).map(Number::from)
}

/// A number with a fraction or an exponent; infinities and the like stay texts, JSON has none.
fn float(text: &str) -> Option<Number> {
    let allowed = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    let numeric = text.chars().all(allowed) && text.contains(|c: char| c.is_ascii_digit());
    numeric.then(|| text.parse().ok().and_then(Number::from_f64)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str, dialect: Dialect) -> String {
        match resolve(text, dialect) {
            Kind::Null => "null".to_owned(),
            Kind::Bool(value) => value.to_string(),
            Kind::Number(number) => number.to_string(),
            Kind::Text => format!("`{text}`"),
        }
    }

    #[test]
    fn a_plain_scalar_is_what_its_dialect_says() {
        for (text, core, kubernetes) in [
            ("", "null", "null"),
            ("~", "null", "null"),
            ("true", "true", "true"),
            ("yes", "`yes`", "true"),
            ("Off", "`Off`", "false"),
            ("n", "`n`", "false"),
            ("18", "18", "18"),
            ("-7", "-7", "-7"),
            ("0644", "644", "420"),
            ("0o17", "15", "15"),
            ("0x1F", "31", "31"),
            ("0b11", "`0b11`", "3"),
            ("1_000", "`1_000`", "1000"),
            ("_1", "`_1`", "`_1`"),
            ("1.50", "1.5", "1.5"),
            ("1e3", "1000.0", "1000.0"),
            ("2.21.0", "`2.21.0`", "`2.21.0`"),
            ("90s", "`90s`", "`90s`"),
            ("2026-11-24", "`2026-11-24`", "`2026-11-24`"),
            (".inf", "`.inf`", "`.inf`"),
            ("-", "`-`", "`-`"),
            ("18446744073709551615", "18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808", "-9223372036854775808"),
        ] {
            assert_eq!(
                (kind(text, Dialect::Core).as_str(), kind(text, Dialect::Kubernetes).as_str()),
                (core, kubernetes)
            );
        }
    }

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

    #[test]
    fn a_message_shows_no_more_of_a_text_than_fits() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"x".repeat(1000)).len(), 63);
        assert_eq!(shortened("a\u{1b}[31m"), "a\u{fffd}[31m");
    }
}
