//! How many Jobs a poll creates.

use std::fmt;

use model::manifest::keda::ScalingStrategy;

use super::OperatorPanics;
use super::bounds::Bounds;
use super::combine::Asked;
use super::counts::Counts;
use crate::rules::{Accurate, CustomWithoutDeduction, ScaledJobRules};

/// The strategy that a specification means.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Strategy {
    /// What the triggers ask for, less the Jobs that are unfinished.
    #[default]
    Default,
    /// What the triggers ask for, less a fixed number and a share of the unfinished Jobs.
    Custom {
        /// `customScalingQueueLengthDeduction`.
        deduction: Option<i32>,
        /// `customScalingRunningJobPercentage`; 0.5 is half of them.
        share: f64,
    },
    /// What the triggers ask for, less the pending Jobs.
    Accurate,
    /// As many as there is room for.
    Eager,
}

impl Strategy {
    /// The strategy of a specification (`NewScalingStrategy`): an unknown name means `default`, and so
    /// does `custom` with a percentage that is no number.
    #[must_use]
    pub fn of(rules: &ScaledJobRules, specified: Option<&ScalingStrategy>) -> Self {
        let Some(specified) = specified else { return Self::Default };
        match specified.strategy.as_deref() {
            Some("custom") => {
                let share = specified.custom_scaling_running_job_percentage.as_deref();
                match share.and_then(|text| text.parse().ok()) {
                    Some(share) => {
                        Self::Custom { deduction: specified.custom_scaling_queue_length_deduction, share }
                    }
                    None => Self::Default,
                }
            }
            Some("accurate") => Self::Accurate,
            Some("eager") if rules.eager => Self::Eager,
            _ => Self::Default,
        }
    }
}

/// How many Jobs a poll creates, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Created {
    /// How many.
    pub number: u64,
    /// Why: a sentence, if it is displayed.
    pub because: Because,
}

/// Why that many Jobs are created.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Because {
    /// Fewer Jobs are unfinished than the minimum, so triggers are not listened to.
    BelowMinimum {
        /// Unfinished Jobs.
        running: i64,
        /// The minimum.
        minimum: i64,
    },
    /// No trigger is active.
    Inactive,
    /// The strategy said so.
    Strategy {
        /// What it said.
        case: Case,
        /// What it said it from.
        from: Inputs,
        /// How many Jobs there is room for; not more than that are created.
        room: i64,
        /// How many are wanted.
        wanted: i64,
    },
}

/// Which rule of a strategy spoke.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Case {
    /// `default`.
    Default,
    /// `custom`, with what it takes off.
    Custom {
        /// The fixed number.
        deduction: i64,
        /// The share of the unfinished Jobs.
        share: f64,
    },
    /// `accurate`, near the maximum.
    AccurateFull,
    /// `accurate`, elsewhere.
    Accurate,
    /// `eager`.
    Eager,
}

/// What a strategy decides from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inputs {
    /// What the triggers ask for.
    pub asked: Asked,
    /// Unfinished and pending Jobs.
    pub counts: Counts,
    /// The bounds.
    pub bounds: Bounds,
}

/// How many Jobs a poll creates (K:pkg/scaling/executor/scale_jobs.go, `RequestJobScale`, `getScalingDecision`
/// and `createJobs`).
///
/// # Errors
/// Until 2.20.1 the strategy `custom` without a deduction makes the operator panic, active or not,
/// unless the minimum is not reached.
pub fn jobs_to_create(
    rules: &ScaledJobRules,
    strategy: Strategy,
    bounds: Bounds,
    asked: Asked,
    counts: Counts,
) -> Result<Created, OperatorPanics> {
    let (running, minimum) = (counts.running, bounds.minimum);
    if running < minimum {
        // There is a minimum, so the ScaledJob is active.
        let because = Because::BelowMinimum { running, minimum };
        return Ok(Created { number: (minimum - running).unsigned_abs(), because });
    }
    let from = Inputs { asked, counts, bounds };
    let (case, room, wanted) = room(rules, strategy, from)?;
    if !asked.active {
        return Ok(Created { number: 0, because: Because::Inactive });
    }
    let number = u64::try_from(room.min(wanted)).unwrap_or(0);
    Ok(Created { number, because: Because::Strategy { case, from, room, wanted } })
}

