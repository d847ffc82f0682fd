//! Reads of the queue: which rows count, and which reads told nothing new.

use model::event::ScalerRow;

use super::case::{Case, Reader};
use super::{Reads, RowStory, TriggerCount};
use crate::history::Read;

/// Every read, those that told nothing new together. `decide` says what a ScaledJob's loop made of one.
pub(super) fn stories(case: &Case<'_>, decide: impl Fn(usize) -> Option<String>) -> Vec<Reads> {
    let mut stories: Vec<Reads> = Vec::new();
    let mut before: Option<&Read> = None;
    for (index, (read, reader)) in case.reads.iter().enumerate() {
        let decision = decide(index);
        let new_era = before.is_some_and(|before| case.era(before.at).from != case.era(read.at).from);
        let same = before.is_some_and(|before| tells_the_same(before, read)) && !new_era;
        let last = stories.last_mut().filter(|last| same && last.decision == decision);
        let (polls, syncs) = (u32::from(*reader == Reader::Poll), u32::from(*reader == Reader::Hpa));
        if let Some(last) = last {
            last.to = read.at;
            last.reads += 1;
            last.polls += polls;
            last.hpa_syncs += syncs;
        } else {
            stories.push(Reads {
                from: read.at,
                to: read.at,
                reads: 1,
                polls,
                hpa_syncs: syncs,
                status: read.status,
                failed: read.failure(),
                triggers: if read.succeeded() { counts(case, read) } else { Vec::new() },
                decision,
            });
        }
        before = Some(read);
    }
    stories
}

fn tells_the_same(before: &Read, read: &Read) -> bool {
    before.pool == read.pool && before.failure() == read.failure() && before.rows == read.rows
}

/// What each trigger on the read's pool makes of its answer.
pub(super) fn counts(case: &Case<'_>, read: &Read) -> Vec<TriggerCount> {
    let era = case.era(read.at);
    let triggers = era.triggers.iter().filter(|trigger| trigger.pool == Some(read.pool));
    triggers
        .filter_map(|trigger| {
            let rule = trigger.rule.as_ref()?;
            let count = rule.count(&read.rows);
            let row = |row: &ScalerRow| RowStory {
                request: row.request,
                counts: rule.counts(row),
                because: rule.why(row),
            };
            Some(TriggerCount {
                metric: trigger.metric.clone(),
                count,
                target: rule.target,
                active: count > rule.activation,
                rows: read.rows.iter().map(row).collect(),
            })
        })
        .collect()
}

/// Whether any trigger is active by this read.
pub(super) fn is_active(case: &Case<'_>, read: &Read) -> bool {
    let era = case.era(read.at);
    let rules = era.triggers.iter().filter(|trigger| trigger.pool == Some(read.pool));
    read.succeeded()
        && rules
            .filter_map(|trigger| trigger.rule.as_ref())
            .any(|rule| rule.count(&read.rows) > rule.activation)
}

/// The most that a trigger counts in this read.
pub(super) fn most(case: &Case<'_>, read: &Read) -> u64 {
    let era = case.era(read.at);
    let rules = era.triggers.iter().filter(|trigger| trigger.pool == Some(read.pool));
    rules
        .filter_map(|trigger| trigger.rule.as_ref())
        .map(|rule| rule.count(&read.rows))
        .max()
        .unwrap_or_default()
}
