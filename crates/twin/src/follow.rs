//! The first level of fidelity: the decisions of KEDA and of the HPA held against a real log, one by one.
//!
//! Nothing is simulated here. Everything that is chance in a real cluster is taken from the log: when KEDA
//! polled and the HPA synced, what they were told, and what replicas, Jobs and pods were there at that moment.
//! From that, [`keda`] and [`hpa`] say what had to be done, and the log says what was. Both must be equal.
//!
//! ```text
//!   log ──► Log (reads, writes, replicas) ──► who asked (reads) ──► syncs: the HPA's decisions
//!    │                                                          └─► polls: KEDA's, of a ScaledObject
//!    └────► Revisions (rules and spec by time) ───────────────────► jobs:  KEDA's, of a ScaledJob
//! ```
//!
//! # What the log cannot tell
//! A fact is told when somebody saw it, and others may have seen it somewhat earlier or later ([`Followed::lag_ms`]).
//! Where a decision falls so close to a change, the states before and after it are both tried; one that only fits
//! the other state counts as equal, and its [`Compared::boundary`] says by what it was decided. What cannot be
//! compared at all is in [`Followed::skipped`], with the reason.
//!
//! Logs without the API server's audit log do not say who asked and who wrote. Reads are then told apart by their
//! spacing: polls follow each other by the polling interval, syncs by the HPA's 15 s.

use std::collections::BTreeMap;

use model::{Event, Instant};
use serde::Serialize;

mod book;
mod jobs;
mod lives;
mod log;
mod polls;
mod reads;
mod revisions;
mod syncs;
#[cfg(test)]
mod tests;

use book::Book;
use log::Log;
use revisions::Revisions;

/// What became of a log's decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Followed {
    /// KEDA's version, as the log has it.
    pub keda: String,
    /// Kubernetes' version.
    pub kubernetes: String,
    /// The KEDA object, as `ScaledObject/name`.
    pub object: String,
    /// Whether the API server's audit log told who read and who wrote.
    pub audited: bool,
    /// How far the log's times may be off, in milliseconds.
    pub lag_ms: u64,
    /// How many decisions were compared.
    pub compared: u64,
    /// How many of them were equal, at a boundary or not.
    pub equal: u64,
    /// How many of the equal ones hung on what was seen just then.
    pub boundary: u64,
    /// The same for each kind of decision.
    pub kinds: Vec<Kind>,
    /// The decisions that were not equal.
    pub differences: Vec<Compared>,
    /// The equal ones that hung on what was seen just then.
    pub boundaries: Vec<Compared>,
    /// What was not compared, and why.
    pub skipped: Vec<Skipped>,
    /// Every decision, in order of time.
    #[serde(skip)]
    pub decisions: Vec<Compared>,
}

/// How many decisions of one kind were compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// Whose.
    pub who: Who,
    /// About what.
    pub what: What,
    /// How many were compared.
    pub compared: u64,
    /// How many were equal.
    pub equal: u64,
    /// How many of the equal ones hung on what was seen just then.
    pub boundary: u64,
}

/// Whose decision it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The HPA's controller.
    Hpa,
    /// KEDA's operator.
    Keda,
}

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Whether the HPA's question is answered: 1 or 0.
    Answered,
    /// The metric's value in thousandths, as the HPA was told it.
    Value,
    /// The replicas that a sync or a poll writes; none if it writes nothing.
    Replicas,
    /// How many Jobs a poll creates.
    JobsCreated,
    /// How many finished Jobs a poll deletes.
    JobsDeleted,
    /// Replicas that had to be written by then.
    Overdue,
    /// A write that no sync and no poll accounts for.
    Unaccounted,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// When.
    pub at: Instant,
    /// Whose.
    pub who: Who,
    /// About what.
    pub what: What,
    /// What the rules say; nothing if nothing is to be done.
    pub expected: Option<i64>,
    /// What the log says; nothing if nothing was done.
    pub seen: Option<i64>,
    /// Whether both are equal.
    pub equal: bool,
    /// What must have been seen otherwise than the log tells it for them to be equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boundary: Option<String>,
    /// Why the rules say so.
    pub because: String,
}

/// What was not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// How often.
    pub times: u64,
    /// When first.
    pub at: Instant,
    /// Why.
    pub why: String,
}

impl Followed {
    /// The totals as a line for people, for example `KEDA 2.21.0: 48 of 48 decisions equal (2 at a boundary)`.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { keda, compared, equal, boundary, .. } = self;
        let boundary = if *boundary == 0 { String::new() } else { format!(" ({boundary} at a boundary)") };
        format!("KEDA {keda}: {equal} of {compared} decisions equal{boundary}")
    }
}

/// Holds the decisions of a log's KEDA and HPA against their rules.
#[must_use]
pub fn follow(events: &[Event]) -> Followed {
    let mut book = Book::default();
    let Some(log) = Log::of(events) else {
        book.skip(Instant::START, "the log has no run.started and no scale_target with a KEDA object");
        return book.close(Followed::default());
    };
    let followed = Followed {
        keda: log.target.keda.clone(),
        kubernetes: log.target.kubernetes.clone(),
        object: format!("{}/{}", log.target.scaler, log.target.name),
        audited: log.audited,
        lag_ms: log.lag.0,
        ..Followed::default()
    };
    match Revisions::of(&log, &mut book) {
        Err(why) => book.skip(Instant::START, why),
        Ok(revisions) if log.target.scaler == "ScaledJob" => jobs::follow(&log, &revisions, &mut book),
        Ok(revisions) => {
            let asked = reads::by_asker(&log, &revisions, &mut book);
            syncs::follow(&log, &revisions, &asked, &mut book);
            polls::follow(&log, &revisions, &asked, &mut book);
        }
    }
    book.close(followed)
}

/// Counts by kind.
fn kinds(decisions: &[Compared]) -> Vec<Kind> {
    let mut kinds: BTreeMap<(Who, What), Kind> = BTreeMap::new();
    for Compared { who, what, equal, boundary, .. } in decisions {
        let (who, what) = (*who, *what);
        let kind = kinds.entry((who, what)).or_insert(Kind { who, what, compared: 0, equal: 0, boundary: 0 });
        kind.compared += 1;
        kind.equal += u64::from(*equal);
        kind.boundary += u64::from(*equal && boundary.is_some());
    }
    kinds.into_values().collect()
}
