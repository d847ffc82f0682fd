//! What a scenario's faults must hold to beyond their schema.

use semver::Version;

use super::{Rules, parsed, whole};
use crate::instant::Millis;
use crate::yaml::{Entry, Node, shortened};

/// The statuses that a fault can answer with.
const STATUSES: std::ops::RangeInclusive<u64> = 400..=599;

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
        if let Some(end) = parsed::<Millis>(Some(&to.node)).filter(|end| *end <= at) {
            self.report(to.mark(), format!("`to` ({end}) must be later than `from` ({at})"), None);
        }
    }

    fn service_fault(&mut self, fault: &Node) {
        if fault.entry("answer").is_none() && fault.entry("delay").is_none() {
            let hint = "give an `answer`, a `delay`, or both".to_owned();
            self.report(fault.mark, "this fault changes nothing", Some(hint));
        }
        self.some_time(fault, "delay");
        let Some(answer) = fault.get("answer") else { return };
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
