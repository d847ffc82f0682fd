//! An explanation as text for a terminal.

use super::NARROWEST;
use super::text::Style;
use crate::explain::Explanation;

impl Explanation {
    /// The explanation as text of `width` columns, coloured or not.
    #[must_use]
    pub fn render(&self, width: usize, colour: bool) -> String {
        let style = Style { colour, width: width.max(NARROWEST) };
        style.paragraph("", 2, &self.run.scenario)
    }
}
