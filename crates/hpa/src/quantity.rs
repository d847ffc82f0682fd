//! Kubernetes quantities (`1`, `500m`, `0.05`, `2k`) as far as an HPA needs them.
//!
//! Source: apimachinery 0.35.4, `pkg/api/resource/quantity.go`.

use std::str::FromStr;

/// A quantity in the canonical form that the API server hands out: digits and a power of a thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity {
    /// The digits.
    value: i128,
    /// The power of ten that belongs to them, a multiple of three from -9 up.
    scale: i32,
}

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a quantity; write it like `1`, `500m` or `0.5`")]
pub struct QuantityError(pub String);

/// The finest that is kept; what is finer is rounded away from zero.
const FINEST: i32 = -9;
/// The coarsest power of ten that is read: beyond it everything is at its largest anyway.
const COARSEST: i32 = 18;
/// More digits than any quantity that means something.
const MOST_DIGITS: usize = 18;

impl Quantity {
    /// In thousandths, rounded away from zero and held within an `i64`. Source: `MilliValue`.
    #[must_use]
    pub fn milli(self) -> i64 {
        let thousandths = match self.scale + 3 {
            up @ 0.. => self.value.saturating_mul(power_of_ten(up)),
            down => divided_up(self.value, power_of_ten(-down)),
        };
        i64::try_from(thousandths).unwrap_or(if thousandths < 0 { i64::MIN } else { i64::MAX })
    }

    /// As a floating-point number, in the very steps that Go takes. Source: `AsApproximateFloat64`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "as Go converts it")]
    pub fn as_f64(self) -> f64 {
        match self.scale {
            0 => self.value as f64,
            -3 => self.value as f64 * 1e-3,
            -6 => self.value as f64 * 1e-6,
            -9 => self.value as f64 * 1e-9,
            scale => self.value as f64 * 10f64.powi(scale),
        }
    }

    /// `value` times ten to the power of `scale`, as the API server writes it.
    fn canonical(mut value: i128, mut scale: i32) -> Self {
        if scale < FINEST {
            value = divided_up(value, power_of_ten(FINEST - scale));
            scale = FINEST;
        }
        if value == 0 {
            return Self { value, scale: 0 };
        }
        while value % 10 == 0 {
            value /= 10;
            scale += 1;
        }
        while scale % 3 != 0 {
            value *= 10;
            scale -= 1;
        }
        Self { value, scale }
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        read(text).ok_or_else(|| QuantityError(text.to_owned()))
    }
}

/// Sign, digits with at most one point, suffix.
fn read(text: &str) -> Option<Quantity> {
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (digits, suffix) = unsigned.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if digits.is_empty()
        || digits == "."
        || fraction.contains('.')
        || whole.len() + fraction.len() > MOST_DIGITS
    {
        return None;
    }
    let all = format!("0{whole}{fraction}");
    let value = all.parse::<i128>().ok()? * sign;
    let behind = -i32::try_from(fraction.len()).ok()?;
    Some(match unit(suffix)? {
        Unit::Ten(power) => Quantity::canonical(value, power + behind),
        Unit::Two(power) => Quantity::canonical(value.checked_shl(power)?, behind),
    })
}

/// What a suffix multiplies by.
enum Unit {
    /// A power of ten.
    Ten(i32),
    /// A power of two.
    Two(u32),
}

fn unit(suffix: &str) -> Option<Unit> {
    Some(match suffix {
        "n" => Unit::Ten(-9),
        "u" => Unit::Ten(-6),
        "m" => Unit::Ten(-3),
        "" => Unit::Ten(0),
        "k" => Unit::Ten(3),
        "M" => Unit::Ten(6),
        "G" => Unit::Ten(9),
        "T" => Unit::Ten(12),
        "P" => Unit::Ten(15),
        "E" => Unit::Ten(18),
        "Ki" => Unit::Two(10),
        "Mi" => Unit::Two(20),
        "Gi" => Unit::Two(30),
        "Ti" => Unit::Two(40),
        "Pi" => Unit::Two(50),
        "Ei" => Unit::Two(60),
        exponent => {
            let power = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            (-COARSEST..=COARSEST).contains(&power).then_some(Unit::Ten(power))?
        }
    })
}

/// Ten to the power of `n`, held below what an `i128` can take.
fn power_of_ten(n: i32) -> i128 {
    10i128.saturating_pow(n.unsigned_abs())
}

/// Divides and rounds away from zero.
fn divided_up(value: i128, by: i128) -> i128 {
    value / by + if value % by == 0 { 0 } else { value.signum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milli(text: &str) -> i64 {
        text.parse::<Quantity>().expect(text).milli()
    }

    #[test]
    fn quantities_are_thousandths() {
        assert_eq!(milli("1"), 1000);
        assert_eq!(milli("0"), 0);
        assert_eq!(milli("500m"), 500);
        assert_eq!(milli("0.5"), 500);
        assert_eq!(milli("2.5k"), 2_500_000);
        assert_eq!(milli("1Ki"), 1_024_000);
        assert_eq!(milli("3e2"), 300_000);
        assert_eq!(milli("-1"), -1000);
    }

    #[test]
    fn what_is_finer_is_rounded_up() {
        assert_eq!(milli("1u"), 1);
        assert_eq!(milli("1500u"), 2);
        assert_eq!(milli("0.0000000001"), 1);
    }

    #[test]
    fn what_is_too_large_is_held_at_the_largest() {
        assert_eq!(milli("9E"), i64::MAX);
        assert_eq!(milli("-9E"), i64::MIN);
    }

    #[test]
    fn tolerances_become_the_nearest_number() {
        for (text, number) in
            [("0.05", 0.05), ("50m", 0.05), ("0.1", 0.1), ("0", 0.0), ("1", 1.0), ("0.0005", 0.0005)]
        {
            assert_eq!(
                text.parse::<Quantity>().expect(text).as_f64().to_bits(),
                f64::to_bits(number),
                "{text}"
            );
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "m", "1.2.3", "1 m", "one", "1kk", "1e99", ".", "--1", "1234567890123456789012"] {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }
}
