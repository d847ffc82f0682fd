//! Which builds a query means, and what else is asked about a build.

use model::Instant;
use uuid::Uuid;

use super::call::{BuildAnswer, BuildQuery, BuildTime, DefinitionRef, LogPart, TagChange};
use super::{Build, BuildStatus};
use crate::call::Answer;
use crate::encoding::build_result;
use crate::ids::{BuildId, DefinitionId};
use crate::{Refusal, Service};

/// How many builds a list has unless the query says (Azure DevOps' documentation, "Builds - List").
pub(crate) const DEFAULT_BUILDS: u32 = 1_000;
/// How many it has at the most, whatever the query says.
pub(crate) const MOST_BUILDS: u32 = 5_000;
/// How many runs a list has at the most (Azure DevOps' documentation, "Runs - List").
pub(crate) const MOST_RUNS: usize = 10_000;
/// The branch of a build that names none.
pub(crate) const DEFAULT_BRANCH: &str = "refs/heads/main";
/// Who queues builds.
pub(crate) const REQUESTED_FOR: &str = "Poolproof";

impl Build {
    pub(crate) fn branch(&self) -> &str {
        self.details.source_branch.as_deref().unwrap_or(DEFAULT_BRANCH)
    }

    fn time(&self, by: BuildTime) -> Option<Instant> {
        match by {
            BuildTime::Queued => Some(self.queued),
            BuildTime::Started => self.started,
            BuildTime::Finished => self.finished,
        }
    }
}

impl Service {
    pub(crate) fn get_build(&self, project: Option<&str>, id: BuildId) -> Result<&Build, Refusal> {
        let project = project.map(|project| self.project_id(project)).transpose()?;
        let build = self.builds.get(id).ok_or(Refusal::BuildNotFound(id))?;
        if project.is_some_and(|project| self.project_of(build) != Some(project)) {
            return Err(Refusal::BuildNotFound(id));
        }
        Ok(build)
    }

    pub(crate) fn project_of(&self, build: &Build) -> Option<Uuid> {
        self.definitions.get(build.definition).map(|known| known.project_id)
    }

    pub(crate) fn list_builds(&self, query: &BuildQuery) -> Result<Answer, Refusal> {
        let project = query.project.as_deref().map(|project| self.project_id(project)).transpose()?;
        let wanted = |build: &&Build| {
            project.is_none_or(|project| self.project_of(build) == Some(project))
                && self.is_wanted_build(build, query)
        };
        let mut found: Vec<&Build> = self.builds.values().filter(wanted).collect();
        let last = Instant(u64::MAX);
        found.sort_by_key(|build| (build.time(query.by).unwrap_or(last), build.id));
        if !query.ascending {
            found.reverse();
        }
        if let Some(most) = query.per_definition {
            let mut seen = std::collections::BTreeMap::<DefinitionId, u32>::new();
            found.retain(|build| {
                let count = seen.entry(build.definition).or_default();
                *count += 1;
                *count <= most
            });
        }
        if let Some(from) = query.from {
            let place = found.iter().position(|build| build.id == from).unwrap_or_else(|| {
                let is_later =
                    |build: &&Build| if query.ascending { build.id > from } else { build.id < from };
                found.iter().position(is_later).unwrap_or(found.len())
            });
            found.drain(..place);
        }
        let top = query.top.unwrap_or(DEFAULT_BUILDS).min(MOST_BUILDS) as usize;
        // A page of nothing would lead to itself.
        let next = found.get(top).filter(|_| top > 0).map(|build| build.id.0);
        found.truncate(top);
        let ids = found.into_iter().map(|build| build.id).collect();
        Ok(Answer::Builds(ids).continued(next))
    }

    fn is_wanted_build(&self, build: &Build, query: &BuildQuery) -> bool {
        fn is_among<T: PartialEq>(wanted: &[T], is: &T) -> bool {
            wanted.is_empty() || wanted.contains(is)
        }
        let has = |wanted: &Option<String>, is: &str| {
            wanted.as_deref().is_none_or(|wanted| is.eq_ignore_ascii_case(wanted))
        };
        let result = || build.result().map(build_result).unwrap_or_default().to_owned();
        let time = build.time(query.by).map(|time| self.millis_since_1970(time));
        is_among(&query.ids, &build.id)
            && is_among(&query.definitions, &build.definition)
            && is_among(&query.statuses, &build.status())
            && is_among(&query.reasons, &build.details.reason)
            && (query.results.is_empty() || is_among(&query.results, &result()))
            && (query.queues.is_empty()
                || self.queue_id_of(build).is_some_and(|id| query.queues.contains(&id)))
            && query
                .tags
                .iter()
                .all(|tag| build.details.tags.iter().any(|known| known.eq_ignore_ascii_case(tag)))
            && has(&query.branch, build.branch())
            && (query.number.as_deref()).is_none_or(|wanted| is_like(&self.build_number(build), wanted))
            && (query.requested_for.as_deref())
                .is_none_or(|who| REQUESTED_FOR.to_lowercase().contains(&who.to_lowercase()))
            && query.min_time.is_none_or(|least| time.is_some_and(|time| time >= least))
            && query.max_time.is_none_or(|most| time.is_some_and(|time| time <= most))
    }

