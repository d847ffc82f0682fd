//! KEDA's decisions about a ScaledJob: how many Jobs each poll creates, and which finished ones it deletes.

use keda::scaled_job::{Reading, combine, jobs_to_create};
use keda::scaler::{AzurePipelines, Triggers, count};
use model::{Instant, Millis};

use super::book::{Book, Choice};
use super::lives::{Life, Lives};
use super::log::Log;
use super::reads::{Poll, all_polls};
use super::revisions::{Object, Revision, Revisions};
use super::{What, Who};

/// How long a poll may take to delete what is beyond the limits.
const CLEANS_WITHIN: Millis = Millis::seconds(10);
/// completionTime has whole seconds.
const WHOLE_SECOND: Millis = Millis::seconds(1);
/// How long after a change Jobs of the earlier generation are deleted.
const ROLLS_OUT_WITHIN: Millis = Millis::seconds(30);

/// Compares every poll.
pub(super) fn follow(log: &Log<'_>, revisions: &Revisions, book: &mut Book) {
    let jobs = Lives::of(log);
    let polls = all_polls(log, revisions);
    for (place, poll) in polls.iter().enumerate() {
        let next = polls.get(place + 1).map(|poll| poll.at);
        let last = next.is_none() && log.end.since(poll.at) < log.lag + CLEANS_WITHIN;
        if last {
            book.skip(poll.at, "the log ends before the last poll could create Jobs");
            continue;
        }
        let until = next.unwrap_or(log.end);
        created(log, revisions, &jobs, poll, until, book);
        deleted(log, revisions, &jobs, poll, until, book);
    }
    if let (Some(first), Some(life)) = (polls.first(), jobs.0.values().min_by_key(|life| life.created))
        && life.created < first.at
    {
        book.skip(life.created, "Jobs were there before the first poll");
    }
}

/// The number of Jobs that the poll created.
fn created(
    log: &Log<'_>,
    revisions: &Revisions,
    jobs: &Lives<'_>,
    poll: &Poll<'_>,
    until: Instant,
    book: &mut Book,
) {
    let new = || jobs.0.values().map(|life| life.created).filter(|at| *at >= poll.at && *at < until);
    let seen = Some(i64::try_from(new().count()).unwrap_or(i64::MAX));
    // KEDA counts after it has read, and before it creates.
    let latest = new().min().unwrap_or(poll.at).max(poll.at + log.lag);
    let times = [poll.at, poll.at - log.lag, latest];
    let mut choices = Vec::new();
    for (number, revision) in revisions.at(poll.at).into_iter().enumerate() {
        let Object::Job { settings, triggers } = &revision.object else { continue };
        for (place, (counts, unless)) in jobs.seen(revision, settings, times).into_iter().enumerate() {
            let readings = readings(revision, triggers, poll);
            let Ok(bounds) = settings.bounds else {
                return book.skip(poll.at, "the spec makes this version of the operator panic");
            };
            let asked = combine(settings.calculation, bounds, &readings);
            let Ok(created) =
                jobs_to_create(&revision.rules.scaled_job, settings.strategy, bounds, asked, counts)
            else {
                return book.skip(poll.at, "the spec makes this version of the operator panic");
            };
            let mut reasons = Vec::new();
            if number > 0 {
                reasons.push("the change of the spec was not in force yet".to_owned());
            }
            if place > 0 {
                reasons.push(unless);
            }
            choices.push(Choice {
                expected: Some(i64::try_from(created.number).unwrap_or(i64::MAX)),
                because: created.because.to_string(),
                unless: reasons.join(", "),
                state: (),
            });
        }
    }
    let interval = revisions.in_force(poll.at).polling_interval();
    let overlaps = until.since(poll.at) + log.lag + WHOLE_SECOND < interval && until < log.end;
    if overlaps && !choices.iter().any(|choice| choice.expected == seen && choice.unless.is_empty()) {
        return book.skip(poll.at, "the loop was started anew while this poll created its Jobs");
    }
    book.compare((poll.at, Who::Keda, What::JobsCreated), seen, choices);
}

/// What the poll read. A trigger that failed has no part in it.
fn readings(revision: &Revision, triggers: &Triggers, poll: &Poll<'_>) -> Vec<Reading> {
    let settings = triggers.iter().zip(&poll.answers);
    let read = settings.filter_map(|(trigger, answers)| {
        let settings: &AzurePipelines = trigger.as_deref().ok()?;
        let rows = answers.first().copied().flatten()?;
        let counted = count(&revision.rules.scaler, settings, rows.iter());
        let active = i64::try_from(counted).unwrap_or(i64::MAX) > settings.activation_target;
        Some(Reading { queue: float(counted), target: signed_float(settings.target), active })
    });
    read.collect()
}

