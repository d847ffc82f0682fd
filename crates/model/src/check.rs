//! A tree against a JSON schema: every mistake, with its place and what to do.
//!
//! Not a general validator. It knows the words that our own types produce, and
//! says of each mistake what a person needs: what was expected in whose place,
//! which known word is close, where a field belongs. A test holds the schemas
//! to these words, so that no check is silently left out.

use serde_json::{Map, Value as Json};

use crate::agent_version::AgentVersion;
use crate::instant::{Millis, MillisRange};
use crate::problem::{Mark, Problem, did_you_mean, one_of};
use crate::yaml::{Entry, Kind, Node, Scalar, Value, shortened};

/// Schemas of texts that their types read, by name.
const READ_BY_THEIR_TYPES: [&str; 3] = ["Duration", "DurationRange", "AgentVersion"];

/// Everything in which the tree differs from what the schema asks for.
pub(crate) fn check(file: &str, root: &Node, schema: &Json) -> Vec<Problem> {
    let mut checker = Checker { file, root: schema, problems: Vec::new() };
    checker.node(root, root.mark, schema, "the file");
    checker.problems
}

struct Checker<'s> {
    file: &'s str,
    root: &'s Json,
    problems: Vec<Problem>,
}

/// One of the forms that a value may take.
enum Form<'s> {
    /// This word.
    Word(&'s str),
    /// A map with this key alone.
    Tagged(&'s str, &'s Json),
    /// Nothing at all.
    Null,
    /// Whatever this schema says.
    Other(&'s Json),
}

impl<'s> Checker<'s> {
    fn report(&mut self, mark: Mark, message: String, hint: Option<String>) {
        self.problems.push(mark.of(self.file).problem(message).with_hint_if(hint));
    }

    /// The schema that a reference stands for, and its name.
    fn resolved(&self, schema: &'s Json) -> (&'s Json, Option<&'s str>) {
        let mut found = (schema, None);
        while let Some(reference) = found.0.get("$ref").and_then(Json::as_str) {
            let pointer = reference.trim_start_matches('#');
            let Some(target) = self.root.pointer(pointer) else { break };
            found = (target, pointer.rsplit('/').next());
        }
        found
    }

    fn node(&mut self, node: &Node, mark: Mark, schema: &'s Json, subject: &str) {
        let (schema, name) = self.resolved(schema);
        match name {
            Some("Duration") => return self.duration::<Millis>(node, mark, subject, "a duration"),
            Some("DurationRange") => {
                return self.duration::<MillisRange>(node, mark, subject, "a duration or a range");
            }
            Some("AgentVersion") => return self.version(node, mark, subject),
            _ => {}
        }
        let forms = self.forms(schema);
        if let [Form::Other(schema)] = forms.as_slice() {
            self.plain(node, mark, schema, subject);
        } else {
            self.choice(node, mark, &forms, subject);
        }
    }

    fn duration<T: std::str::FromStr<Err: std::fmt::Display>>(
        &mut self,
        node: &Node,
        mark: Mark,
        subject: &str,
        kind: &str,
    ) {
        match &node.value {
            Value::Scalar(Scalar { text, kind: Kind::Text }) => {
                if let Err(error) = text.parse::<T>() {
                    self.report(mark, format!("{subject}: {error}"), None);
                }
            }
            Value::Scalar(Scalar { text, kind: Kind::Number(_) }) => {
                let message = format!("{subject} must be {kind}, not the number {text}");
                self.report(
                    mark,
                    message,
                    Some(format!("say of what: `{text}s` is seconds, `{text}m` minutes")),
                );
            }
            _ => self.report(mark, format!("{subject} must be {kind}, not {}", node.described()), None),
        }
    }

    fn version(&mut self, node: &Node, mark: Mark, subject: &str) {
        match &node.value {
            Value::Scalar(Scalar { text, kind: Kind::Text }) => {
                if let Err(error) = text.parse::<AgentVersion>() {
                    self.report(mark, format!("{subject}: {error}"), None);
                }
            }
            _ => self.report(
                mark,
                format!("{subject} must be a version such as 4.258.1, not {}", node.described()),
                None,
            ),
        }
    }

    fn forms(&self, schema: &'s Json) -> Vec<Form<'s>> {
        let (schema, name) = self.resolved(schema);
        if name.is_some_and(|name| READ_BY_THEIR_TYPES.contains(&name)) {
            return vec![Form::Other(schema)];
        }
        if let Some(branches) = schema.get("oneOf").or(schema.get("anyOf")).and_then(Json::as_array) {
            return branches.iter().flat_map(|branch| self.branch(branch)).collect();
        }
        if let Some(word) = schema.get("const").and_then(Json::as_str) {
            return vec![Form::Word(word)];
        }
        if let Some(words) = schema.get("enum").and_then(Json::as_array) {
            return words.iter().map(|word| word.as_str().map_or(Form::Null, Form::Word)).collect();
        }
        vec![Form::Other(schema)]
    }

    fn branch(&self, branch: &'s Json) -> Vec<Form<'s>> {
        let (schema, name) = self.resolved(branch);
        if name.is_some_and(|name| READ_BY_THEIR_TYPES.contains(&name)) {
            return vec![Form::Other(branch)];
        }
        if schema.get("type").and_then(Json::as_str) == Some("null") {
            return vec![Form::Null];
        }
        match single_property(schema) {
            Some((key, value)) => vec![Form::Tagged(key, value)],
            None => self.forms(branch),
        }
    }

    fn choice(&mut self, node: &Node, mark: Mark, forms: &[Form<'s>], subject: &str) {
        match &node.value {
            Value::Scalar(Scalar { kind: Kind::Null, .. })
                if forms.iter().any(|form| matches!(form, Form::Null)) => {}
            Value::Scalar(Scalar { text, kind: Kind::Text })
                if forms.iter().any(|form| matches!(form, Form::Word(word) if word == text)) => {}
            Value::Scalar(Scalar { text, kind: Kind::Text })
                if forms.iter().any(|form| matches!(form, Form::Tagged(key, _) if key == text)) =>
            {
                self.report(mark, format!("`{text}` needs a value"), Some(format!("write `{text}: ...`")));
            }
            Value::Map(entries) if forms.iter().any(|form| matches!(form, Form::Tagged(..))) => {
                self.tagged(entries, mark, forms, subject);
            }
            _ => match forms.iter().find_map(|form| self.suits(form, node)) {
                Some(schema) => self.node(node, mark, schema, subject),
                None => self.none_suits(node, mark, forms, subject),
            },
        }
    }

    /// The schema by whose rules a value is to be judged that has several forms to choose from.
    fn suits(&self, form: &Form<'s>, node: &Node) -> Option<&'s Json> {
        let Form::Other(schema) = form else { return None };
        let (resolved, name) = self.resolved(schema);
        let suits = match (name, &node.value) {
            (Some("Duration" | "DurationRange"), Value::Scalar(Scalar { text, kind })) => {
                let digit = text.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
                digit && matches!(kind, Kind::Text | Kind::Number(_))
            }
            (_, _) => types(resolved).iter().any(|kind| is_a(node, kind)),
        };
        suits.then_some(schema)
    }

    fn none_suits(&mut self, node: &Node, mark: Mark, forms: &[Form<'s>], subject: &str) {
        let words = words(forms);
        let others: Vec<&str> = forms
            .iter()
            .filter_map(|form| match form {
                Form::Other(schema) => Some(self.kind_of(schema)),
                _ => None,
            })
            .collect();
        let words_named = one_of(words.iter().copied());
        let expected = match (others.as_slice(), words.is_empty()) {
            ([], _) => words_named,
            (others, true) => others.join(" or "),
            (others, false) => format!("{words_named} or {}", others.join(" or ")),
        };
        let hint = node.text().and_then(|text| did_you_mean(text, words));
        self.report(mark, format!("{subject} must be {expected}, not {}", node.described()), hint);
    }

    fn kind_of(&self, schema: &'s Json) -> &'static str {
        let (schema, name) = self.resolved(schema);
        match name {
            Some("Duration") => "a duration",
            Some("DurationRange") => "a duration or a range",
            Some("AgentVersion") => "a version such as 4.258.1",
            _ => types(schema).first().map_or("a value", |kind| name_of(kind)),
        }
    }

    /// A map that names one of several forms by its only key.
    fn tagged(&mut self, entries: &[Entry], mark: Mark, forms: &[Form<'s>], subject: &str) {
        if entries.is_empty() {
            self.report(mark, format!("{subject} is empty"), None);
        }
        for entry in entries {
            let key = entry.key.as_str();
            let form = forms.iter().find_map(|form| match form {
                Form::Tagged(tag, schema) if *tag == key => Some(*schema),
                _ => None,
            });
            match form {
                Some(schema) => self.node(&entry.node, entry.mark(), schema, &format!("`{key}`")),
                None if words(forms).contains(&key) => {
                    let hint = format!("write only `{key}`");
                    self.report(entry.key_mark, format!("`{key}` takes no value"), Some(hint));
                }
                None => {
                    let known = words(forms);
                    let hint = did_you_mean(key, known.iter().copied());
                    let hint = hint.unwrap_or_else(|| format!("known here: {}", one_of(known)));
                    self.report(entry.key_mark, format!("unknown word `{}`", shortened(key)), Some(hint));
                }
            }
        }
        if let Some(second) = entries.get(1) {
            let hint = "begin a new item with `-`".to_owned();
            self.report(second.key_mark, format!("{subject} may hold only one of these"), Some(hint));
        }
    }

    fn plain(&mut self, node: &Node, mark: Mark, schema: &'s Json, subject: &str) {
        let kinds = types(schema);
        if !kinds.is_empty() && !kinds.iter().any(|kind| is_a(node, kind)) {
            let expected = kinds.iter().find(|kind| **kind != "null").map_or("nothing", |kind| name_of(kind));
            let message = format!("{subject} must be {expected}, not {}", node.described());
            return self.report(mark, message, mistyped(node, &kinds));
        }
        match &node.value {
            Value::Scalar(Scalar { text, kind: Kind::Number(number) }) => {
                self.bounds(mark, schema, subject, text, number.as_f64().unwrap_or_default());
            }
            Value::Scalar(_) => {}
            Value::List(items) => {
                if items.is_empty() && schema.get("minItems").is_some() {
                    self.report(mark, format!("{subject} is empty"), None);
                }
                if let Some(item_schema) = schema.get("items") {
                    for item in items {
                        self.node(item, item.mark, item_schema, &format!("an item of {subject}"));
                    }
                }
            }
            Value::Map(entries) => self.map(entries, mark, schema, subject),
        }
    }

    fn bounds(&mut self, mark: Mark, schema: &'s Json, subject: &str, text: &str, number: f64) {
        let format_most = match schema.get("format").and_then(Json::as_str) {
            Some("uint32") => Some(f64::from(u32::MAX)),
            Some("int32") => Some(f64::from(i32::MAX)),
            _ => None,
        };
        let least = schema.get("minimum").and_then(Json::as_f64);
        let most = schema.get("maximum").and_then(Json::as_f64).or(format_most);
        if let Some(least) = least.filter(|least| number < *least) {
            self.report(mark, format!("{subject} must be {least} or more, not {text}"), None);
        }
        if let Some(most) = most.filter(|most| number > *most) {
            self.report(mark, format!("{subject} must be {most} or less, not {text}"), None);
        }
    }

    fn map(&mut self, entries: &[Entry], mark: Mark, schema: &'s Json, subject: &str) {
        let none = Map::new();
        let properties = schema
            .get("properties")
            .and_then(Json::as_object)
            .map_or_else(Vec::new, |map| map.iter().map(|(key, value)| (key.as_str(), value)).collect());
        let others = schema.get("additionalProperties");
        for entry in entries {
            let key = entry.key.as_str();
            let known = properties.iter().find(|(name, _)| *name == key).map(|(_, schema)| *schema);
            match (known, others) {
                (Some(schema), _) => self.node(&entry.node, entry.mark(), schema, &format!("`{key}`")),
                (None, Some(Json::Bool(false))) => self.unknown(entry, &properties, subject),
                (None, Some(schema @ Json::Object(_))) => {
                    let subject = format!("`{}`", shortened(key));
                    self.node(&entry.node, entry.mark(), schema, &subject);
                }
                (None, _) => {}
            }
        }
        let required = schema.get("required").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
        for name in required.iter().filter_map(Json::as_str) {
            if entries.iter().all(|entry| entry.key != name) {
                let about = schema.get("properties").and_then(Json::as_object).unwrap_or(&none).get(name);
                let about = about.and_then(|about| about.get("description")).and_then(Json::as_str);
                let place = entries.first().map_or(mark, |_| mark);
                let whose = if subject == "the file" { String::new() } else { format!(" in {subject}") };
                self.report(
                    place,
                    format!("`{name}` is missing{whose}"),
                    about.map(|about| hint_from(name, about)),
                );
            }
        }
    }

    fn unknown(&mut self, entry: &Entry, properties: &[(&'s str, &'s Json)], subject: &str) {
        let key = entry.key.as_str();
        let names = properties.iter().map(|(name, _)| *name);
        let hint = did_you_mean(key, names.clone())
            .or_else(|| self.home_of(key).map(|home| format!("`{key}` belongs under `{home}`")))
            .unwrap_or_else(|| format!("known here: {}", one_of(names)));
        let whose = if subject == "the file" { String::new() } else { format!(" in {subject}") };
        self.report(entry.key_mark, format!("unknown field `{}`{whose}", shortened(key)), Some(hint));
    }

    /// The top-level field that holds a field of this name.
    fn home_of(&self, key: &str) -> Option<&'s str> {
        let top = self.root.get("properties")?.as_object()?;
        top.iter().find_map(|(name, schema)| {
            let (schema, _) = self.resolved(schema);
            let inner = schema.get("items").map_or(schema, |items| self.resolved(items).0);
            inner.get("properties")?.get(key).map(|_| name.as_str())
        })
    }
}

/// The key and the value's schema, if a schema asks for a map with exactly one key.
fn single_property(schema: &Json) -> Option<(&str, &Json)> {
    let properties = schema.get("properties")?.as_object()?;
    let required = schema.get("required")?.as_array()?;
    let [name] = required.as_slice() else { return None };
    match properties.iter().next() {
        Some((key, value)) if properties.len() == 1 && name == key => Some((key, value)),
        _ => None,
    }
}

fn words<'s>(forms: &[Form<'s>]) -> Vec<&'s str> {
    forms
        .iter()
        .filter_map(|form| match form {
            Form::Word(word) | Form::Tagged(word, _) => Some(*word),
            Form::Null | Form::Other(_) => None,
        })
        .collect()
}

fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(kind)) => vec![kind],
        Some(Json::Array(kinds)) => kinds.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_a(node: &Node, kind: &str) -> bool {
    match (&node.value, kind) {
        (Value::List(_), "array") | (Value::Map(_), "object") => true,
        (Value::Scalar(scalar), kind) => match &scalar.kind {
            Kind::Null => kind == "null",
            Kind::Bool(_) => kind == "boolean",
            Kind::Text => kind == "string",
            Kind::Number(number) => kind == "number" || (kind == "integer" && !number.is_f64()),
        },
        _ => false,
    }
}

fn name_of(kind: &str) -> &'static str {
    match kind {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "`true` or `false`",
        "array" => "a list",
        "object" => "a mapping",
        _ => "nothing",
    }
}

/// What to do about a value of the wrong type.
fn mistyped(node: &Node, kinds: &[&str]) -> Option<String> {
    let wants = |kind| kinds.contains(&kind);
    match &node.value {
        Value::Scalar(Scalar { text, kind: Kind::Number(_) | Kind::Bool(_) }) if wants("string") => {
            Some(format!("put it into quotes: \"{text}\""))
        }
        Value::Scalar(Scalar { text, kind: Kind::Text })
            if (wants("integer") && text.parse::<i64>().is_ok())
                || (wants("boolean") && text.parse::<bool>().is_ok()) =>
        {
            Some(format!("leave the quotes away: {text}"))
        }
        Value::Map(_) | Value::Scalar(_) if wants("array") && !node.is_null() => {
            Some("put `- ` before each item, or all of them into `[` and `]`".to_owned())
        }
        _ => None,
    }
}

/// A field and the first sentence of its description.
fn hint_from(name: &str, about: &str) -> String {
    let first = about.split(['.', '\n']).next().unwrap_or(about);
    format!("`{name}`: {first}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{
        ConfigMap, Deployment, ScaledJob, ScaledObject, Secret, TriggerAuthentication, kubernetes,
    };
    use crate::scenario::Scenario;
    use schemars::schema_for;

    /// What a schema may say, because it is checked here or has nothing to check.
    const UNDERSTOOD: [&str; 19] = [
        "$ref",
        "$defs",
        "$schema",
        "title",
        "description",
        "default",
        "type",
        "format",
        "minimum",
        "maximum",
        "minItems",
        "properties",
        "additionalProperties",
        "required",
        "items",
        "oneOf",
        "anyOf",
        "const",
        "enum",
    ];
    /// Patterns that the types themselves check when they read a text, and `rules` for the name.
    const PATTERNS_CHECKED_ELSEWHERE: [&str; 4] = [
        "^[0-9]",
        "^[0-9][^.]*([.][0-9][^.]*)?([.][.] *[0-9].*)?$",
        "^[0-9]+[.][0-9]+[.][0-9]+$",
        "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$",
    ];

    fn assert_understood(schema: &Json) {
        let Json::Object(words) = schema else { return };
        for (word, value) in words {
            match word.as_str() {
                "properties" | "$defs" => {
                    value.as_object().expect("a map").values().for_each(assert_understood);
                }
                "pattern" => {
                    let pattern = value.as_str().expect("a text");
                    assert!(
                        PATTERNS_CHECKED_ELSEWHERE.contains(&pattern),
                        "nobody checks the pattern `{pattern}`"
                    );
                }
                "oneOf" | "anyOf" => value.as_array().expect("a list").iter().for_each(assert_understood),
                "items" | "additionalProperties" => assert_understood(value),
                word => assert!(UNDERSTOOD.contains(&word), "nobody checks the schema's `{word}`"),
            }
        }
    }

    #[test]
    fn every_word_of_our_schemas_is_checked() {
        assert_understood(&schema_for!(Scenario).to_value());
        assert_understood(&schema_for!(Deployment).to_value());
        assert_understood(&schema_for!(ScaledObject).to_value());
        assert_understood(&schema_for!(ScaledJob).to_value());
        assert_understood(&schema_for!(TriggerAuthentication).to_value());
        assert_understood(&schema_for!(Secret).to_value());
        assert_understood(&schema_for!(ConfigMap).to_value());
        assert_understood(&schema_for!(kubernetes::Any).to_value());
    }
}
