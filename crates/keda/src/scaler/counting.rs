//! Which rows of an answer count (K:pkg/scalers/azure_pipelines_scaler.go, `GetAzurePipelinesQueueLength`).

use model::event::ScalerRow;

use super::settings::AzurePipelines;
use crate::rules::{Demands, Received, ScalerRules};

/// What KEDA leaves out of comparisons from 2.10.1 on, and never matched before.
const AGENT_VERSION: &str = "Agent.Version";

/// A row of an answer, as far as the count looks at it.
pub trait Row {
    /// Whether `receiveTime` is set.
    fn received(&self) -> bool;
    /// Whether `result` is set.
    fn finished(&self) -> bool;
    /// The texts of `demands`.
    fn demands(&self) -> impl Iterator<Item = &str>;
    /// The names of `matchedAgents`.
    fn matched_agents(&self) -> impl Iterator<Item = &str>;
}

impl<R: Row> Row for &R {
    fn received(&self) -> bool {
        (**self).received()
    }
    fn finished(&self) -> bool {
        (**self).finished()
    }
    fn demands(&self) -> impl Iterator<Item = &str> {
        (**self).demands()
    }
    fn matched_agents(&self) -> impl Iterator<Item = &str> {
        (**self).matched_agents()
    }
}

impl Row for ScalerRow {
    fn received(&self) -> bool {
        self.received
    }
    fn finished(&self) -> bool {
        self.result.is_some()
    }
    fn demands(&self) -> impl Iterator<Item = &str> {
        self.demands.iter().map(String::as_str)
    }
    fn matched_agents(&self) -> impl Iterator<Item = &str> {
        self.matched_agents.iter().map(String::as_str)
    }
}

/// The queue length that KEDA makes of these rows.
///
/// Whether matched agents are in the answer at all is the service's doing: with `$top` they are missing.
pub fn count<R: Row>(
    rules: &ScalerRules,
    settings: &AzurePipelines,
    rows: impl IntoIterator<Item = R>,
) -> u64 {
    rows.into_iter().map(|row| u64::from(counts(rules, settings, &row))).sum()
}

/// Whether one row counts.
pub fn counts(rules: &ScalerRules, settings: &AzurePipelines, row: &impl Row) -> bool {
    let dropped = match rules.received {
        Received::Count => false,
        Received::Drop => row.received(),
        Received::AsScaleOnInFlight => row.received() && !settings.scale_on_in_flight,
    };
    if row.finished() || dropped {
        return false;
    }
    if let Some(parent) = &settings.parent {
        return row.matched_agents().any(|name| name == parent);
    }
    settings.demands.is_empty() || demands_match(rules, settings, row)
}

fn demands_match(rules: &ScalerRules, settings: &AzurePipelines, row: &impl Row) -> bool {
    let all_but_one = rules.demands == Demands::AllButOne;
    let given = || settings.demands.iter().map(String::as_str).filter(|demand| !is_agent_version(demand));
    let mut demanded = 0_usize;
    let mut equal = 0_usize;
    for demand in row.demands() {
        if is_agent_version(demand) {
            // Counted among the job's demands then, though it matches nothing.
            demanded += usize::from(all_but_one);
            continue;
        }
        demanded += 1;
        equal += given().filter(|given| same(settings, demand, given)).count();
    }
    if all_but_one {
        let matches = demanded.checked_sub(1) == Some(equal);
        return matches && (!settings.require_all_demands || equal == settings.demands.len());
    }
    if settings.require_all_demands {
        return equal == demanded && equal == given().count();
    }
    if settings.require_all_and_ignore_others {
        return equal == given().count();
    }
    equal == demanded
}

fn is_agent_version(demand: &str) -> bool {
    demand.starts_with(AGENT_VERSION)
}

fn same(settings: &AzurePipelines, one: &str, other: &str) -> bool {
    if !settings.case_insensitive_demands {
        return one == other;
    }
    let folded =
        |text: &str| text.chars().flat_map(char::to_lowercase).eq(other.chars().flat_map(char::to_lowercase));
    one.eq_ignore_ascii_case(other) || folded(one)
}

#[cfg(test)]
mod tests;
