//! Job requests.

use model::Instant;
use model::event::JobResult;

/// A job request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Job {
    /// When it was queued.
    pub(crate) queued: Option<Instant>,
    /// The job's name.
    pub(crate) name: String,
    /// The pool's id.
    pub(crate) pool: u64,
    /// What it demands of an agent.
    pub(crate) demands: Vec<String>,
    /// Reservations in order.
    pub(crate) assignments: Vec<Assignment>,
    /// Receptions in order: when, and by which agent.
    pub(crate) receptions: Vec<Assignment>,
    /// Every end that was reported.
    pub(crate) finishes: Vec<Finish>,
    /// Every time that the service took it back, from which agent, and why.
    pub(crate) requeues: Vec<(Assignment, String)>,
}

/// A job and an agent come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// When.
    pub(crate) at: Instant,
    /// The agent's id.
    pub(crate) agent: u64,
}

/// The end of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finish {
    /// When.
    pub(crate) at: Instant,
    /// The agent's id, if it had one.
    pub(crate) agent: Option<u64>,
    /// How.
    pub(crate) result: JobResult,
}

/// An agent holds a job: from its reception, until it ends or is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hold {
    /// The job request's id.
    pub(crate) request: u64,
    /// The agent's id.
    pub(crate) agent: u64,
    /// When the agent was reserved.
    pub(crate) assigned: Instant,
    /// When the agent took the job, if it did.
    pub(crate) received: Option<Instant>,
    /// When it was over.
    pub(crate) until: Option<Instant>,
    /// How the job ended, if this hold is the one it ended in.
    pub(crate) result: Option<JobResult>,
}

impl Job {
    pub(super) fn queue(&mut self, at: Instant, name: String, pool: u64, demands: Vec<String>) {
        if self.queued.is_none() {
            (self.queued, self.name, self.pool, self.demands) = (Some(at), name, pool, demands);
        }
    }

    pub(super) fn assign(&mut self, at: Instant, agent: u64) {
        self.assignments.push(Assignment { at, agent });
    }

    pub(super) fn receive(&mut self, at: Instant, agent: u64) {
        self.receptions.push(Assignment { at, agent });
    }

    pub(super) fn finish(&mut self, at: Instant, agent: Option<u64>, result: JobResult) {
        self.finishes.push(Finish { at, agent, result });
    }

    pub(super) fn requeue(&mut self, at: Instant, agent: u64, because: String) {
        self.requeues.push((Assignment { at, agent }, because));
    }

    /// When an agent first took it.
    pub(crate) fn received(&self) -> Option<Assignment> {
        self.receptions.first().copied()
    }

    /// How it ended first.
    pub(crate) fn finished(&self) -> Option<Finish> {
        self.finishes.first().copied()
    }

    /// The spans that agents held it for.
    pub(super) fn holds(&self, request: u64) -> impl Iterator<Item = Hold> {
        self.assignments.iter().enumerate().map(move |(index, assignment)| {
            let next = self.assignments.get(index + 1).map(|next| next.at);
            let before_next = |at: Instant| at >= assignment.at && next.is_none_or(|next| at <= next);
            let received =
                self.receptions.iter().find(|taken| taken.agent == assignment.agent && before_next(taken.at));
            let requeued = self.requeues.iter().map(|(back, _)| back.at).find(|at| before_next(*at));
            let finish = self.finished().filter(|finish| before_next(finish.at) && requeued.is_none());
            Hold {
                request,
                agent: assignment.agent,
                assigned: assignment.at,
                received: received.map(|taken| taken.at),
                until: requeued.or(finish.map(|finish| finish.at)),
                result: finish.map(|finish| finish.result),
            }
        })
    }
}

impl Hold {
    /// Whether the agent held the job at an instant.
    pub(crate) fn holds_at(&self, at: Instant) -> bool {
        self.assigned <= at && self.until.is_none_or(|until| until > at)
    }
}
