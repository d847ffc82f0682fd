//! Kubernetes quantities, as far as the downward API needs them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// An amount of a resource, however it was written: `0.5` and `500m` are the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Quantity(String);

impl Quantity {
    /// As it is kept: thousandths as `500m`, or what could not be read as it stands.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Quantity {
    fn from(text: &str) -> Self {
        Self(thousandths(text).map_or_else(|| text.to_owned(), |amount| format!("{amount}m")))
    }
}

/// Manifests may say `cpu: 2`; the API has texts only.
impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Quantity;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity as text or number")
            }
            fn visit_str<E>(self, text: &str) -> Result<Quantity, E> {
                Ok(text.into())
            }
            fn visit_u64<E>(self, number: u64) -> Result<Quantity, E> {
                Ok(number.to_string().as_str().into())
            }
            fn visit_i64<E>(self, number: i64) -> Result<Quantity, E> {
                Ok(number.to_string().as_str().into())
            }
            fn visit_f64<E>(self, number: f64) -> Result<Quantity, E> {
                Ok(number.to_string().as_str().into())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A quantity in thousandths of its unit.
pub(super) fn thousandths(text: &str) -> Option<u128> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let factor: u128 = match suffix {
        "m" => 1,
        "" => 1000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        "Ti" => 1000 << 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    Some(digits.checked_mul(factor)?.div_ceil(scale))
}

/// How often `divisor` goes into `quantity`, rounded up; a divisor that is not given is one.
///
/// Source: Kubernetes 1.35.4, `pkg/api/v1/resource/helpers.go`, `convertResourceCPUToString`.
pub(super) fn divided(quantity: &str, divisor: &str) -> Option<u128> {
    let divisor = match divisor {
        "" | "0" => 1000,
        other => thousandths(other)?,
    };
    (divisor > 0).then(|| thousandths(quantity).map(|quantity| quantity.div_ceil(divisor)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_the_same_however_it_is_written() {
        let read = |json: &str| serde_json::from_str::<Quantity>(json).expect("a quantity");
        assert_eq!(read("0.5"), read("\"500m\""));
        assert_eq!(read("2"), read("\"2\""));
        assert_eq!(read("\"1.5Gi\""), read("\"1536Mi\""));
        assert_ne!(read("\"1Gi\""), read("\"1G\""));
        assert_eq!(read("\"many\"").as_str(), "many");
    }

    #[test]
    fn quantities_are_divided_and_rounded_up() {
        for (quantity, divisor, expected) in [
            ("1500m", "", Some(2)),
            ("1500m", "1m", Some(1500)),
            ("2", "0", Some(2)),
            ("1.5Gi", "1Mi", Some(1536)),
            ("128Mi", "1", Some(134_217_728)),
            ("many", "1", None),
            ("1", "0m", None),
        ] {
            assert_eq!(divided(quantity, divisor), expected, "{quantity} by {divisor}");
        }
    }
}
