//! What was measured, beside what it should come to, and what of it was missed.

use std::process::ExitCode;

/// Prints figures as they come, and knows at the end which were missed.
#[derive(Debug, Default)]
pub(crate) struct Report {
    missed: Vec<String>,
}

impl Report {
    /// Prints a figure beside what it should come to.
    pub(crate) fn tell(&mut self, figure: &str, measured: &str, wanted: &str, holds: bool) {
        print(&format!(
            "{figure:<58} {measured:<34} {wanted:<22} {}",
            if holds { "holds" } else { "MISSED" }
        ));
        if !holds {
            self.missed.push(format!("{figure}: {measured}, wanted {wanted}"));
        }
    }

    /// Prints once more what was missed; then the program has failed.
    pub(crate) fn end(&self) -> ExitCode {
        if self.missed.is_empty() {
            return ExitCode::SUCCESS;
        }
        print(&format!("{} missed:", self.missed.len()));
        for figure in &self.missed {
            print(&format!("  {figure}"));
        }
        ExitCode::FAILURE
    }
}

/// Prints a figure that is only there to be looked at.
pub(crate) fn note(figure: &str, measured: &str) {
    print(&format!("{figure:<58} {measured}"));
}

#[expect(clippy::print_stdout, reason = "a program for people")]
fn print(line: &str) {
    println!("{line}");
}
