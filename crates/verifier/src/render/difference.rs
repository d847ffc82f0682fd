//! The difference of two logs as text for a terminal.

use model::Millis;

use super::text::{Style, Tone};
use super::{NARROWEST, run_words};
use crate::diff::{Difference, Likeness, StepSequence};
use crate::words::{counted, span};

/// So many steps of one workload are listed.
const STEPS: usize = 60;
/// So many jobs with another result are listed.
const JOBS: usize = 10;

impl Difference {
    /// The difference as text of `width` columns, coloured or not.
    #[must_use]
    pub fn render(&self, width: usize, colour: bool) -> String {
        let style = Style { colour, width: width.max(NARROWEST) };
        let (tone, word) = match self.verdict {
            Likeness::Equal { .. } => (Tone::Good, "EQUAL"),
            Likeness::EqualButBoundary { .. } => (Tone::Good, "EQUAL BUT BOUNDARY"),
            Likeness::Different => (Tone::Bad, "DIFFERENT"),
        };
        let [a, b] = &self.runs;
        let mut out = format!("{}  {}\n", style.paint(tone, word), style.paint(Tone::Strong, &a.scenario));
        out.push_str(&style.paragraph("", 2, &self.because));
        out.push_str(&style.paragraph("A         ", 2, &run_words(a)));
        out.push_str(&style.paragraph("B         ", 2, &run_words(b)));
        let limit = format!("{}, times since run.ready", span(Millis(self.limit_ms)));
        out.push_str(&style.paragraph("limit     ", 2, &limit));
        for sequence in &self.steps {
            out.push_str(&steps(sequence, self.limit_ms, style));
        }
        out.push_str(&style.heading("Jobs, reads and agents"));
        out.push_str(&jobs(self, style));
        out.push_str(&reads(self, style));
        let agents = &self.agents;
        let text = format!(
            "{} registered in A, {} in B; {} and {} removed",
            agents.registered[0], agents.registered[1], agents.removed[0], agents.removed[1]
        );
        out.push_str(&style.paragraph("agents    ", 2, &text));
        out
    }
}

fn steps(sequence: &StepSequence, limit_ms: u64, style: Style) -> String {
    let mut out = style.heading(&sequence.of);
    let [a, b] = &sequence.steps;
    let told = match (sequence.equal, sequence.first_difference) {
        (true, _) => format!("{}, the same in both", counted(a.len() as u64, "step")),
        (false, first) => format!(
            "{} in A and {} in B; step {} is the first that differs",
            counted(a.len() as u64, "step"),
            counted(b.len() as u64, "step"),
            first.unwrap_or_default() + 1
        ),
    };
    out.push_str(&style.paragraph("", 2, &told));
    for index in 0..a.len().max(b.len()).min(STEPS) {
        let apart = sequence.apart_ms.get(index);
        let tone = match apart {
            Some(apart) if apart.unsigned_abs() <= limit_ms => Tone::Good,
            Some(_) => Tone::Odd,
            None => Tone::Bad,
        };
        let one = |step: Option<&crate::diff::TimedStep>| {
            step.map_or_else(|| "-".to_owned(), |step| format!("{}  {} → {}", step.at, step.from, step.to))
        };
        let apart = apart.map_or_else(String::new, |apart| {
            format!("{}{}", if *apart < 0 { "-" } else { "+" }, span(Millis(apart.unsigned_abs())))
        });
        let (left, right) =
            (super::text::left(&one(a.get(index)), 22), super::text::left(&one(b.get(index)), 22));
        out.push_str(&format!("    {left}  {right}  {}\n", style.paint(tone, &apart)));
    }
    for disagreement in &sequence.disagreements {
        let [a, b] = disagreement.replicas;
        let took = span(disagreement.to.since(disagreement.from));
        let what = format!("{a} in A and {b} in B from {} for {took}", disagreement.from);
        let (tone, label, text) = match &disagreement.boundary {
            Some(boundary) => (Tone::Odd, "boundary  ", format!("{what}: {boundary}")),
            None => (Tone::Bad, "differs   ", what),
        };
        let paragraph = style.paragraph(label, 2, &text);
        out.push_str(&paragraph.lines().map(|line| style.paint(tone, line) + "\n").collect::<String>());
    }
    out
}

fn jobs(difference: &Difference, style: Style) -> String {
    let jobs = &difference.jobs;
    let mut out = String::new();
    let results = match jobs.other_results.len() as u64 {
        0 => "all with the same result".to_owned(),
        others => format!("{others} with another result"),
    };
    let mut text = format!("{} queued in A, {} in B, {results}", jobs.queued[0], jobs.queued[1]);
    if let Some(worst) = jobs.worst_wait {
        let wait = |wait: Option<u64>| wait.map_or_else(|| "for ever".to_owned(), |wait| span(Millis(wait)));
        text.push_str(&format!(
            "; {} beyond the limit, most of all of job {}: {} in A, {} in B",
            counted(jobs.waits_beyond_limit, "wait"),
            worst.request,
            wait(worst.waits_ms[0]),
            wait(worst.waits_ms[1])
        ));
    }
    out.push_str(&style.paragraph("jobs      ", 2, &text));
    for other in jobs.other_results.iter().take(JOBS) {
        let text = format!("job {}: {} in A, {} in B", other.request, other.results[0], other.results[1]);
        out.push_str(&style.paragraph("          ", 2, &text));
    }
    out
}

fn reads(difference: &Difference, style: Style) -> String {
    let reads = &difference.reads;
    let time = |time: Option<u64>| time.map_or_else(|| "-".to_owned(), |time| span(Millis(time)));
    let text = format!(
        "{} in A, {} in B; {} and {} failed; {} and {} from one to the next; the first after {} and {}",
        reads.reads[0],
        reads.reads[1],
        reads.failed[0],
        reads.failed[1],
        time(reads.spacing_ms[0]),
        time(reads.spacing_ms[1]),
        time(reads.first_ms[0]),
        time(reads.first_ms[1])
    );
    style.paragraph("reads     ", 2, &text)
}
