//! What a scenario's faults must hold to beyond their schema.

use semver::Version;

use super::{Rules, parsed, whole};
use crate::instant::{Millis, MillisRange};
use crate::problem::one_of;
use crate::yaml::{Entry, Node, shortened};

/// The statuses that a fault can answer with.
const STATUSES: std::ops::RangeInclusive<u64> = 400..=599;
/// What a fault of the service may change.
const EFFECTS: [&str; 5] = ["answer", "delay", "delay_per_row", "budget", "parallel_jobs"];
/// What may stand beside `parallel_jobs`.
const ALONE: [&str; 3] = ["from", "to", "parallel_jobs"];
/// Answers that are about one thing only, and the route where it happens.
const SPECIAL: [(&str, &str); 3] =
    [("message_lost", "messages"), ("message_twice", "messages"), ("lock_lost", "locks")];
/// What KEDA asks for.
const KEDAS_ROUTES: [&str; 3] = ["all", "pools", "job_requests"];

impl Rules<'_> {
    pub(super) fn faults(&mut self, root: &Node) {
        for item in root.get("faults").map_or(&[][..], Node::items) {
            let Some(Entry { key, node, .. }) = item.entries().first() else { continue };
            self.fault_in_time(root, node);
            match key.as_str() {
                "service" => self.service_fault(node),
                "node_loss" => self.lost_node(root, node),
                "keda_upgrade" => self.upgrade(node),
                "edit" => self.edit(node),
                _ => {}
            }
        }
    }

    /// A fault that begins after the end, or ends before it begins.
    fn fault_in_time(&mut self, root: &Node, fault: &Node) {
        let Some(entry) = fault.entry("at").or_else(|| fault.entry("from")) else { return };
        let Some(at) = parsed::<Millis>(Some(&entry.node)) else { return };
        let Some(at_most) = parsed::<Millis>(root.get("at_most")) else { return };
        let until = root.get("until").and_then(|until| parsed::<Millis>(Some(until)));
        let end = until.map_or(at_most, |until| until.min(at_most));
        if at >= end {
            let message = format!("a fault at {at} never comes: the run ends at {end} at the latest");
            self.report(entry.mark(), message, None);
        }
        let Some(to) = fault.entry("to") else { return };
        if let Some(over) = parsed::<Millis>(Some(&to.node)).filter(|over| until.is_none() && *over > at_most)
        {
            let message =
                format!("a run is not settled before its faults are over: at {over}, after `at_most`");
            self.report(to.mark(), message, None);
        }
        self.ends_after_it_began(fault);
    }

    pub(super) fn ends_after_it_began(&mut self, fault: &Node) {
        let Some(to) = fault.entry("to") else { return };
        let Some(at) = parsed::<Millis>(fault.get("from")) else { return };
        if let Some(end) = parsed::<Millis>(Some(&to.node)).filter(|end| *end <= at) {
            self.report(to.mark(), format!("`to` ({end}) must be later than `from` ({at})"), None);
        }
    }

    pub(super) fn service_fault(&mut self, fault: &Node) {
        if EFFECTS.iter().all(|effect| fault.entry(effect).is_none()) {
            let hint = "give an `answer`, a `delay`, or both".to_owned();
            self.report(fault.mark, "this fault changes nothing", Some(hint));
        }
        // A range may begin at nothing; a delay of nothing is none.
        if let Some(delay) = fault.get("delay")
            && parsed::<MillisRange>(Some(delay)).is_some_and(|range| range.most == Millis::ZERO)
        {
            self.report(delay.mark, "`delay` must be more than 0s", None);
        }
        self.some_time(fault, "delay_per_row");
        self.positive(fault, "count", u64::from(u32::MAX));
        self.positive(fault, "percent", 100);
        self.budget(fault);
        self.parallel_jobs(fault);
        self.answer(fault);
        if fault.get("caller").and_then(Node::text) == Some("keda")
            && let Some(route) = fault.get("route")
            && let Some(text) = route.text().filter(|text| !KEDAS_ROUTES.contains(text))
        {
            let hint = format!("it asks for {}", one_of(KEDAS_ROUTES.iter().skip(1).copied()));
            self.report(route.mark, format!("KEDA never asks for `{}`", shortened(text)), Some(hint));
        }
    }

    fn budget(&mut self, fault: &Node) {
        let Some(budget) = fault.get("budget") else { return };
        for field in ["units", "per_request"] {
            self.positive(budget, field, u64::from(u32::MAX));
        }
        self.some_time(budget, "window");
        for field in ["percent", "count", "answer"] {
            if let Some(entry) = fault.entry(field) {
                let message = format!("`{field}` and `budget` do not go together: every request counts");
                self.report(entry.key_mark, message, None);
            }
        }
    }

    /// They are the organisation's, and no request's.
    fn parallel_jobs(&mut self, fault: &Node) {
        self.positive(fault, "parallel_jobs", u64::from(u32::MAX));
        if fault.entry("parallel_jobs").is_none() {
            return;
        }
        for entry in fault.entries().iter().filter(|entry| !ALONE.contains(&entry.key.as_str())) {
            let message = format!("`{}` has no meaning beside `parallel_jobs`", shortened(&entry.key));
            let hint = "make it a fault of its own".to_owned();
            self.report(entry.key_mark, message, Some(hint));
        }
    }

    fn answer(&mut self, fault: &Node) {
        let Some(answer) = fault.get("answer") else { return };
        let route = fault.get("route").and_then(Node::text).unwrap_or("all");
        let text = answer.text().unwrap_or_default();
        if let Some((_, only)) = SPECIAL.iter().find(|(special, _)| *special == text) {
            if route != "all" && route != *only {
                let hint = format!("write `route: {only}`");
                self.report(answer.mark, format!("`{text}` does not happen on `{route}`"), Some(hint));
            }
            for field in ["delay", "delay_per_row"] {
                if let Some(entry) = fault.entry(field) {
                    let message = format!("`{field}` has no meaning beside `{text}`");
                    self.report(entry.key_mark, message, Some("make it a fault of its own".to_owned()));
                }
            }
        }
        // A log could not say which reads were hit: their status is 200, and so may be their rows.
        for field in ["percent", "count"] {
            if let Some(entry) = fault.entry(field).filter(|_| text == "malformed") {
                let hint = "`truncated` breaks answers off, too".to_owned();
                self.report(
                    entry.key_mark,
                    format!("`{field}` and `malformed` do not go together"),
                    Some(hint),
                );
            }
        }
        if let Some(status) = whole(answer).filter(|status| !STATUSES.contains(status)) {
            let (least, most) = (STATUSES.start(), STATUSES.end());
            let message = format!("`answer` must be a status from {least} to {most}, not {status}");
            self.report(answer.mark, message, None);
        }
    }

    fn lost_node(&mut self, root: &Node, fault: &Node) {
        self.positive(fault, "node", super::MOST_NODES);
        let Some(node) = fault.get("node") else { return };
        let nodes = root.get("cluster").and_then(|cluster| cluster.get("nodes")).and_then(whole);
        let nodes = nodes.unwrap_or_else(|| u64::from(crate::scenario::Cluster::default().nodes));
        if let Some(number) = whole(node).filter(|number| *number > nodes) {
            let message = format!("there is no node {number}: the cluster has {nodes}");
            self.report(node.mark, message, None);
        }
    }

    fn upgrade(&mut self, fault: &Node) {
        let Some(version) = fault.get("version") else { return };
        if let Some(text) = version.text()
            && let Err(error) = Version::parse(text)
        {
            let message = format!("`version`: `{}` is not a version: {error}", shortened(text));
            self.report(version.mark, message, Some("write all three numbers: `2.21.0`".to_owned()));
        }
    }

    fn edit(&mut self, fault: &Node) {
        let Some(object) = fault.get("object") else { return };
        let named = object.text().is_none_or(|text| {
            text.split_once('/').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty())
        });
        if !named {
            let hint = "write `ScaledObject/agents`".to_owned();
            self.report(object.mark, "`object` must be a kind and a name", Some(hint));
        }
        if let Some(patch) = fault.get("patch").filter(|patch| patch.entries().is_empty()) {
            self.report(patch.mark, "`patch` changes nothing", None);
        }
    }
}
