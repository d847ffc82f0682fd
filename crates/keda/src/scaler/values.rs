//! Numbers and truth values as Go reads them, with Go's error texts.

/// `strconv.ParseInt(text, 10, 64)`.
pub(crate) fn go_integer(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"));
    }
    text.parse().map_err(|_| format!("strconv.ParseInt: parsing {text:?}: value out of range"))
}

/// `strconv.ParseBool`.
pub(crate) fn go_boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

/// `json.Unmarshal` into an integer of Go's type `kind`.
pub(crate) fn json_integer(text: &str, kind: &str) -> Result<i64, String> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::Number(number)) => number
            .as_i64()
            .ok_or_else(|| format!("json: cannot unmarshal number {text} into Go value of type {kind}")),
        Ok(other) => {
            let what = match other {
                serde_json::Value::Bool(_) => "bool",
                serde_json::Value::String(_) => "string",
                serde_json::Value::Array(_) => "array",
                _ => "object",
            };
            Err(format!("json: cannot unmarshal {what} into Go value of type {kind}"))
        }
        Err(_) => {
            let start = text.chars().next().unwrap_or('?');
            let wrong = if start.is_ascii_digit() {
                let rest = if start == '0' {
                    text.chars().nth(1)
                } else {
                    text.chars().find(|c| !c.is_ascii_digit())
                };
                format!("invalid character {:?} after top-level value", rest.unwrap_or('?'))
            } else {
                format!("invalid character {start:?} looking for beginning of value")
            };
            Err(wrong)
        }
    }
}
