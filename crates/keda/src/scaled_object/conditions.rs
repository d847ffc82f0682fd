//! A ScaledObject's conditions (K:apis/keda/v1alpha1/condition_types.go).

use std::borrow::Cow;

use super::action::Action;

/// The types of conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// It is in order.
    Ready,
    /// Triggers are active.
    Active,
    /// It falls back.
    Fallback,
    /// It is paused.
    Paused,
    /// Its HPA scales (from 2.20.2).
    HpaActive,
}

impl ConditionType {
    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Active => "Active",
            Self::Fallback => "Fallback",
            Self::Paused => "Paused",
            Self::HpaActive => "HPAActive",
        }
    }
}

/// The status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// So it is.
    True,
    /// So it is not.
    False,
    /// Nobody knows.
    Unknown,
}

impl Status {
    /// The word in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its status.
    pub status: Status,
    /// One word.
    pub reason: Cow<'static, str>,
    /// A sentence.
    pub message: Cow<'static, str>,
}

/// All conditions of an object.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions([Option<Condition>; 5]);

impl Conditions {
    /// A condition, if it was ever set.
    pub(super) fn get(&self, condition: ConditionType) -> Option<&Condition> {
        self.0[condition as usize].as_ref()
    }

    /// Its status; Unknown if it was never set.
    pub(super) fn status(&self, condition: ConditionType) -> Status {
        self.get(condition).map_or(Status::Unknown, |condition| condition.status)
    }

    /// Sets a condition, and tells if that changes anything.
    pub(super) fn set(
        &mut self,
        condition: ConditionType,
        status: Status,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
        out: &mut Vec<Action>,
    ) {
        let new = Condition { status, reason: reason.into(), message: message.into() };
        let place = &mut self.0[condition as usize];
        if place.as_ref() != Some(&new) {
            let Condition { status, reason, message } = new.clone();
            *place = Some(new);
            out.push(Action::Condition { condition, status, reason, message });
        }
    }
}
