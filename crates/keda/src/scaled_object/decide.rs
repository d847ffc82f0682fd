//! What a poll does to the replicas (K:pkg/scaling/executor/scale_scaledobjects.go, `RequestScale`).

use std::fmt;

use model::{Instant, Millis};

use crate::rules::{Fallback, Rules};

/// What a ScaledObject says about its bounds, as far as a poll asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// minReplicaCount, 0 if it is not set.
    pub min: u32,
    /// idleReplicaCount.
    pub idle: Option<u32>,
    /// cooldownPeriod.
    pub cooldown: Millis,
    /// initialCooldownPeriod.
    pub initial_cooldown: Millis,
    /// `fallback.replicas`, if there is a fallback.
    pub fallback: Option<u32>,
    /// Paused by annotation.
    pub paused: bool,
    /// The replicas of `paused-replicas`.
    pub paused_replicas: Option<u32>,
    /// `paused-scale-in`.
    pub scale_in_paused: bool,
    /// `paused-scale-out`.
    pub scale_out_paused: bool,
    /// `force-activation`.
    pub forced: bool,
}

/// What a poll found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollInputs {
    /// When it decides.
    pub now: Instant,
    /// When the ScaledObject was created, in whole seconds.
    pub created: Instant,
    /// `status.lastActiveTime`, in whole seconds.
    pub last_active: Option<Instant>,
    /// The target's `spec.replicas`.
    pub current: u32,
    /// Whether any trigger is active (or falls back).
    pub active: bool,
    /// Whether any trigger failed.
    pub error: bool,
}

/// What a poll does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The replicas that it sets, if it sets any.
    pub replicas: Option<u32>,
    /// Whether lastActiveTime becomes now (for an activation: if the write succeeds).
    pub active_now: bool,
    /// Which row of the table it was.
    pub because: Because,
}

/// Why a poll does what it does: the rows of the decision table, and what stands outside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Because {
    /// Paused by annotation: nothing is done.
    Paused,
    /// Paused at a number of replicas that it does not have (`paused-replicas`).
    PausedReplicas,
    /// A trigger is active and there are no replicas, or only idle ones.
    Activated,
    /// The same by annotation.
    ForcedActivation,
    /// It would be activated, were scaling out not paused.
    ScaleOutPaused,
    /// Active, though a trigger failed: nothing, and the cooldown does not start anew.
    PartialError,
    /// Active: the rest is the HPA's.
    Active,
    /// All triggers failed or are inactive, and the HPA is to fall back.
    FallbackIsTheHpas,
    /// All triggers failed or are inactive: the fallback's replicas at once (until 2.16).
    FallbackAtOnce,
    /// All triggers failed or are inactive, without a fallback: replicas stay.
    TriggerError,
    /// It would go to zero, were scaling in not paused.
    ScaleInPaused,
    /// It goes to zero (or idle) only after the cooldown.
    CoolingDown,
    /// Inactive for longer than the cooldown.
    CooledDown,
    /// Inactive, and below the minimum.
    BelowMinimum,
    /// Inactive, and nothing is to be done.
    Inactive,
    /// The ScaledObject was deleted, and the replicas that it found come back; no poll decides that.
    Restored,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Paused => "the ScaledObject is paused",
            Self::PausedReplicas => "the ScaledObject is paused at another number of replicas",
            Self::Activated => "a trigger is active and there are none, or only idle replicas",
            Self::ForcedActivation => "activation is forced by annotation",
            Self::ScaleOutPaused => "a trigger is active, but scaling out is paused",
            Self::PartialError => "some triggers are active and some fail",
            Self::Active => "a trigger is active: the HPA scales",
            Self::FallbackIsTheHpas => "triggers fail: the HPA falls back past the threshold",
            Self::FallbackAtOnce => "triggers fail: the fallback's replicas are set at once",
            Self::TriggerError => "triggers fail and there is no fallback: replicas stay",
            Self::ScaleInPaused => "no trigger is active, but scaling in is paused",
            Self::CoolingDown => "no trigger is active, and the cooldown runs",
            Self::CooledDown => "no trigger was active for the cooldown",
            Self::BelowMinimum => "there are fewer replicas than the minimum",
            Self::Inactive => "no trigger is active, and nothing is to be done",
            Self::Restored => "the ScaledObject was deleted, and the replicas that it found come back",
        })
    }
}

/// The decision table: the first row that fits.
#[must_use]
pub fn decide(rules: &Rules, policy: &Policy, poll: &PollInputs) -> Decision {
    if policy.paused {
        let replicas = policy.paused_replicas.filter(|replicas| *replicas != poll.current);
        let because = if replicas.is_some() { Because::PausedReplicas } else { Because::Paused };
        return Decision { replicas, active_now: false, because };
    }
    if poll.active || policy.forced {
        return active(policy, poll);
    }
    let nothing = |because| Decision { replicas: None, active_now: false, because };
    let set = |replicas, because| Decision { replicas: Some(replicas), active_now: false, because };
    match policy.fallback {
        Some(replicas) if poll.error && replicas != 0 => {
            return if rules.scaled_object.fallback == Fallback::PollAtOnce {
                set(replicas, Because::FallbackAtOnce)
            } else {
                nothing(Because::FallbackIsTheHpas)
            };
        }
        None if poll.error => return nothing(Because::TriggerError),
        _ => {}
    }
    let above_idle = policy.idle.is_some_and(|idle| poll.current > idle);
    if above_idle || (poll.current > 0 && policy.min == 0) {
        return if policy.scale_in_paused {
            nothing(Because::ScaleInPaused)
        } else if cooled_down(policy, poll) {
            set(policy.idle.unwrap_or(policy.min), Because::CooledDown)
        } else {
            nothing(Because::CoolingDown)
        };
    }
    if policy.idle.is_none() && poll.current < policy.min {
        return set(policy.min, Because::BelowMinimum);
    }
    nothing(Because::Inactive)
}

fn active(policy: &Policy, poll: &PollInputs) -> Decision {
    let nothing = |because, active_now| Decision { replicas: None, active_now, because };
    if poll.current == 0 || (policy.idle.is_some() && poll.current < policy.min) {
        if policy.scale_out_paused {
            return nothing(Because::ScaleOutPaused, false);
        }
        let because = if policy.forced { Because::ForcedActivation } else { Because::Activated };
        return Decision { replicas: Some(policy.min.max(1)), active_now: true, because };
    }
    if poll.error {
        return nothing(Because::PartialError, false);
    }
    nothing(Because::Active, true)
}

/// Strictly later than the cooldown's end (`scaleToZeroOrIdle`; Go's `Before`).
fn cooled_down(policy: &Policy, poll: &PollInputs) -> bool {
    match poll.last_active {
        None => poll.created + policy.initial_cooldown < poll.now,
        Some(last_active) => last_active + policy.cooldown < poll.now,
    }
}

#[cfg(test)]
mod tests;
