//! What is said about builds is kept within bounds: as much a build, and as much of all builds together.

use super::call::BuildDetails;
use super::{Build, Builds};
use crate::ids::{BuildId, PoolId};
use crate::limits::{MAX_ALL_BUILDS_BYTES, MAX_BUILD_BYTES, MAX_NAME, MAX_TAGS};
use crate::plans::value_size;
use crate::{Refusal, Service};

/// What an entry of a list takes beside its text, about.
const ENTRY: usize = 32;

impl BuildDetails {
    /// How many bytes it takes, about.
    pub(super) fn size(&self) -> usize {
        let texts = [&self.source_branch, &self.source_version, &self.parameters, &self.number];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let values: usize =
            [&self.template_parameters, &self.variables].into_iter().flatten().map(value_size).sum();
        let lists = self.tags.iter().chain(&self.stages_to_skip);
        texts + values + lists.map(|text| ENTRY + text.len()).sum::<usize>()
    }

    fn check(&self) -> Result<(), Refusal> {
        check_tags(&self.tags)?;
        if self.number.as_ref().is_some_and(|number| number.len() > MAX_NAME) {
            return Err(Refusal::Invalid(format!("A build's number has at most {MAX_NAME} bytes.")));
        }
        if self.size() > MAX_BUILD_BYTES {
            let message = format!("What is said about a build has at most {MAX_BUILD_BYTES} bytes.");
            return Err(Refusal::Invalid(message));
        }
        Ok(())
    }
}

/// Whether a build may have these tags.
fn check_tags(tags: &[String]) -> Result<(), Refusal> {
    if tags.len() > MAX_TAGS || tags.iter().any(|tag| tag.is_empty() || tag.len() > MAX_NAME) {
        let message = format!("A build has at most {MAX_TAGS} tags, each of 1 to {MAX_NAME} bytes.");
        return Err(Refusal::Invalid(message));
    }
    Ok(())
}

impl Builds {
    /// A build is gone.
    pub(super) fn details_went(&mut self, build: &Build) {
        self.bytes = self.bytes.saturating_sub(build.details.size());
    }
}

impl Service {
    /// Whether a build may be queued of which this is said: completed builds can make room for it.
    pub(super) fn check_details(&self, details: &BuildDetails) -> Result<(), Refusal> {
        details.check()?;
        let wanted = self.builds.bytes + details.size();
        if wanted <= MAX_ALL_BUILDS_BYTES {
            return Ok(());
        }
        let completed = self.builds.completed.iter().filter_map(|id| self.builds.get(*id));
        let completed: usize = completed.map(|build| build.details.size()).sum();
        if wanted.saturating_sub(completed) > MAX_ALL_BUILDS_BYTES {
            return Err(Refusal::Full { what: "bytes about builds", limit: MAX_ALL_BUILDS_BYTES });
        }
        Ok(())
    }

    /// A build is about to be kept: the oldest completed ones make room for what is said about it.
    pub(super) fn make_room_for_details(&mut self, details: &BuildDetails) {
        let size = details.size();
        while self.builds.bytes + size > MAX_ALL_BUILDS_BYTES
            && let Some(oldest) = self.builds.completed.pop_front()
        {
            self.forget_build(oldest);
        }
        self.builds.bytes += size;
    }

    /// Something else is said about a build.
    pub(super) fn change_details(
        &mut self,
        id: BuildId,
        change: impl FnOnce(&mut BuildDetails),
    ) -> Result<(), Refusal> {
        let build = self.builds.by_id.get_mut(&id).ok_or(Refusal::BuildNotFound(id))?;
        let mut details = build.details.clone();
        change(&mut details);
        details.check()?;
        let (before, after) = (build.details.size(), details.size());
        build.details = details;
        self.builds.bytes = (self.builds.bytes + after).saturating_sub(before);
        Ok(())
    }

    /// Whether a build that runs may still queue jobs in this pool.
    pub(crate) fn is_needed_by_builds(&self, pool: PoolId) -> bool {
        let needs = |build: &Build| {
            build.what.phases.iter().enumerate().any(|(number, phase)| {
                phase.pool == pool && build.progress.may_queue(&build.what.outline, number)
            })
        };
        self.builds.values().filter(|build| build.finished.is_none()).any(needs)
    }
}
