//! What a scenario must hold to beyond its schema.
//!
//! The rules read the tree, not the finished scenario: a mistake elsewhere in
//! the file must not hide one here. What the schema already complains of (a
//! field of the wrong type, a missing one) they pass over in silence.

mod definitions;
mod faults;

use std::collections::BTreeMap;
use std::str::FromStr;

use semver::Version;

use crate::instant::{Instant, Millis, MillisRange};
use crate::problem::{Mark, Problem, did_you_mean, one_of};
use crate::range::Range;
use crate::yaml::{Entry, Kind, Node, Scalar, Value, shortened};

/// The longest run: a month of scenario time.
pub const LONGEST_RUN: Millis = Millis::minutes(31 * 24 * 60);
/// The most jobs of a scenario.
pub const MOST_JOBS: u64 = 100_000;
/// The most nodes of a cluster.
pub const MOST_NODES: u64 = 1_000;
/// The most pods of a node. Kubelet's own default is 110, large clusters go to 500.
pub const MOST_PODS_PER_NODE: u64 = 500;
/// The longest name of a scenario: it becomes part of namespaces, which end at 63 characters.
pub const LONGEST_NAME: usize = 40;

/// Everything that breaks a rule.
pub(crate) fn check(file: &str, root: &Node) -> Vec<Problem> {
    let mut rules = Rules { file, problems: Vec::new() };
    rules.name(root);
    rules.organization(root);
    rules.manifests(root);
    rules.cluster(root);
    rules.definitions(root);
    rules.load(root);
    rules.faults(root);
    rules.end(root);
    rules.expectations(root);
    rules.known_bad(root);
    rules.problems
}

/// Everything that breaks a rule in the configuration of a served organisation.
pub(crate) fn check_served(file: &str, root: &Node) -> Vec<Problem> {
    let mut rules = Rules { file, problems: Vec::new() };
    rules.organization(root);
    if let Some(projects) = root.get("projects") {
        rules.unique(projects, "name", "project", str::to_lowercase);
        for project in projects.items() {
            rules.not_empty(project, "name");
        }
    }
    rules.definitions(root);
    rules.problems
}

/// Everything that breaks a rule about one fault, wherever it stands.
pub(crate) fn check_fault(file: &str, fault: &Node) -> Vec<Problem> {
    let mut rules = Rules { file, problems: Vec::new() };
    if let Some(service) = fault.get("service") {
        rules.service_fault(service);
        rules.ends_after_it_began(service);
    }
    rules.problems
}

struct Rules<'f> {
    file: &'f str,
    problems: Vec<Problem>,
}

