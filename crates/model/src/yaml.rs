//! YAML as a tree that remembers where everything stands.
//!
//! Everything that is read from people comes through here: it is bounded in
//! size, depth and number of nodes (aliases counted as what they stand for), a
//! key may be given once, and nothing in it can make the program panic.

use serde_json::{Map, Number};

use crate::problem::{Mark, Position, Problem, Span};

mod reader;
mod resolve;

pub(crate) use reader::parse;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_no_more_of_a_text_than_fits() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"x".repeat(1000)).len(), 63);
        assert_eq!(shortened("a\u{1b}[31m"), "a\u{fffd}[31m");
    }
}
