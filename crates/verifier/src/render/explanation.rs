//! An explanation as text for a terminal: what each object said, then what happened to it, line by line.

use super::text::{Style, Tone, left};
use super::{NARROWEST, run_words};
use crate::explain::{
    Actor, Entry, Explanation, MomentOfObject, ObjectStory, Reads, RowStory, Step, TriggerCount,
};
use crate::words::{counted, names};

/// So many requests with the same reason are named.
const NAMED: usize = 8;
/// Left of what is said: an instant and a space.
const GUTTER: usize = 12;

impl Explanation {
    /// The explanation as text of `width` columns, coloured or not.
    #[must_use]
    pub fn render(&self, width: usize, colour: bool) -> String {
        let style = Style { colour, width: width.max(NARROWEST) };
        let mut out = format!("{}\n", style.paint(Tone::Strong, &self.run.scenario));
        out.push_str(&style.paragraph("run       ", 2, &run_words(&self.run)));
        if self.objects.is_empty() {
            out.push_str(&style.paragraph("", 2, "the log names no ScaledObject and no ScaledJob"));
        }
        if let Some(moment) = &self.moment {
            out.push_str(&style.heading(&format!("At {}", moment.at)));
            for object in &moment.objects {
                out.push_str(&moment_of(object, style));
            }
            return out;
        }
        for object in &self.objects {
            out.push_str(&story(object, style));
        }
        let steps = self.objects.iter().flat_map(|story| &story.entries);
        let steps = steps.filter(|entry| matches!(entry, Entry::Step(_))).count() as u64;
        out.push_str(&style.heading("Explained"));
        let (tone, text) = match self.not_explained {
            0 => (Tone::Good, format!("each of {}", counted(steps, "step"))),
            not => (
                Tone::Bad,
                format!("{} of {}, {not} not", steps.saturating_sub(not.into()), counted(steps, "step")),
            ),
        };
        out.push_str(&format!("  {}\n", style.paint(tone, &text)));
        out
    }
}

fn story(story: &ObjectStory, style: Style) -> String {
    let mut out = style.heading(&format!("{} over {}", story.object, story.workload));
    for sentence in &story.settings {
        out.push_str(&style.paragraph("", 2, sentence));
    }
    out.push('\n');
    for entry in &story.entries {
        match entry {
            Entry::Reads(reads) => out.push_str(&read_lines(reads, style)),
            Entry::Step(step) => out.push_str(&step_lines(step, style)),
            Entry::Note(note) => {
                out.push_str(&line((&note.at.to_string(), ""), Tone::Odd, &note.what, style));
            }
        }
    }
    out
}

fn moment_of(object: &MomentOfObject, style: Style) -> String {
    let mut out = format!("  {}\n", style.paint(Tone::Strong, &object.object));
    for sentence in &object.state {
        out.push_str(&style.paragraph("", 4, sentence));
    }
    if let Some(step) = &object.last_step {
        out.push_str("\n  the last step\n");
        out.push_str(&step_lines(step, style));
    }
    if let Some(read) = &object.last_read {
        out.push_str("\n  the last read of the queue\n");
        out.push_str(&read_lines(read, style));
    }
    out
}

/// An instant, a label and what is said, in the tone's colour.
fn line((at, label): (&str, &str), tone: Tone, text: &str, style: Style) -> String {
    let wrapped = style.paragraph("", GUTTER + label.chars().count(), text);
    let mut out = String::new();
    for (index, line) in wrapped.lines().enumerate() {
        if index == 0 {
            out.push_str(&style.paint(Tone::Dim, &format!("  {}", left(at, GUTTER - 2))));
            out.push_str(&style.paint(tone, label));
            out.push_str(&style.paint(tone, line.trim_start()));
        } else {
            let body = line.trim_start();
            let indent = line.len() - body.len();
            out.push_str(&format!("{}{}", " ".repeat(indent), style.paint(tone, body)));
        }
        out.push('\n');
    }
    out
}

fn step_lines(step: &Step, style: Style) -> String {
    let tone = match (step.explained, step.by) {
        (false, _) => Tone::Bad,
        (true, Actor::Job) => Tone::Dim,
        (true, _) => Tone::Good,
    };
    let label = format!("{} → {}  ", step.from, step.to);
    line((&step.at.to_string(), &label), tone, &step.because, style)
}

fn read_lines(reads: &Reads, style: Style) -> String {
    let who = match (reads.polls, reads.hpa_syncs) {
        (1, 0) => "KEDA polls".to_owned(),
        (0, 1) => "the HPA reads".to_owned(),
        (polls, 0) => counted(polls, "poll"),
        (0, syncs) => format!("{} by the HPA", counted(syncs, "read")),
        (polls, syncs) => format!("{} and {} by the HPA", counted(polls, "poll"), counted(syncs, "read")),
    };
    let until = if reads.reads > 1 { format!(" until {}, the same", reads.to) } else { String::new() };
    let told = match &reads.failed {
        Some(failed) => failed.clone(),
        None => {
            let counts: Vec<String> = reads.triggers.iter().map(count_words).collect();
            counts.join("; ")
        }
    };
    let tone = if reads.failed.is_some() { Tone::Bad } else { Tone::Dim };
    let mut out = line((&reads.from.to_string(), ""), tone, &format!("{who}{until}: {told}"), style);
    for trigger in &reads.triggers {
        for (counts, because, requests) in groups(&trigger.rows) {
            let sign = if counts { "counts" } else { "not" };
            let text = format!("{sign} {}: {because}", names(&requests, NAMED));
            out.push_str(&style.paragraph("", GUTTER + 2, &text));
        }
    }
    if let Some(decision) = &reads.decision {
        out.push_str(&style.paragraph("", GUTTER + 2, decision));
    }
    out
}

fn count_words(trigger: &TriggerCount) -> String {
    let active = if trigger.active { "" } else { ", not active" };
    let wanted =
        if trigger.target > 1 { format!(", {} for one replica", trigger.target) } else { String::new() };
    format!("{} = {}{wanted}{active}", trigger.metric, trigger.count)
}

/// Rows with the same reason together, those that count first.
fn groups(rows: &[RowStory]) -> Vec<(bool, &str, Vec<String>)> {
    let mut groups: Vec<(bool, &str, Vec<String>)> = Vec::new();
    for row in rows {
        let known =
            groups.iter_mut().find(|(counts, because, _)| *counts == row.counts && *because == row.because);
        match known {
            Some((_, _, requests)) => requests.push(row.request.to_string()),
            None => groups.push((row.counts, &row.because, vec![row.request.to_string()])),
        }
    }
    groups.sort_by_key(|(counts, ..)| !counts);
    groups
}