/// The strategies (`GetEffectiveMaxScale`): which rule spoke, for how many Jobs there is room, how many are wanted.
fn room(
    rules: &ScaledJobRules,
    strategy: Strategy,
    Inputs { asked, counts, bounds }: Inputs,
) -> Result<(Case, i64, i64), OperatorPanics> {
    let scale = asked.max_scale;
    let most = bounds.beyond;
    let running = counts.running - bounds.minimum;
    let pending = counts.pending;
    let (case, room, wanted) = match strategy {
        Strategy::Default => (Case::Default, scale.saturating_sub(running), asked.queue_length),
        Strategy::Custom { deduction, share } => {
            let deduction = match (deduction, rules.custom_without_deduction) {
                (Some(deduction), _) => i64::from(deduction),
                (None, CustomWithoutDeduction::Zero) => 0,
                (None, CustomWithoutDeduction::Panics) => {
                    return Err(OperatorPanics::CustomWithoutDeduction);
                }
            };
            let left = scale.saturating_sub(deduction).saturating_sub(share_of(running, share));
            (Case::Custom { deduction, share }, left.min(most), asked.queue_length)
        }
        Strategy::Accurate => {
            let started = match rules.accurate {
                Accurate::RunningWithinMaximum => running,
                Accurate::RunningWithoutPendingWithinMaximum => running - pending,
            };
            if scale.saturating_add(started) > most {
                (Case::AccurateFull, most - running, asked.queue_length)
            } else {
                (Case::Accurate, scale.saturating_sub(pending), asked.queue_length)
            }
        }
        Strategy::Eager => (Case::Eager, (most - running - pending).min(scale), most),
    };
    Ok((case, room, wanted))
}

/// A share of the Jobs, cut off to a whole number.
#[expect(clippy::cast_precision_loss, reason = "Jobs stay far below 2^53")]
#[expect(clippy::cast_possible_truncation, reason = "cut off, as KEDA does")]
fn share_of(jobs: i64, share: f64) -> i64 {
    (jobs as f64 * share) as i64
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BelowMinimum { running, minimum } => {
                write!(f, "{running} Jobs are unfinished and the minimum is {minimum}")
            }
            Self::Inactive => write!(f, "no trigger is active"),
            Self::Strategy { case, from, room, wanted } => {
                case.reckon(from, f)?;
                write!(f, " = room for {}", (*room).max(0))?;
                if wanted < room { write!(f, ", but {wanted} are wanted") } else { Ok(()) }
            }
        }
    }
}

impl Case {
    /// The calculation, with its numbers.
    fn reckon(self, from: &Inputs, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inputs { asked, counts: Counts { running, pending }, bounds: Bounds { minimum, beyond } } = from;
        let Asked { queue_length, max_scale, .. } = asked;
        match self {
            Self::Eager => write!(f, "{queue_length} queued; ")?,
            _ => write!(f, "{queue_length} queued make {max_scale} Jobs; ")?,
        }
        match self {
            Self::Default => {
                write!(f, "default: {max_scale} - {running} unfinished")?;
                added(*minimum, f)
            }
            Self::Custom { deduction, share } => {
                write!(f, "custom: {max_scale} - {deduction} deducted - {share} of {running} unfinished")?;
                if *minimum > 0 { write!(f, " less {minimum}") } else { Ok(()) }
            }
            Self::AccurateFull => {
                write!(f, "accurate: at most {beyond} - {running} unfinished")?;
                added(*minimum, f)
            }
            Self::Accurate => write!(f, "accurate: {max_scale} - {pending} pending"),
            Self::Eager => {
                write!(f, "eager: the lesser of {max_scale} and {beyond} - {running} unfinished")?;
                added(*minimum, f)?;
                write!(f, " - {pending} pending")
            }
        }
    }
}

/// The minimum, which does not count as unfinished.
fn added(minimum: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if minimum > 0 { write!(f, " + {minimum} at least") } else { Ok(()) }
}

#[cfg(test)]
mod tests;
