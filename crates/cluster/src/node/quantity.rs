//! Kubernetes quantities, as far as the downward API needs them.

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
