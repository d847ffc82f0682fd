//! The difference of two logs as text for a terminal.

use super::NARROWEST;
use super::text::Style;
use crate::diff::Difference;

impl Difference {
    /// The difference as text of `width` columns, coloured or not.
    #[must_use]
    pub fn render(&self, width: usize, colour: bool) -> String {
        let style = Style { colour, width: width.max(NARROWEST) };
        style.paragraph("", 2, &self.because)
    }
}