#[expect(clippy::cast_precision_loss, reason = "as Go converts it")]
fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "as Go converts it")]
fn signed_float(target: i64) -> f64 {
    target as f64
}

/// The finished Jobs that the poll deleted: how many, and whether they were the oldest. Polls that have none
/// to delete are not counted.
fn deleted(
    log: &Log<'_>,
    revisions: &Revisions,
    jobs: &Lives<'_>,
    poll: &Poll<'_>,
    until: Instant,
    book: &mut Book,
) {
    let Object::Job { settings, .. } = &revisions.in_force(poll.at).object else { return };
    if revisions
        .edited
        .iter()
        .any(|edit| poll.at + CLEANS_WITHIN > *edit && poll.at.since(*edit) < ROLLS_OUT_WITHIN)
    {
        return book.skip(poll.at, "deletions after a change of the spec may be its rollout's");
    }
    let gone: Vec<&Life<'_>> = jobs
        .0
        .values()
        .filter(|life| life.deleted.is_some_and(|at| at >= poll.at && at < until) && life.finished.is_some())
        .collect();
    let seen = i64::try_from(gone.len()).unwrap_or(i64::MAX);
    let beyond = |at: Instant| {
        let number = |succeeded: bool, limit: usize| {
            let there = jobs.0.values().filter(|life| {
                life.finished.is_some_and(|(when, how)| when <= at && how == succeeded)
                    // What this poll deletes was there when it looked.
                    && life.deleted.is_none_or(|deleted| deleted >= poll.at)
            });
            i64::try_from(there.count().saturating_sub(limit)).unwrap_or(i64::MAX)
        };
        number(true, settings.history.successful) + number(false, settings.history.failed)
    };
    let expected = beyond(poll.at);
    if expected == 0 && seen == 0 {
        return;
    }
    let range = [poll.at, poll.at + CLEANS_WITHIN, poll.at - log.lag].map(beyond);
    let (least, most) = (range.iter().min().copied().unwrap_or(0), range.iter().max().copied().unwrap_or(0));
    if most == 0 {
        return book.skip(
            poll.at,
            "finished Jobs within the history limits were deleted: by their time to live, or by somebody",
        );
    }
    let because = format!(
        "{} succeeded and {} failed Jobs are kept",
        settings.history.successful, settings.history.failed
    );
    let mut choices: Vec<Choice<()>> = Vec::new();
    let each = [expected].into_iter().chain(least..=most).enumerate();
    for (place, expected) in each {
        let unless = if place == 0 { String::new() } else { "a Job ended just then".to_owned() };
        choices.push(Choice { expected: Some(expected), because: because.clone(), unless, state: () });
    }
    // From 2.21 a clean-up has as long as a poll (K:pkg/scaling/executor/scale_jobs.go, `cleanUp`): on a slow
    // machine that ends it before it is through.
    let last = gone.iter().filter_map(|life| life.deleted).max().unwrap_or(poll.at);
    if seen < least && last.since(poll.at) + log.lag >= settings.polling_interval {
        let unless = "the clean-up had no more time".to_owned();
        choices.push(Choice { expected: Some(seen), because: because.clone(), unless, state: () });
    }
    if let Some((newer, older)) = out_of_order(log, jobs, &gone, until) {
        let because = format!("{older} ended before {newer}, and the oldest go first");
        choices = vec![Choice { expected: None, because, unless: String::new(), state: () }];
    }
    book.compare((poll.at, Who::Keda, What::JobsDeleted), Some(seen), choices);
}

/// A succeeded Job that went though an older one stayed.
fn out_of_order<'a>(
    log: &Log<'_>,
    jobs: &Lives<'a>,
    gone: &[&Life<'a>],
    until: Instant,
) -> Option<(&'a str, &'a str)> {
    // Two conditions that were seen, each with its own lag.
    let slack = log.lag + log.lag + WHOLE_SECOND;
    let newest = gone.iter().filter(|life| life.finished.is_some_and(|(_, succeeded)| succeeded));
    let newest = newest.max_by_key(|life| life.finished)?;
    let (ended, _) = newest.finished?;
    let kept = jobs.0.values().filter(|life| life.deleted.is_none_or(|deleted| deleted >= until));
    let older =
        kept.filter(|life| life.finished.is_some_and(|(at, succeeded)| succeeded && at + slack < ended));
    older.map(|life| (newest.name, life.name)).next()
}