    fn queue_id_of(&self, build: &Build) -> Option<u64> {
        let known = self.definitions.get(build.definition)?;
        Some(self.queue_of(known.project_id, known.pool)?.id.0)
    }

    fn millis_since_1970(&self, instant: Instant) -> i64 {
        let epoch = i64::try_from(self.settings.epoch.as_millis()).unwrap_or(i64::MAX);
        epoch.saturating_add(i64::try_from(instant.0).unwrap_or(i64::MAX))
    }

    /// The build that ended last.
    pub(crate) fn latest_build(
        &self,
        project: Option<&str>,
        definition: &DefinitionRef,
        branch: Option<&str>,
    ) -> Result<Answer, Refusal> {
        let id = self.find_definition(project, definition)?.id;
        let full = branch.map(|branch| {
            if branch.starts_with("refs/") { branch.to_owned() } else { format!("refs/heads/{branch}") }
        });
        let is_wanted = |build: &&Build| {
            build.definition == id
                && build.status() == BuildStatus::Completed
                && full.as_deref().is_none_or(|branch| build.branch() == branch)
        };
        let latest = self.builds.values().filter(is_wanted).max_by_key(|build| (build.finished, build.id));
        latest.map(|build| Answer::Build(build.id)).ok_or(Refusal::NoBuildOf(id))
    }

    pub(crate) fn get_timeline(
        &self,
        project: Option<&str>,
        id: BuildId,
        timeline: Option<Uuid>,
    ) -> Result<Answer, Refusal> {
        let build = self.get_build(project, id)?;
        match timeline {
            None => Ok(BuildAnswer::Timeline(id).into()),
            Some(timeline) if timeline == build.plan => Ok(BuildAnswer::Timeline(id).into()),
            Some(timeline) => Err(Refusal::NothingHere(format!("timeline {timeline} of build {id}"))),
        }
    }

    pub(crate) fn read_log(
        &self,
        project: Option<&str>,
        id: BuildId,
        part: LogPart,
    ) -> Result<Answer, Refusal> {
        let plan = self.get_build(project, id)?.plan;
        let known = self.plan(plan).is_some_and(|reports| reports.log(part.log).is_some());
        if known {
            Ok(BuildAnswer::Log(id, part).into())
        } else {
            Err(Refusal::NothingHere(format!("log {} of build {id}", part.log)))
        }
    }

    pub(crate) fn change_tags(
        &mut self,
        project: Option<&str>,
        id: BuildId,
        change: TagChange,
    ) -> Result<Answer, Refusal> {
        let mut tags = self.get_build(project, id)?.details.tags.clone();
        match change {
            TagChange::Add(new) => {
                for tag in new {
                    if !tags.iter().any(|known| known.eq_ignore_ascii_case(&tag)) {
                        tags.push(tag);
                    }
                }
            }
            TagChange::Remove(tag) => tags.retain(|known| !known.eq_ignore_ascii_case(&tag)),
        }
        self.change_details(id, |details| details.tags.clone_from(&tags))?;
        Ok(BuildAnswer::Texts(tags).into())
    }

    pub(crate) fn list_runs(&self, project: Option<&str>, pipeline: DefinitionId) -> Result<Answer, Refusal> {
        let id = self.get_definition(project, pipeline)?.id;
        let runs = self.builds.values().rev().filter(|build| build.definition == id);
        Ok(BuildAnswer::Runs(runs.take(MOST_RUNS).map(|build| build.id).collect()).into())
    }

    pub(crate) fn get_run(
        &self,
        project: Option<&str>,
        pipeline: DefinitionId,
        id: BuildId,
    ) -> Result<&Build, Refusal> {
        self.get_definition(project, pipeline)?;
        let build = self.get_build(project, id)?;
        if build.definition == pipeline { Ok(build) } else { Err(Refusal::BuildNotFound(id)) }
    }
}

/// Whether a build's number is the one that is wanted; a `*` at the end stands for anything.
fn is_like(number: &str, wanted: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(start) => number.starts_with(start),
        None => number == wanted,
    }
}