impl Rules<'_> {
    fn report(&mut self, mark: Mark, message: impl Into<String>, hint: Option<String>) {
        self.problems.push(mark.of(self.file).problem(message).with_hint_if(hint));
    }

    fn name(&mut self, root: &Node) {
        let Some(node) = root.get("name") else { return };
        let Some(name) = node.text() else { return };
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let inner = name.chars().all(|c| letter(c) || c == '-');
        let ends = name.starts_with(letter) && name.ends_with(letter);
        if !(inner && ends && name.len() <= LONGEST_NAME) {
            let message = format!(
                "`name` must be 1 to {LONGEST_NAME} lower-case letters, digits and inner dashes, not `{}`",
                shortened(name)
            );
            self.report(node.mark, message, as_name(name).map(|name| format!("for example `{name}`")));
        }
    }

    fn organization(&mut self, root: &Node) {
        let Some(organization) = root.get("organization") else { return };
        self.positive(organization, "parallel_jobs", u64::from(u32::MAX));
        for field in ["job_lock", "session_expiry"] {
            self.some_time(organization, field);
        }
        let Some(pools) = organization.entry("pools") else { return };
        if matches!(&pools.node.value, Value::List(pools) if pools.is_empty()) {
            self.report(pools.key_mark, "there is no pool: `pools` is empty", None);
        }
        // Azure DevOps tells names apart by more than their case.
        self.unique(&pools.node, "name", "pool", str::to_lowercase);
        self.unique(&pools.node, "id", "pool", str::to_owned);
        for pool in pools.node.items() {
            self.positive(pool, "id", u64::MAX);
            self.not_empty(pool, "name");
            if let Some(agents) = pool.get("agents") {
                self.unique(agents, "name", "agent", str::to_lowercase);
                for agent in agents.items() {
                    self.not_empty(agent, "name");
                }
            }
        }
    }

    fn manifests(&mut self, root: &Node) {
        let Some(manifests) = root.entry("manifests") else { return };
        if matches!(&manifests.node.value, Value::List(files) if files.is_empty()) {
            let hint = "name the files with the workload and its ScaledObject or ScaledJob".to_owned();
            self.report(manifests.key_mark, "there is nothing to run: `manifests` is empty", Some(hint));
        }
        let mut seen = BTreeMap::new();
        for file in manifests.node.items() {
            let Some(text) = file.text() else { continue };
            if text.is_empty() {
                self.report(file.mark, "the name of a manifest is empty", None);
            } else if let Some(line) = seen.insert(text, file.mark.position.line) {
                self.report(
                    file.mark,
                    format!("`{text}` is listed twice"),
                    Some(format!("the first is in line {line}")),
                );
            }
        }
        for entry in root.get("substitute").map_or(&[][..], Node::entries) {
            if entry.key.is_empty() {
                self.report(entry.key_mark, "an empty text cannot be substituted", None);
            }
        }
    }

    fn cluster(&mut self, root: &Node) {
        let Some(cluster) = root.get("cluster") else { return };
        self.positive(cluster, "nodes", MOST_NODES);
        self.positive(cluster, "pods_per_node", MOST_PODS_PER_NODE);
        let Some(keda) = cluster.get("keda") else { return };
        if let Some(text) = keda.text()
            && let Err(error) = Version::parse(text)
        {
            let message = format!("`keda`: `{}` is not a version: {error}", shortened(text));
            self.report(keda.mark, message, Some("write all three numbers: `2.21.0`".to_owned()));
        }
    }

    fn load(&mut self, root: &Node) {
        let Some(load) = root.entry("load") else { return };
        if matches!(&load.node.value, Value::List(bursts) if bursts.is_empty()) {
            self.report(load.key_mark, "nothing is ever queued: `load` is empty", None);
        }
        let mut jobs_total = 0_u64;
        for burst in load.node.items() {
            self.positive(burst, "builds", MOST_JOBS);
            self.positive(burst, "jobs", MOST_JOBS);
            self.some_time(burst, "duration");
            self.repeated(burst);
            self.pool_of(root, burst);
            self.in_time(root, burst);
            let count = |field| burst.get(field).and_then(whole).unwrap_or(1);
            let definition = burst.get("definition").and_then(Node::text);
            let of_build = definition.map_or_else(|| count("jobs"), |name| definitions::jobs_of(root, name));
            let jobs = count("builds").saturating_mul(of_build).saturating_mul(count("times"));
            jobs_total = jobs_total.saturating_add(jobs);
            self.burst_of_definition(root, burst);
            self.demands(burst);
        }
        if jobs_total > MOST_JOBS {
            let message = format!("{jobs_total} jobs are too many: at most {MOST_JOBS} in a scenario");
            self.report(load.key_mark, message, None);
        }
    }

    /// `every` and `times` belong together.
    fn repeated(&mut self, burst: &Node) {
        self.positive(burst, "times", MOST_JOBS);
        self.some_time(burst, "every");
        match (burst.entry("every"), burst.entry("times")) {
            (Some(every), None) => {
                let hint = "add `times: 10`, for example".to_owned();
                self.report(every.key_mark, "how often? `every` needs `times`", Some(hint));
            }
            (None, Some(times)) => {
                let hint = "add `every: 1m`, for example".to_owned();
                self.report(times.key_mark, "how far apart? `times` needs `every`", Some(hint));
            }
            _ => {}
        }
    }

    fn pool_of(&mut self, root: &Node, burst: &Node) {
        let pools = root.get("organization").and_then(|organization| organization.get("pools"));
        let Some(pools) = pools else { return };
        let names: Vec<&str> = pools.items().iter().filter_map(|pool| pool.get("name")?.text()).collect();
        match burst.get("pool").and_then(|pool| Some((pool, pool.text()?))) {
            Some((pool, name)) if !names.contains(&name) => {
                let hint = did_you_mean(name, names.iter().copied());
                let hint = hint.unwrap_or_else(|| format!("declared: {}", one_of(names)));
                self.report(pool.mark, format!("there is no pool `{}`", shortened(name)), Some(hint));
            }
            None if names.len() > 1
                && burst.entry("pool").is_none()
                && burst.entry("definition").is_none() =>
            {
                let hint = format!("add `pool:` with {}", one_of(names));
                self.report(burst.mark, "which pool? there are several", Some(hint));
            }
            _ => {}
        }
    }

    /// A burst that comes after the end, or jobs that cannot end before it.
    fn in_time(&mut self, root: &Node, burst: &Node) {
        let Some(at_most) = parsed::<Millis>(root.get("at_most")) else { return };
        let Some(first) = parsed::<Millis>(burst.get("at")) else { return };
        let every = parsed::<Millis>(burst.get("every")).unwrap_or_default();
        let again = burst.get("times").and_then(whole).unwrap_or(1).saturating_sub(1);
        let at = Millis(first.0.saturating_add(every.0.saturating_mul(again)));
        let mark = burst.entry("at").map_or(burst.mark, Entry::mark);
        let until = root.get("until").and_then(|until| parsed::<Millis>(Some(until)));
        let end = until.map_or(at_most, |until| until.min(at_most));
        if at >= end {
            let message = format!("a burst at {at} is never queued: the run ends at {end} at the latest");
            return self.report(mark, message, None);
        }
        let longest = parsed::<MillisRange>(burst.get("duration")).map(|duration| duration.most);
        let last_end = longest.map(|longest| (Instant::START + at + longest).since(Instant::START));
        if let Some(last_end) = last_end.filter(|last_end| until.is_none() && *last_end > at_most) {
            let message = format!(
                "jobs of this burst may run until {last_end}, but the run ends at {at_most} at the latest"
            );
            self.report(mark, message, Some("raise `at_most`, or set `until` to a duration".to_owned()));
        }
    }

    fn end(&mut self, root: &Node) {
        let Some(entry) = root.entry("at_most") else { return };
        let Some(at_most) = parsed::<Millis>(Some(&entry.node)) else { return };
        if at_most == Millis::ZERO || at_most > LONGEST_RUN {
            let message = format!("`at_most` must be more than 0s and {LONGEST_RUN} or less, not {at_most}");
            self.report(entry.mark(), message, None);
        }
        let Some(until) = root.get("until") else { return };
        if let Some(after) = parsed::<Millis>(Some(until)) {
            if after > at_most {
                let message = format!("`until` ({after}) is later than `at_most` ({at_most})");
                self.report(until.mark, message, Some("raise `at_most`".to_owned()));
            } else if after == Millis::ZERO {
                self.report(until.mark, "`until` must be more than 0s", None);
            }
        }
    }

    fn expectations(&mut self, root: &Node) {
        let mut seen = BTreeMap::new();
        for item in root.get("expect").map_or(&[][..], Node::items) {
            let word = item.text().or_else(|| item.entries().first().map(|entry| entry.key.as_str()));
            let Some(word) = word else { continue };
            if let Some(line) = seen.insert(word, item.mark.position.line) {
                let hint = format!("the first is in line {line}; keep one of them");
                self.report(item.mark, format!("`{}` is expected twice", shortened(word)), Some(hint));
            }
            if let Some(bounds) = item.entry("queue_wait") {
                self.percentiles(bounds);
            }
        }
    }

    fn percentiles(&mut self, bounds: &Entry) {
        if matches!(&bounds.node.value, Value::Map(entries) if entries.is_empty()) {
            let hint = "give at least one of `p50`, `p95` and `max`".to_owned();
            self.report(bounds.key_mark, "`queue_wait` bounds nothing", Some(hint));
        }
        let given: Vec<(&str, Millis)> = ["p50", "p95", "max"]
            .into_iter()
            .filter_map(|name| Some((name, parsed::<Millis>(bounds.node.get(name))?)))
            .collect();
        for pair in given.windows(2) {
            let [(lower, low), (higher, high)] = pair else { continue };
            if low > high {
                let mark = bounds.node.get(higher).map_or(bounds.key_mark, |node| node.mark);
                self.report(mark, format!("`{higher}` ({high}) is less than `{lower}` ({low})"), None);
            }
        }
    }

    fn known_bad(&mut self, root: &Node) {
        let Some(keda) = root.get("known_bad").and_then(|known_bad| known_bad.get("keda")) else { return };
        if let Some(text) = keda.text()
            && let Err(error) = text.parse::<Range>()
        {
            let message = format!("`keda`: `{}` is not a comparison of versions: {error}", shortened(text));
            self.report(
                keda.mark,
                message,
                Some("write it like `>=2.20.0, <2.21.0`, with `||` between alternatives".to_owned()),
            );
        }
    }

    fn positive(&mut self, parent: &Node, field: &str, most: u64) {
        let Some(node) = parent.get(field) else { return };
        let Some(number) = whole(node) else { return };
        if number == 0 || number > most {
            let bound = if number == 0 { "1 or more".to_owned() } else { format!("{most} or less") };
            self.report(node.mark, format!("`{field}` must be {bound}, not {number}"), None);
        }
    }

    fn some_time(&mut self, parent: &Node, field: &str) {
        let node = parent.get(field);
        if let Some(node) = node
            && parsed::<MillisRange>(Some(node)).is_some_and(|range| range.least == Millis::ZERO)
        {
            self.report(node.mark, format!("`{field}` must be more than 0s"), None);
        }
    }

    fn not_empty(&mut self, parent: &Node, field: &str) {
        let node = parent.get(field);
        if let Some(node) = node
            && node.text().is_some_and(|text| text.trim().is_empty())
        {
            self.report(node.mark, format!("`{field}` is empty"), None);
        }
    }

    fn unique(&mut self, list: &Node, field: &str, noun: &str, folded: impl Fn(&str) -> String) {
        let mut seen = BTreeMap::new();
        for node in list.items().iter().filter_map(|item| item.get(field)) {
            let Value::Scalar(Scalar { text, .. }) = &node.value else { continue };
            if let Some(line) = seen.insert(folded(text), node.mark.position.line) {
                let message = format!("two {noun}s with the {field} `{}`", shortened(text));
                self.report(node.mark, message, Some(format!("the first is in line {line}")));
            }
        }
    }
}

/// The grammar of demands: Azure Pipelines' documentation, "demands".
fn is_demand(text: &str) -> bool {
    let words: Vec<&str> = text.trim().splitn(3, char::is_whitespace).collect();
    match words.as_slice() {
        [name] => !name.is_empty() && !name.starts_with('-'),
        [name, operator, value] if !value.trim().is_empty() => {
            let known = ["-equals", "-gtVersion"].iter().any(|known| operator.eq_ignore_ascii_case(known));
            !name.starts_with('-') && known
        }
        _ => false,
    }
}

fn whole(node: &Node) -> Option<u64> {
    match &node.value {
        Value::Scalar(Scalar { kind: Kind::Number(number), .. }) => number.as_u64(),
        _ => None,
    }
}

fn parsed<T: FromStr>(node: Option<&Node>) -> Option<T> {
    node?.text()?.parse().ok()
}

/// A text made into a name, if anything of it is left.
fn as_name(text: &str) -> Option<String> {
    let dashed: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .take(LONGEST_NAME)
        .collect();
    let parts: Vec<&str> = dashed.split('-').filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join("-"))
}
