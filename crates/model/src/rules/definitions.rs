//! Rules about pipelines: names that are there, dependencies that end, strategies that say one thing.

use std::collections::BTreeSet;

use super::{MOST_JOBS, Rules, is_demand, whole};
use crate::problem::{did_you_mean, one_of};
use crate::yaml::{Node, shortened};

/// How many jobs a definition of this name has, as far as it can be read.
pub(super) fn jobs_of(root: &Node, name: &str) -> u64 {
    let of_job = |job: &Node| {
        let legs = job.get("matrix").map(|matrix| matrix.items().len() as u64);
        job.get("parallel").and_then(whole).or(legs).unwrap_or(1)
    };
    let definition = items(root, "definitions").iter().find(|known| name_of(known) == Some(name));
    let Some(definition) = definition else { return 0 };
    let stages = items(definition, "stages").iter().flat_map(|stage| items(stage, "jobs"));
    items(definition, "jobs").iter().chain(stages).map(of_job).fold(0, u64::saturating_add)
}

fn items<'n>(parent: &'n Node, field: &str) -> &'n [Node] {
    parent.get(field).map_or(&[][..], Node::items)
}

fn name_of(node: &Node) -> Option<&str> {
    node.get("name")?.text()
}

impl Rules<'_> {
    pub(super) fn definitions(&mut self, root: &Node) {
        let Some(definitions) = root.get("definitions") else { return };
        self.unique(definitions, "name", "pipeline", str::to_lowercase);
        for definition in definitions.items() {
            self.not_empty(definition, "name");
            self.not_empty(definition, "project");
            self.pool_of(root, definition);
            match (definition.entry("jobs"), definition.entry("stages")) {
                (None, None) => {
                    let hint = "add `jobs:`, or `stages:` with jobs".to_owned();
                    self.report(definition.mark, "the pipeline runs nothing", Some(hint));
                }
                (Some(_), Some(stages)) => {
                    let hint = "put the jobs into a stage".to_owned();
                    self.report(stages.key_mark, "a pipeline has `jobs` or `stages`, not both", Some(hint));
                }
                _ => {}
            }
            if let Some(jobs) = definition.entry("jobs") {
                self.not_an_empty_list(&jobs.node, "jobs");
                self.jobs(root, &jobs.node);
            }
            if let Some(stages) = definition.entry("stages") {
                self.stages(root, &stages.node);
            }
        }
    }

    fn stages(&mut self, root: &Node, stages: &Node) {
        self.not_an_empty_list(stages, "stages");
        self.unique(stages, "name", "stage", str::to_lowercase);
        self.dependencies(stages, "stage");
        for stage in stages.items() {
            self.not_empty(stage, "name");
            if let Some(jobs) = stage.get("jobs") {
                self.not_an_empty_list(jobs, "jobs");
                self.jobs(root, jobs);
            }
        }
    }

    fn jobs(&mut self, root: &Node, jobs: &Node) {
        self.unique(jobs, "name", "job", str::to_lowercase);
        self.dependencies(jobs, "job");
        for job in jobs.items() {
            self.not_empty(job, "name");
            if jobs.items().len() > 1 && job.get("name").is_none() {
                let hint = "add `name:`".to_owned();
                self.report(job.mark, "which job? there are several, and this one has no name", Some(hint));
            }
            if job.entry("pool").is_some() {
                self.pool_of(root, job);
            }
            self.positive(job, "parallel", MOST_JOBS);
            self.positive(job, "max_parallel", MOST_JOBS);
            self.some_time(job, "duration");
            self.some_time(job, "cancel_timeout");
            self.demands(job);
            if let (Some(_), Some(matrix)) = (job.entry("parallel"), job.entry("matrix")) {
                let hint = "leave out one of them".to_owned();
                self.report(
                    matrix.key_mark,
                    "a job has copies (`parallel`) or variants (`matrix`)",
                    Some(hint),
                );
            }
            if let Some(matrix) = job.get("matrix") {
                self.not_an_empty_list(matrix, "matrix");
                self.unique(matrix, "name", "variant", str::to_lowercase);
                for leg in matrix.items() {
                    self.not_empty(leg, "name");
                    self.some_time(leg, "duration");
                    self.demands(leg);
                }
            }
        }
    }

    pub(super) fn demands(&mut self, parent: &Node) {
        for demand in items(parent, "demands") {
            if let Some(text) = demand.text().filter(|text| !is_demand(text)) {
                let message = format!("`{}` is not a demand", shortened(text));
                let hint = "write `name` or `name -equals value`".to_owned();
                self.report(demand.mark, message, Some(hint));
            }
        }
    }

    fn not_an_empty_list(&mut self, node: &Node, field: &str) {
        if !node.is_null() && node.items().is_empty() && node.entries().is_empty() && node.text().is_none() {
            self.report(node.mark, format!("`{field}` is empty"), None);
        }
    }

    /// Everything that is depended on is there, and nothing waits for itself.
    fn dependencies(&mut self, list: &Node, noun: &str) {
        let names: Vec<&str> = list.items().iter().filter_map(name_of).collect();
        for item in list.items() {
            for before in items(item, "depends_on") {
                let Some(text) = before.text() else { continue };
                if !names.iter().any(|name| name.eq_ignore_ascii_case(text)) {
                    let hint = did_you_mean(text, names.iter().copied());
                    let hint =
                        hint.unwrap_or_else(|| format!("known here: {}", one_of(names.iter().copied())));
                    let message = format!("there is no {noun} `{}`", shortened(text));
                    self.report(before.mark, message, Some(hint));
                }
            }
        }
        if let Some(item) = waits_for_itself(list.items(), noun) {
            let mark = item.get("depends_on").map_or(item.mark, |node| node.mark);
            let name = name_of(item).unwrap_or_default();
            self.report(mark, format!("the {noun} `{}` waits for itself", shortened(name)), None);
        }
    }

    /// What a burst of a pipeline says, and what it leaves to the pipeline.
    pub(super) fn burst_of_definition(&mut self, root: &Node, burst: &Node) {
        let names: Vec<&str> = items(root, "definitions").iter().filter_map(name_of).collect();
        match burst.get("definition").and_then(|node| Some((node, node.text()?))) {
            Some((node, name)) if !names.contains(&name) => {
                let hint = did_you_mean(name, names.iter().copied());
                let hint = hint.unwrap_or_else(|| "name one of `definitions`".to_owned());
                self.report(node.mark, format!("there is no pipeline `{}`", shortened(name)), Some(hint));
            }
            Some(_) => {
                for field in ["jobs", "duration", "demands", "pool"] {
                    if let Some(entry) = burst.entry(field) {
                        let message = format!("`{field}` is the pipeline's to say: `definition` is set");
                        self.report(entry.key_mark, message, Some(format!("remove `{field}`")));
                    }
                }
            }
            None if burst.entry("duration").is_none() => {
                let mark = burst.entries().first().map_or(burst.mark, crate::yaml::Entry::mark);
                let hint = "`duration`: How long each job runs".to_owned();
                self.report(mark, "`duration` is missing in an item of `load`", Some(hint));
            }
            None => {}
        }
    }
}

/// The first that can never start, if all the others that can have ended. Stages that name nothing wait for
/// the one before.
fn waits_for_itself<'n>(list: &'n [Node], noun: &str) -> Option<&'n Node> {
    let mut over: BTreeSet<usize> = BTreeSet::new();
    let place = |name: &str| {
        list.iter().position(|item| name_of(item).is_some_and(|known| known.eq_ignore_ascii_case(name)))
    };
    loop {
        let can_start = |(at, item): &(usize, &Node)| match item.get("depends_on") {
            Some(before) => {
                let mut places = before.items().iter().filter_map(|name| place(name.text()?));
                places.all(|place| over.contains(&place))
            }
            None => noun != "stage" || *at == 0 || over.contains(&(at - 1)),
        };
        let next = list.iter().enumerate().filter(|(at, _)| !over.contains(at)).find(can_start);
        match next {
            Some((at, _)) => over.insert(at),
            None => return list.iter().enumerate().find(|(at, _)| !over.contains(at)).map(|(_, item)| item),
        };
    }
}
