//! How much slower something may get: `p95 +10%`, `seen:p50 +2s`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use model::Millis;

use crate::latency::StageName;

/// A limit on a percentile of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The stage; the whole way, if none was named.
    pub stage: StageName,
    /// The percentile, from 1 to 99.
    pub percentile: u32,
    /// How much more it may be.
    pub allowance: Allowance,
}

/// How much more a percentile may be than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// So many hundredths of a percent of what it was.
    Share(u32),
    /// So much time.
    Time(Millis),
}

/// What is wrong with the text of a limit, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitError {
    text: String,
    /// In bytes of the text.
    at: Range<usize>,
    because: String,
}

impl Allowance {
    /// How much `b` is beyond what is allowed after `a`, in ten-thousandths of a millisecond.
    pub(super) fn excess(self, a: u64, b: u64) -> i128 {
        const WHOLE: i128 = 10_000;
        let (a, b) = (i128::from(a), i128::from(b));
        match self {
            Self::Share(share) => b * WHOLE - a * (WHOLE + i128::from(share)),
            Self::Time(time) => (b - a - i128::from(time.0)) * WHOLE,
        }
    }
}

/// `whole:p95 +10%`.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:p{} +", self.stage.name(), self.percentile)?;
        match self.allowance {
            Allowance::Time(time) => write!(f, "{time}"),
            Allowance::Share(share) if share % 100 == 0 => write!(f, "{}%", share / 100),
            Allowance::Share(share) => {
                let text = format!("{}.{:02}", share / 100, share % 100);
                write!(f, "{}%", text.trim_end_matches('0'))
            }
        }
    }
}

/// What is wrong, and the text with the place marked.
impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.text.get(..self.at.start).unwrap_or_default().chars().count();
        let marked = self.text.get(self.at.clone()).unwrap_or_default().chars().count().max(1);
        write!(f, "{}\n  {}\n  {}{}", self.because, self.text, " ".repeat(before), "^".repeat(marked))
    }
}

impl std::error::Error for LimitError {}

impl FromStr for Limit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        Reader { text }.limit()
    }
}

/// Reads a limit, and knows where in it things stand.
struct Reader<'t> {
    text: &'t str,
}

impl<'t> Reader<'t> {
    fn limit(&self) -> Result<Limit, LimitError> {
        let start = self.text.len() - self.text.trim_start().len();
        let body = self.text.trim();
        if body.is_empty() {
            return Err(self.error(body, "this is empty; write it like `p95 +10%`"));
        }
        let Some((what, more)) = body.split_once(char::is_whitespace) else {
            let end = &self.text[start + body.len()..];
            return Err(self.error(end, "here is missing how much more it may be, such as ` +10%` or ` +5s`"));
        };
        let (stage, percentile) = match what.split_once(':') {
            Some((stage, percentile)) => (self.stage(stage)?, percentile),
            None => (StageName::Whole, what),
        };
        let percentile = self.percentile(percentile)?;
        Ok(Limit { stage, percentile, allowance: self.allowance(more.trim())? })
    }

    fn stage(&self, word: &'t str) -> Result<StageName, LimitError> {
        let known = StageName::ALL.into_iter().find(|stage| stage.name() == word);
        known.ok_or_else(|| {
            let names: Vec<&str> = StageName::ALL.into_iter().map(StageName::name).collect();
            self.error(word, format!("`{word}` is no stage; there are {}", names.join(", ")))
        })
    }

    fn percentile(&self, word: &'t str) -> Result<u32, LimitError> {
        if word == "max" {
            return Err(
                self.error(word, "the longest of many is chance, and nothing can be said of it: take p99")
            );
        }
        let number = word.strip_prefix('p').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        let number = number.and_then(|digits| digits.parse().ok()).filter(|number| (1..=99).contains(number));
        number.ok_or_else(|| {
            self.error(word, format!("`{word}` is no percentile; write p1 to p99, such as p95"))
        })
    }

