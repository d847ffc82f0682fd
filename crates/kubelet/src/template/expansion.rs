//! `$(VARIABLE)` in the values of a container's environment.

use std::collections::BTreeMap;

/// `text` with its references replaced; one that is not known stays as it stands, `$$` is a dollar sign.
///
/// Source: Kubernetes 1.35.4, `third_party/forked/golang/expansion/expand.go`, `Expand`.
pub fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(escaped) = after.strip_prefix('$') {
            expanded.push('$');
            rest = escaped;
        } else if let Some((name, behind)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match known.get(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.extend(["$(", name, ")"]),
            }
            rest = behind;
        } else {
            expanded.push('$');
            rest = after;
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_as_kubernetes_does() {
        let known = BTreeMap::from([("A".to_owned(), "a".to_owned()), ("EMPTY".to_owned(), String::new())]);
        for (text, expected) in [
            ("$(A)-$(A)", "a-a"),
            ("x$(EMPTY)y", "xy"),
            ("$(B)", "$(B)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$a"),
            ("$(A", "$(A"),
            ("$A $", "$A $"),
            ("plain", "plain"),
        ] {
            assert_eq!(expand(text, &known), expected, "{text}");
        }
    }
}
