//! Which values of a manifest nobody may see in a message, nor in the lines around one.

use super::Document;
use crate::problem::{Problem, Span};
use crate::yaml::{Kind, Node, Scalar, Value};

/// What a message shows instead.
const HIDDEN: &str = "...";
/// Words in the names of variables and settings whose values are secret.
const SECRET_WORDS: [&str; 4] = ["TOKEN", "PASSWORD", "SECRET", "CREDENTIAL"];
/// Before and after the line of a problem, so many are shown.
const LINES_AROUND: usize = 1;

/// Whether a value of this name is secret, such as `AZP_TOKEN` or `personalAccessToken`.
fn is_secret_name(name: &str) -> bool {
    let upper = name.to_uppercase();
    SECRET_WORDS.iter().any(|word| upper.contains(word))
        || upper.split(|c: char| !c.is_alphanumeric()).any(|part| part == "PAT")
}

/// The same object with nothing secret in it, for checks that quote what they do not expect.
pub(super) fn redacted(root: &Node) -> Node {
    let mut copy = root.clone();
    visit(&mut copy, &mut |node, _| {
        if let Value::Scalar(Scalar { text, kind }) = &mut node.value
            && *kind != Kind::Null
        {
            HIDDEN.clone_into(text);
        }
    });
    copy
}

/// Where secrets stand in the text, with the lines around from which they could be seen.
pub(super) fn spans(root: &Node, text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    visit(&mut root.clone(), &mut |node, key| {
        spans.push(widened(node.mark.span, text));
        spans.extend(key.map(|key| widened(key, text)));
    });
    spans
}

/// Makes the problems private near which secrets stand.
pub(super) fn hide(problems: Vec<Problem>, documents: &[Document]) -> Vec<Problem> {
    let hidden = |problem: &Problem| {
        let files = documents.iter().filter(|document| document.file == problem.place.file);
        files.flat_map(|document| &document.secrets).any(|secret| meet(*secret, problem.place.span))
    };
    problems.into_iter().map(|one| if hidden(&one) { one.private() } else { one }).collect()
}

/// The same for one file.
pub(super) fn hide_in(problems: Vec<Problem>, secrets: &[Span]) -> Vec<Problem> {
    let hidden = |problem: &Problem| secrets.iter().any(|secret| meet(*secret, problem.place.span));
    problems.into_iter().map(|one| if hidden(&one) { one.private() } else { one }).collect()
}

/// The same for a file that is not understood, where only its words tell what it holds.
pub(super) fn hide_unread(problems: Vec<Problem>, text: &str) -> Vec<Problem> {
    let lines: Vec<&str> = text.lines().collect();
    let hidden = |problem: &Problem| {
        let at = problem.place.position.line.saturating_sub(1).min(lines.len());
        let start = lines[..at].iter().rposition(|line| line.starts_with("---")).unwrap_or(0);
        let end = lines[at..].iter().skip(1).position(|line| line.starts_with("---"));
        let end = end.map_or(lines.len(), |end| at + 1 + end);
        let is_secret = lines[start..end].iter().any(|line| {
            let line = line.to_lowercase();
            line.contains("kind") && line.contains("secret")
        });
        // A value may stand on the line after its name.
        let near = &lines[at.saturating_sub(LINES_AROUND + 1)..(at + LINES_AROUND + 1).min(lines.len())];
        is_secret || near.iter().any(|line| is_secret_name(line))
    };
    problems.into_iter().map(|one| if hidden(&one) { one.private() } else { one }).collect()
}

/// Every secret scalar or what else stands in its place, with the span of its key if that is known.
fn visit(root: &mut Node, secret: &mut impl FnMut(&mut Node, Option<Span>)) {
    let is_secret = root.get("kind").and_then(Node::text).is_some_and(|it| it.eq_ignore_ascii_case("secret"));
    visit_named(root, secret);
    let Value::Map(entries) = &mut root.value else { return };
    for entry in entries.iter_mut().filter(|_| is_secret) {
        match entry.key.as_str() {
            "data" | "stringData" => visit_all(&mut entry.node, Some(entry.key_mark.span), secret),
            // What kubectl applied last is the whole Secret.
            "metadata" => {
                if let Value::Map(fields) = &mut entry.node.value {
                    let annotations = fields.iter_mut().filter(|field| field.key == "annotations");
                    annotations.for_each(|field| visit_all(&mut field.node, None, secret));
                }
            }
            _ => {}
        }
    }
}

/// Values of names that sound secret: of a setting, or of a variable (`name` beside `value`).
fn visit_named(node: &mut Node, secret: &mut impl FnMut(&mut Node, Option<Span>)) {
    let variable = node.get("name").and_then(Node::text).is_some_and(is_secret_name);
    match &mut node.value {
        Value::Scalar(_) => {}
        Value::List(items) => items.iter_mut().for_each(|item| visit_named(item, secret)),
        Value::Map(entries) => {
            for entry in entries {
                let named = (variable && entry.key == "value") || is_secret_name(&entry.key);
                match &entry.node.value {
                    Value::Scalar(_) if named => secret(&mut entry.node, None),
                    _ => visit_named(&mut entry.node, secret),
                }
            }
        }
    }
}

fn visit_all(node: &mut Node, key: Option<Span>, secret: &mut impl FnMut(&mut Node, Option<Span>)) {
    match &mut node.value {
        Value::Scalar(_) => secret(node, key),
        Value::List(items) => items.iter_mut().for_each(|item| visit_all(item, key, secret)),
        Value::Map(entries) => {
            let keyed = entries.iter_mut();
            keyed.for_each(|entry| visit_all(&mut entry.node, key.and(Some(entry.key_mark.span)), secret));
        }
    }
}

/// From the start of the line before to the start of the line after the next.
fn widened(span: Span, text: &str) -> Span {
    let bytes = text.as_bytes();
    let (mut start, mut end) = (span.offset.min(bytes.len()), (span.offset + span.length).min(bytes.len()));
    for _ in 0..=LINES_AROUND {
        start = bytes[..start].iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        end = bytes[end..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| end + at + 1);
    }
    start += usize::from(bytes.get(start) == Some(&b'\n'));
    Span { offset: start, length: end.saturating_sub(start) }
}

/// Whether a problem here would show something of a widened secret.
fn meet(secret: Span, problem: Span) -> bool {
    problem.offset < secret.offset + secret.length && secret.offset <= problem.offset + problem.length
}