    fn allowance(&self, word: &'t str) -> Result<Allowance, LimitError> {
        let Some(amount) = word.strip_prefix('+') else {
            return Err(self.error(word, "how much more it may be begins with `+`, such as `+10%` or `+5s`"));
        };
        if let Some(share) = amount.strip_suffix('%') {
            return hundredths(share).map(Allowance::Share).ok_or_else(|| {
                self.error(amount, format!("`{amount}` is no share; write at most two decimals: `+2.5%`"))
            });
        }
        let time = amount.parse().map(Allowance::Time);
        time.map_err(|_| {
            self.error(
                amount,
                format!("`{amount}` is neither a share nor a time; write `+10%`, `+5s` or `+500ms`"),
            )
        })
    }

    /// An error at a part of the text.
    fn error(&self, part: &str, because: impl Into<String>) -> LimitError {
        let start = part.as_ptr() as usize - self.text.as_ptr() as usize;
        LimitError { text: self.text.to_owned(), at: start..start + part.len(), because: because.into() }
    }
}

/// A number with at most two decimals, times a hundred.
fn hundredths(text: &str) -> Option<u32> {
    /// More than this is no limit.
    const MOST: u32 = 1_000_000;
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 2 {
        return None;
    }
    let whole: u32 = whole.parse().ok().filter(|whole| *whole <= MOST)?;
    let decimals: u32 = format!("{decimals:0<2}").parse().ok()?;
    Some(whole * 100 + decimals)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Limit {
        text.parse().unwrap_or_else(|error: LimitError| panic!("{error}"))
    }

    /// What is said of a text, and the part of it that is marked.
    fn wrong(text: &str) -> (String, String) {
        let error = text.parse::<Limit>().expect_err(text);
        (error.because.clone(), text.get(error.at.clone()).unwrap_or_default().to_owned())
    }

    #[test]
    fn a_limit_is_a_share_or_a_time() {
        let share = Limit { stage: StageName::Whole, percentile: 95, allowance: Allowance::Share(1000) };
        assert_eq!(read("p95 +10%"), share);
        let time = Allowance::Time(Millis::seconds(2));
        assert_eq!(
            read(" seen:p50   +2s "),
            Limit { stage: StageName::Seen, percentile: 50, allowance: time }
        );
        assert_eq!(read("new-pod:p99 +2.5%").allowance, Allowance::Share(250));
        assert_eq!(read("p1 +0%").allowance, Allowance::Share(0));
    }

    #[test]
    fn a_limit_is_written_as_it_is_read() {
        for text in ["whole:p95 +10%", "agent-there:p50 +1m30s", "seen:p99 +2.5%", "seen:p99 +0.05%"] {
            assert_eq!(read(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_marked_where_it_stands() {
        let cases = [
            ("sean:p95 +10%", "no stage", "sean"),
            ("p9x +10%", "no percentile", "p9x"),
            ("p100 +10%", "no percentile", "p100"),
            ("seen:p0 +10%", "no percentile", "p0"),
            ("max +10%", "chance", "max"),
            ("p95", "missing", ""),
            ("p95 10%", "begins with `+`", "10%"),
            ("p95 -10%", "begins with `+`", "-10%"),
            ("p95 +ten%", "no share", "ten%"),
            ("p95 +1.234%", "no share", "1.234%"),
            ("p95 +5", "neither", "5"),
            ("p95 + 5s", "neither", " 5s"),
            ("", "empty", ""),
        ];
        for (text, because, part) in cases {
            let (said, marked) = wrong(text);
            assert!(said.contains(because), "{text}: {said}");
            assert_eq!(marked, part, "{text}");
        }
    }

    #[test]
    fn the_mark_stands_below_its_part() {
        let said = "sean:p95 +10%".parse::<Limit>().expect_err("no stage").to_string();
        assert!(said.ends_with("\n  sean:p95 +10%\n  ^^^^"), "{said}");
        let said = "ß:p95 p".parse::<Limit>().expect_err("no stage").to_string();
        assert!(said.ends_with("\n  ß:p95 p\n  ^"), "{said}");
    }

    #[test]
    fn just_as_much_as_is_allowed_is_not_beyond_it() {
        let tenth = Allowance::Share(1000);
        assert_eq!((tenth.excess(100, 110), tenth.excess(100, 111) > 0), (0, true));
        let second = Allowance::Time(Millis::seconds(1));
        assert_eq!((second.excess(500, 1500), second.excess(500, 1501) > 0), (0, true));
        assert!(tenth.excess(0, 1) > 0 && tenth.excess(0, 0) == 0);
    }
}
