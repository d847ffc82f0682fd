//! Scenario time: an instant is milliseconds since the run's start, a duration
//! is milliseconds. Neither can be mixed up with wall time, which is
//! `std::time::Duration` and never appears in files or logs.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in scenario time: milliseconds since the start of the run.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Instant(pub u64);

/// A span of scenario time in milliseconds.
///
/// In scenario files it is written as people write it: `90s`, `1h30m`, `500ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

/// A span that lies between two bounds, both included: `8s..20s`, or `5s` for exactly that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MillisRange {
    /// The shortest span.
    pub least: Millis,
    /// The longest span.
    pub most: Millis,
}

impl Instant {
    /// The start of the run.
    pub const START: Self = Self(0);

    /// How long this instant is after `earlier`; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Millis> for Instant {
    type Output = Self;
    fn add(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl AddAssign<Millis> for Instant {
    fn add_assign(&mut self, span: Millis) {
        *self = *self + span;
    }
}

impl Sub<Millis> for Instant {
    type Output = Self;
    fn sub(self, span: Millis) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

/// As on a stop watch: `12:34.5` (minutes, seconds, tenths).
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0 / 100;
        write!(f, "{:02}:{:02}.{}", tenths / 600, tenths / 10 % 60, tenths % 10)
    }
}

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// `n` seconds.
    #[must_use]
    pub const fn seconds(n: u64) -> Self {
        Self(n.saturating_mul(1000))
    }

    /// `n` minutes.
    #[must_use]
    pub const fn minutes(n: u64) -> Self {
        Self::seconds(n.saturating_mul(60))
    }

    /// This span in seconds, with its fraction.
    #[must_use]
    pub fn as_seconds(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "spans stay far below 2^52 milliseconds")]
        let millis = self.0 as f64;
        millis / 1000.0
    }
}

impl Add for Millis {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Millis {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Millis {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// As people write it, exact to the millisecond: `1h30m`, `90s` is `1m30s`, `0s`.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds, millis) =
            (self.0 / 3_600_000, self.0 / 60_000 % 60, self.0 / 1000 % 60, self.0 % 1000);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        if millis > 0 && (hours, minutes, seconds) == (0, 0, 0) {
            write!(f, "{millis}ms")
        } else if millis > 0 {
            write!(f, "{seconds}.{}s", format!("{millis:03}").trim_end_matches('0'))
        } else if seconds > 0 || (hours, minutes) == (0, 0) {
            write!(f, "{seconds}s")
        } else {
            Ok(())
        }
    }
}

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not in a form that is understood.
    #[error("`{0}` is not a duration; write it like `90s`, `5m`, `1h30m` or `500ms`")]
    Unreadable(String),
    /// A span of time cannot be negative.
    #[error("`{0}` is negative; a duration is zero or more")]
    Negative(String),
    /// More than can be counted in milliseconds.
    #[error("`{0}` is too long")]
    TooLong(String),
    /// The bounds of a range are in the wrong order.
    #[error("`{0}` ends before it begins; write the shorter duration first")]
    Backwards(String),
}

impl FromStr for Millis {
    type Err = DurationError;
    fn from_str(text: &str) -> Result<Self, DurationError> {
        let unreadable = || DurationError::Unreadable(text.to_owned());
        // Other forms, such as `PT5M`, are one way too many to say the same.
        if !text.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
            return Err(unreadable());
        }
        let span: jiff::SignedDuration = text.parse().map_err(|_| unreadable())?;
        if span.is_negative() {
            return Err(DurationError::Negative(text.to_owned()));
        }
        u64::try_from(span.as_millis()).map(Self).map_err(|_| DurationError::TooLong(text.to_owned()))
    }
}

impl MillisRange {
    /// Whether it is no time at all.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.most == Millis::ZERO
    }

    /// The range that holds only `span`.
    #[must_use]
    pub const fn exactly(span: Millis) -> Self {
        Self { least: span, most: span }
    }
}

impl fmt::Display for MillisRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most {
            write!(f, "{}", self.least)
        } else {
            write!(f, "{}..{}", self.least, self.most)
        }
    }
}

impl FromStr for MillisRange {
    type Err = DurationError;
    fn from_str(text: &str) -> Result<Self, DurationError> {
        let (least, most) = match text.split_once("..") {
            Some((least, most)) => (least.trim_end().parse()?, most.trim_start().parse()?),
            None => {
                let span = text.parse()?;
                (span, span)
            }
        };
        if most < least {
            return Err(DurationError::Backwards(text.to_owned()));
        }
        Ok(Self { least, most })
    }
}

/// Text in files and in the log, through `Display` and `FromStr`.
macro_rules! as_text {
    ($type:ty, $name:literal, $pattern:literal, $about:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'_, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $about })
            }
        }
    };
}

as_text!(
    Millis,
    "Duration",
    r"^[0-9]",
    "A duration of scenario time, such as `90s`, `5m`, `1h30m` or `500ms`."
);
as_text!(
    MillisRange,
    "DurationRange",
    r"^[0-9][^.]*([.][0-9][^.]*)?([.][.] *[0-9].*)?$",
    "A duration, or two bounds of one: `5s` or `8s..20s`."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_reads_as_people_write_it() {
        assert_eq!("90s".parse(), Ok(Millis::seconds(90)));
        assert_eq!("1h30m".parse(), Ok(Millis::minutes(90)));
        assert_eq!("500ms".parse(), Ok(Millis(500)));
        assert_eq!("nonsense".parse::<Millis>(), Err(DurationError::Unreadable("nonsense".into())));
        assert_eq!("PT5M".parse::<Millis>(), Err(DurationError::Unreadable("PT5M".into())));
        assert_eq!("-5s".parse::<Millis>(), Err(DurationError::Negative("-5s".into())));
        let ages = "2562047788015215h";
        assert_eq!(ages.parse::<Millis>(), Err(DurationError::TooLong(ages.into())));
    }

    #[test]
    fn a_range_has_its_bounds_in_order() {
        let range: MillisRange = "8s..20s".parse().expect("a range");
        assert_eq!((range.least, range.most), (Millis::seconds(8), Millis::seconds(20)));
        assert_eq!("8s .. 20s".parse(), Ok(range));
        assert_eq!("5s".parse(), Ok(MillisRange::exactly(Millis::seconds(5))));
        assert_eq!("9s..8s".parse::<MillisRange>(), Err(DurationError::Backwards("9s..8s".into())));
    }

    proptest::proptest! {
        #[test]
        fn what_is_displayed_reads_back(millis in 0_u64..400_000_000) {
            let span = Millis(millis);
            proptest::prop_assert_eq!(span.to_string().parse(), Ok(span));
        }
    }
}
