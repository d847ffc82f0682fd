//! Lines of text: colour, columns and breaking.

/// Text that may be coloured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// Whether it is.
    pub(super) colour: bool,
    /// The most characters a line may have.
    pub(super) width: usize,
}

/// What a colour is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// All is well.
    Good,
    /// A rule is broken.
    Bad,
    /// Look twice.
    Odd,
    /// Of less weight.
    Dim,
    /// A heading.
    Strong,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "\u{1b}[32m",
            Self::Bad => "\u{1b}[31m",
            Self::Odd => "\u{1b}[33m",
            Self::Dim => "\u{1b}[2m",
            Self::Strong => "\u{1b}[1m",
        }
    }
}

impl Style {
    /// The text in its colour.
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("{}{text}\u{1b}[0m", tone.code())
        } else {
            text.to_owned()
        }
    }

    /// A labelled paragraph, broken at spaces, further lines under the first word.
    pub(super) fn paragraph(self, label: &str, indent: usize, text: &str) -> String {
        let head = indent + label.chars().count();
        let mut out = String::new();
        for (index, line) in broken(text, self.width.saturating_sub(head).max(20)).iter().enumerate() {
            if index == 0 {
                out.push_str(&" ".repeat(indent));
                out.push_str(&self.paint(Tone::Dim, label));
            } else {
                out.push_str(&" ".repeat(head));
            }
            out.push_str(line);
            out.push('\n');
        }
        out
    }

    /// A heading.
    pub(super) fn heading(self, text: &str) -> String {
        format!("\n{}\n", self.paint(Tone::Strong, text))
    }
}

/// The text in lines of at most `width` characters, unless a word is longer.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let used = lines.last().map_or(0, |line| line.chars().count());
        if used > 0 && used + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// The text at the left of a column.
pub(super) fn left(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.chars().count())))
}

/// The text at the right of a column.
pub(super) fn right(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(text.chars().count())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_is_broken_at_spaces_and_hangs_under_its_first_word() {
        let style = Style { colour: false, width: 32 };
        let text = style.paragraph("because  ", 2, "one two three four five six seven");
        assert_eq!(text, "  because  one two three four\n           five six seven\n");
    }

    #[test]
    fn colour_is_there_only_when_wanted() {
        assert_eq!(Style { colour: false, width: 80 }.paint(Tone::Bad, "x"), "x");
        assert_eq!(Style { colour: true, width: 80 }.paint(Tone::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
