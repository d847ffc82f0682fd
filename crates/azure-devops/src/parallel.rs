//! Parallel jobs: how many jobs of an organisation may run at once, by the kind of their project.
//!
//! Jobs above the limit stay queued though agents are idle (Microsoft's documentation of parallel jobs:
//! one free job for private projects on agents of one's own, none counted for public ones). A limit
//! that sinks below what runs ends nothing: only the next jobs wait.

use model::scenario::ParallelJobs;
use serde::{Deserialize, Serialize};

use crate::Service;

/// Which of an organisation's limits a job counts against. The wire's `parallelismTag`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum ParallelismTag {
    /// Jobs of private projects.
    #[default]
    Private,
    /// Jobs of public projects.
    Public,
}

impl ParallelismTag {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Private, Self::Public];

    /// As the wire writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "Private",
            Self::Public => "Public",
        }
    }

    /// By its name, whatever the case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tag| tag.as_str().eq_ignore_ascii_case(name))
    }
}

/// The limits of an organisation, and what is in use of them: jobs that are received, assigned, or about to be.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Parallel {
    private: Limit,
    public: Limit,
}

#[derive(Debug, Serialize, Deserialize)]
struct Limit {
    limit: ParallelJobs,
    /// What counts as long as a fault has it so.
    instead: Option<ParallelJobs>,
    in_use: usize,
}

impl Limit {
    fn new(limit: ParallelJobs) -> Self {
        Self { limit, instead: None, in_use: 0 }
    }

    fn by_now(&self) -> ParallelJobs {
        self.instead.unwrap_or(self.limit)
    }

    fn is_free(&self) -> bool {
        match self.by_now() {
            ParallelJobs::Limited(jobs) => self.in_use < usize::try_from(jobs).unwrap_or(usize::MAX),
            ParallelJobs::Unlimited => true,
        }
    }
}

impl Parallel {
    /// Public projects have no limit unless somebody sets one.
    pub(crate) fn new(private: ParallelJobs) -> Self {
        Self { private: Limit::new(private), public: Limit::new(ParallelJobs::Unlimited) }
    }

    fn of(&self, tag: ParallelismTag) -> &Limit {
        match tag {
            ParallelismTag::Private => &self.private,
            ParallelismTag::Public => &self.public,
        }
    }

    fn of_mut(&mut self, tag: ParallelismTag) -> &mut Limit {
        match tag {
            ParallelismTag::Private => &mut self.private,
            ParallelismTag::Public => &mut self.public,
        }
    }

    /// Whether one more job may run.
    pub(crate) fn is_free(&self, tag: ParallelismTag) -> bool {
        self.of(tag).is_free()
    }

    /// Whether one more job of any kind may run.
    pub(crate) fn any_is_free(&self) -> bool {
        self.private.is_free() || self.public.is_free()
    }

    pub(crate) fn take(&mut self, tag: ParallelismTag) {
        self.of_mut(tag).in_use += 1;
    }

    pub(crate) fn give_back(&mut self, tag: ParallelismTag) {
        let limit = self.of_mut(tag);
        assert!(limit.in_use > 0, "a job that held a parallel job ended");
        limit.in_use -= 1;
    }

    pub(crate) fn in_use(&self, tag: ParallelismTag) -> usize {
        self.of(tag).in_use
    }

    /// How many jobs may run at once; `None` is without a limit.
    pub(crate) fn limit(&self, tag: ParallelismTag) -> Option<u32> {
        match self.of(tag).by_now() {
            ParallelJobs::Limited(jobs) => Some(jobs),
            ParallelJobs::Unlimited => None,
        }
    }
}

impl Service {
    /// From here on so many jobs may run at once, unless a fault has it otherwise: then from its end on.
    pub(crate) fn set_parallel_jobs(&mut self, tag: ParallelismTag, limit: ParallelJobs) {
        self.parallel.of_mut(tag).limit = limit;
        self.may_promise = true;
    }

    /// A fault puts another limit in the place of the one for private projects, or no longer does.
    pub(crate) fn replace_parallel_jobs(&mut self, instead: Option<ParallelJobs>) {
        self.parallel.private.instead = instead;
        self.may_promise = true;
    }

    /// What faults have put in the place of the limit for private projects.
    #[must_use]
    pub fn replaced_parallel_jobs(&self) -> Option<ParallelJobs> {
        self.parallel.private.instead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_by_its_name_whatever_the_case() {
        assert_eq!(ParallelismTag::named("PUBLIC"), Some(ParallelismTag::Public));
        assert_eq!(ParallelismTag::named("private"), Some(ParallelismTag::Private));
        assert_eq!(ParallelismTag::named("hosted"), None);
    }

    #[test]
    fn each_kind_of_project_has_a_limit_of_its_own() {
        let mut parallel = Parallel::new(ParallelJobs::Limited(1));
        parallel.take(ParallelismTag::Private);
        assert!(!parallel.is_free(ParallelismTag::Private));
        assert!(parallel.is_free(ParallelismTag::Public) && parallel.any_is_free());
        parallel.give_back(ParallelismTag::Private);
        assert!(parallel.is_free(ParallelismTag::Private));
        assert_eq!(
            (parallel.limit(ParallelismTag::Private), parallel.limit(ParallelismTag::Public)),
            (Some(1), None)
        );
    }
}
