//! Paths and query strings: percent-encoded, keys in any case, `$top` raw or as `%24top`.

use std::str::FromStr;

use azure_devops::Refusal;
use serde::Deserialize;

/// A query string's pairs; keys are lower-case.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key, Plus::IsSpace).to_lowercase(), decode(value, Plus::IsSpace))
        };
        Self(text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect())
    }

    /// A value that is there and not empty.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, value)| known == key && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// `true`, however it is written. C# writes `True`.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.text(key).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A number or an id.
    pub(crate) fn value<T: FromStr>(&self, key: &str) -> Result<Option<T>, Refusal> {
        self.text(key).map(|text| parse(key, text)).transpose()
    }

    /// One of an enum's values, by its name, whatever the case, or its number.
    pub(crate) fn one_of<T: Copy>(&self, key: &str, names: &[(u64, &str, T)]) -> Result<Option<T>, Refusal> {
        self.text(key).map(|text| one_of(key, text, names)).transpose()
    }

    /// A comma-separated list.
    pub(crate) fn list<T: FromStr>(&self, key: &str) -> Result<Vec<T>, Refusal> {
        let items = self.text(key).unwrap_or_default().split(',').map(str::trim);
        items.filter(|item| !item.is_empty()).map(|item| parse(key, item)).collect()
    }
}

fn one_of<T: Copy>(what: &str, text: &str, names: &[(u64, &str, T)]) -> Result<T, Refusal> {
    let text = text.trim();
    let number = text.parse::<u64>().ok();
    let is_it =
        |(known, name, _): &&(u64, &str, T)| Some(*known) == number || name.eq_ignore_ascii_case(text);
    let found = names.iter().find(is_it).map(|(_, _, value)| *value);
    found.ok_or_else(|| Refusal::Invalid(format!("The value '{text}' is not valid for {what}.")))
}

/// A value of an enum in a body: the Node client writes numbers, the others names.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum WireEnum {
    Number(u64),
    Name(String),
}

impl WireEnum {
    pub(crate) fn of<T: Copy>(&self, what: &str, names: &[(u64, &str, T)]) -> Result<T, Refusal> {
        match self {
            Self::Number(number) => one_of(what, &number.to_string(), names),
            Self::Name(name) => one_of(what, name, names),
        }
    }
}

pub(crate) fn parse<T: FromStr>(what: &str, text: &str) -> Result<T, Refusal> {
    text.trim().parse().map_err(|_| Refusal::Invalid(format!("The value '{text}' is not valid for {what}.")))
}

/// What a plus sign stands for: a space in queries, itself in paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plus {
    IsSpace,
    IsItself,
}

/// The segments of a path, decoded. Empty ones are left out, so that slashes too many do no harm.
pub(crate) fn segments(path: &str) -> Vec<String> {
    path.split('/').filter(|segment| !segment.is_empty()).map(|one| decode(one, Plus::IsItself)).collect()
}

/// Decodes percent-encoding; what is not encoded properly stays as it is.
fn decode(text: &str, plus: Plus) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes().iter();
    while let Some(&byte) = bytes.next() {
        let rest = bytes.as_slice();
        match (byte, rest) {
            (b'%', [high, low, ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                if let (Some(high), Some(low)) = (digit(*high), digit(*low)) {
                    decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
                    bytes.nth(1);
                } else {
                    decoded.push(byte);
                }
            }
            (b'+', _) if plus == Plus::IsSpace => decoded.push(b' '),
            _ => decoded.push(byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_any_case_and_encoding() {
        for text in ["$top=250", "%24top=250", "%24TOP=250", "a=1&$Top=250"] {
            assert_eq!(Query::parse(text).value::<u32>("$top"), Ok(Some(250)), "{text}");
        }
        assert_eq!(Query::parse("top=1").value::<u32>("$top"), Ok(None));
        assert!(Query::parse("$top=many").value::<u32>("$top").is_err());
    }

    #[test]
    fn a_pool_name_may_hold_spaces_and_signs() {
        assert_eq!(Query::parse("poolName=my+pool%26more").text("poolname"), Some("my pool&more"));
        assert_eq!(Query::parse("poolName=a%2Bb").text("poolname"), Some("a+b"));
        assert_eq!(Query::parse("poolName=").text("poolname"), None);
    }

    #[test]
    fn lists_and_flags_are_read_as_clients_write_them() {
        assert_eq!(Query::parse("poolIds=1,2,").list::<u64>("poolids"), Ok(vec![1, 2]));
        assert!(Query::parse("poolIds=1,x").list::<u64>("poolids").is_err());
        assert!(Query::parse("includeCapabilities=True").is_set("includecapabilities"));
        assert!(!Query::parse("includeCapabilities=False").is_set("includecapabilities"));
    }

    #[test]
    fn a_path_is_split_and_decoded() {
        assert_eq!(segments("/acme//My%20Project/_apis/"), ["acme", "My Project", "_apis"]);
        assert_eq!(segments("/a+b/100%"), ["a+b", "100%"]);
    }
}
