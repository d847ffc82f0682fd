//! A ScaledJob's steps: Jobs that each poll made, and Jobs that ended.

use std::collections::BTreeMap;

use model::Instant;

use super::case::Case;
use super::{Actor, Step};
use crate::history::{Read, Steps};
use crate::scaled_job::{Counts, JobRules, Made, Queue, found, pending_jobs};
use crate::words::{counted, names};

/// So many counts that a poll may have found are tried.
const MOST_CHOICES: usize = 2000;

/// A ScaledJob's polls and what each of them made.
pub(super) struct JobLoop {
    /// Jobs made by each read, by its position.
    pub(super) made: Vec<Vec<Instant>>,
    /// Jobs that were there before the first read.
    before: Vec<Instant>,
    pending: Steps,
}

impl JobLoop {
    pub(super) fn of(case: &Case<'_>) -> Self {
        let created = case.history.jobs_made.iter().copied();
        let mut made = vec![Vec::new(); case.reads.len()];
        let mut before = Vec::new();
        for at in created.filter(|at| *at < case.until) {
            let after = case.reads.partition_point(|(read, _)| read.at <= at);
            match after.checked_sub(1).and_then(|index| made.get_mut(index)) {
                Some(of_read) => of_read.push(at),
                None => before.push(at),
            }
        }
        Self { made, before, pending: pending_jobs(case.history) }
    }

    /// What the rules say that a read makes, and what it made.
    pub(super) fn decision(&self, case: &Case<'_>, index: usize) -> Option<(Result<Made, String>, u32)> {
        let (read, _) = case.reads.get(index)?;
        let number = u32::try_from(self.made.get(index)?.len()).unwrap_or(u32::MAX);
        let era = case.era(read.at);
        let rules = match JobRules::of(era.scale) {
            Ok(rules) if rules.pending_unknown => {
                return Some((Err("pendingPodConditions are not in the log".to_owned()), number));
            }
            Ok(rules) => rules,
            Err(because) => return Some((Err(because), number)),
        };
        Some((self.explained(case, read, &rules, number), number))
    }

    fn explained(&self, case: &Case<'_>, read: &Read, rules: &JobRules, number: u32) -> Result<Made, String> {
        let queues = queues(case, read)?;
        let now = |steps: &Steps| found(case.history, steps, read.at);
        let likely = rules.made(&queues, (now(&case.replicas), now(&self.pending)));
        if likely.number == number {
            return Ok(likely);
        }
        let counts = Counts::around(case.history, (&case.replicas, &self.pending), read.at, case.slack);
        let choices = (counts.running.0..=counts.running.1)
            .flat_map(|running| (counts.pending.0..=counts.pending.1).map(move |pending| (running, pending)));
        let choice = choices.take(MOST_CHOICES).find(|choice| rules.number(&queues, *choice) == number);
        if let Some(choice) = choice {
            return Ok(rules.made(&queues, choice));
        }
        Err(format!("the strategy leads to {}: {}", counted(likely.number, "Job"), likely.because))
    }

    /// What a read made, in a sentence, for reads that made nothing although there was work.
    pub(super) fn nothing(&self, case: &Case<'_>, index: usize) -> Option<String> {
        let (read, _) = case.reads.get(index)?;
        if !super::reads::is_active(case, read) || !self.made.get(index)?.is_empty() {
            return None;
        }
        Some(match self.decision(case, index)?.0 {
            Ok(made) => format!("KEDA's ScaledJob: no Job made, {}", made.because),
            Err(because) => format!("not explained: no Job made, but {because}"),
        })
    }

    /// Steps up, one for each poll that made Jobs, and steps down, where Jobs ended.
    pub(super) fn steps(&self, case: &Case<'_>) -> Vec<Step> {
        let mut steps = ends(case);
        for at in &self.before {
            let to = case.replicas_at(*at);
            let because = "not explained: the log has no poll before it".to_owned();
            let from = to.saturating_sub(1);
            steps.push(Step { at: *at, from, to, by: Actor::Keda, explained: false, because });
        }
        for (index, made) in self.made.iter().enumerate() {
            let Some((first, (reason, number))) = made.first().zip(self.decision(case, index)) else {
                continue;
            };
            let from = found(case.history, &case.replicas, *first);
            let (explained, because) = match reason {
                Ok(reason) => {
                    (true, format!("KEDA's ScaledJob: {} made, {}", counted(number, "Job"), reason.because))
                }
                Err(reason) => {
                    (false, format!("not explained: {} made, but {reason}", counted(number, "Job")))
                }
            };
            let to = from.saturating_add(number);
            steps.push(Step { at: *first, from, to, by: Actor::Keda, explained, because });
        }
        steps.sort_by_key(|step| step.at);
        steps
    }
}

/// Jobs that ended, those of one instant together.
fn ends(case: &Case<'_>) -> Vec<Step> {
    let mut ends: BTreeMap<Instant, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
    for (name, job) in &case.history.kubernetes_jobs {
        match (job.finished, job.deleted) {
            (Some(at), _) => ends.entry(at).or_default().0.push(name),
            (None, Some(at)) => ends.entry(at).or_default().1.push(name),
            (None, None) => {}
        }
    }
    let before = ends.into_iter().filter(|(at, _)| *at < case.until);
    before
        .map(|(at, (ended, deleted))| {
            let by = if deleted.is_empty() { Actor::Job } else { Actor::Other };
            let because = match (ended.is_empty(), deleted.is_empty()) {
                (_, true) => format!("Kubernetes' Job controller: {} ended", names(&ended, 4)),
                (true, false) => format!("{} deleted unfinished", names(&deleted, 4)),
                (false, false) => {
                    format!("{} ended, {} deleted unfinished", names(&ended, 4), names(&deleted, 4))
                }
            };
            // What a poll makes in the same instant comes after.
            let to = found(case.history, &case.replicas, at);
            let from = to.saturating_add(u32::try_from(ended.len() + deleted.len()).unwrap_or(u32::MAX));
            Step { at, from, to, by, explained: true, because }
        })
        .collect()
}

/// What each trigger told a poll.
fn queues(case: &Case<'_>, read: &Read) -> Result<Vec<Queue>, String> {
    let era = case.era(read.at);
    let mut queues = Vec::new();
    for trigger in &era.triggers {
        let rule = trigger.rule.as_ref().ok_or_else(|| {
            format!("the log does not have the values of a trigger of type {}", trigger.kind)
        })?;
        if trigger.pool != Some(read.pool) {
            return Err("its triggers read different pools".to_owned());
        }
        if read.succeeded() {
            let count = rule.count(&read.rows);
            queues.push(Queue { count, target: rule.target, active: count > rule.activation });
        }
    }
    Ok(queues)
}
