//! What a plain scalar is: a text, a number, a truth value or nothing.

use serde_json::Number;

use super::{Dialect, Kind};

/// What a plain scalar is in this dialect.
pub(super) fn resolve(text: &str, dialect: Dialect) -> Kind {
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
}
