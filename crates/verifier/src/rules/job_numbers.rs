//! How many Jobs each poll of a ScaledJob makes: what its strategy makes of the queue and the Jobs at that moment.

use model::{Instant, Millis};

use super::tracking::{Tracking, tracked};
use super::{Breach, Judged, Rule};
use crate::bounds::{creating, reads_of};
use crate::count::{CountRule, version};
use crate::history::{History, Read, Steps};
use crate::report::Severity;
use crate::scaled_job::{Counts, JobRules, Queue, found, pending_jobs};
use crate::words::counted;

/// KEDA's informer of Jobs lags this much behind, beside what observation costs.
const INFORMER_LAG: Millis = Millis::seconds(2);

const NUMBER: Rule = Rule {
    name: "job_creation_count",
    severity: Severity::Violation,
    about: "each poll makes as many Jobs as its strategy makes of the queue and of the unfinished and pending Jobs then",
    source: "keda pkg/scaling/executor/scale_jobs.go, getScalingDecision and GetEffectiveMaxScale of each strategy; \
             pkg/scaling/scaledjob/metrics.go, IsScaledJobActive",
};

pub(super) const RULES: &[Rule] = &[NUMBER];

pub(super) fn judge(history: &History, judged: &mut Judged) {
    let objects = history.targets.values().filter(|target| target.scale.scaler == "ScaledJob").count();
    if objects == 0 {
        return;
    }
    if objects > 1 {
        let because = "there are several ScaledJobs, and a Job does not tell whose it is";
        return judged.skip(&NUMBER, "ScaledJobs", because);
    }
    let pending = pending_jobs(history);
    let tracked = tracked(history, "ScaledJob", |object, because| judged.skip(&NUMBER, object, because));
    for tracking in &tracked {
        match JobRules::of(tracking.scale) {
            Ok(rules) if rules.pending_unknown => {
                judged.skip(&NUMBER, tracking.subject.clone(), "pendingPodConditions are not in the log");
            }
            Ok(_) if tracking.bounds.poll <= tracking.bounds.slack + tracking.bounds.slack => {
                let because = "its polls come too fast to tell which of them made a Job";
                judged.skip(&NUMBER, tracking.subject.clone(), because);
            }
            Ok(rules) => judge_polls(history, tracking, &rules, &pending, judged),
            Err(because) => judged.skip(&NUMBER, tracking.subject.clone(), because),
        }
    }
}

fn judge_polls(
    history: &History,
    tracking: &Tracking<'_>,
    rules: &JobRules,
    pending: &Steps,
    judged: &mut Judged,
) {
    let Some(pool) = tracking.scale.triggers.first().and_then(|one| history.pool_of(&one.metadata)) else {
        return;
    };
    let Some(counting) = counting(tracking) else { return };
    let created = &history.jobs_made;
    let polls: Vec<&Read> = reads_of(history, pool).collect();
    let events = history.kubernetes_events.iter().filter(|event| event.reason == "KEDAJobCreateFailed");
    let failures: Vec<Instant> = events.map(|event| event.at).collect();
    for (index, poll) in polls.iter().enumerate() {
        let next = polls.get(index + 1).map_or(tracking.until, |next| next.at).min(tracking.until);
        // One that failed once is read again at once; the last answer is what the poll goes by.
        let again = next.since(poll.at) + tracking.bounds.slack < tracking.bounds.poll;
        if !tracking.judges(poll.at) || again {
            continue;
        }
        let first = created.partition_point(|at| *at < poll.at);
        let after = created.partition_point(|at| *at < next);
        let made = u32::try_from(after.saturating_sub(first)).unwrap_or(u32::MAX);
        let disturbed = tracking.disturbed_between(poll.at, next) > Millis::ZERO;
        let failed = failures.iter().any(|at| *at >= poll.at && *at <= next);
        // Many Jobs take their time, and this poll may be over before they are made.
        let time = next.since(poll.at) > creating(made.saturating_add(1)) + tracking.bounds.slack;
        if disturbed || failed || !time {
            continue;
        }
        let queues = queues(&counting, poll);
        let now = |steps: &Steps| found(history, steps, poll.at);
        let found = (now(&tracking.replicas), now(pending));
        if rules.number(&queues, found) == made {
            continue;
        }
        let lag = tracking.bounds.slack + INFORMER_LAG;
        let counts = Counts::around(history, (&tracking.replicas, pending), poll.at, lag);
        let (least, most) = rules.range(&queues, &counts);
        if made < least || made > most {
            let likely = rules.made(&queues, found);
            judged.find(&NUMBER, poll.at, breach(tracking, made, (least, most), likely.because));
        }
    }
}

fn breach(tracking: &Tracking<'_>, made: u32, (least, most): (u32, u32), because: String) -> Breach {
    let bound = if least == most { counted(least, "Job") } else { format!("{least} to {most} Jobs") };
    Breach {
        subject: tracking.subject.clone(),
        measured: format!("the poll made {}", counted(made, "Job")),
        bound,
        because,
    }
}

fn counting(tracking: &Tracking<'_>) -> Option<Vec<CountRule>> {
    let keda = version(&tracking.scale.keda)?;
    Some(tracking.scale.triggers.iter().map(|trigger| CountRule::of(&trigger.metadata, &keda)).collect())
}

/// What each trigger told a poll; one that failed tells nothing.
fn queues(rules: &[CountRule], poll: &Read) -> Vec<Queue> {
    if !poll.succeeded() {
        return Vec::new();
    }
    let one = |rule: &CountRule| {
        let count = rule.count(&poll.rows);
        Queue { count, target: rule.target, active: count > rule.activation }
    };
    rules.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use model::event::Outcome;
    use model::{Fact, Source};
    use serde_json::json;

    use crate::testing::Log;

    /// Three builds at 60 on a ScaledJob, seen by the poll at 75; the jobs run from 150 on.
    fn three(strategy: &str) -> Log {
        let log =
            Log::scaled_job().reads(15, 30, 300).target(|target| target.strategy = Some(strategy.into()));
        let log = (1..=3).fold(log, |log, request| log.job(request, request, (60, 150, 290)));
        log.end(300, Outcome::DurationReached)
    }

    fn made(log: Log, at: u64, names: &[&str]) -> Log {
        names.iter().fold(log, |log, name| log.kubernetes_job(name, at, None).job_pod(at, at + 10, name))
    }

    #[test]
    fn each_poll_makes_what_its_strategy_says() {
        assert_eq!(made(three("default"), 76, &["a", "b", "c"]).found("job_creation_count"), []);
        let fewer = made(three("default"), 76, &["a", "b"]);
        let found = fewer.found("job_creation_count");
        assert_eq!((found[0].measured.as_str(), found[0].bound.as_str()), ("the poll made 2 Jobs", "3 Jobs"));
        assert!(found[0].because.contains("maxScale 3 - running 0 = 3"), "{}", found[0].because);
    }

    #[test]
    fn accurate_makes_jobs_again_for_what_runs_where_that_counts() {
        // The pods run at 86, so at 105 nothing is pending, and two more fill the maximum of five.
        let again = made(made(three("accurate"), 76, &["a", "b", "c"]), 106, &["d", "e"]);
        assert_eq!(again.found("job_creation_count"), []);
        let once = made(three("accurate"), 76, &["a", "b", "c"]);
        assert_eq!(once.found("job_creation_count")[0].bound, "2 Jobs");
    }

    #[test]
    fn a_job_that_ends_with_the_poll_may_or_may_not_be_seen() {
        let ending = |at| {
            let log = Log::scaled_job().reads(15, 30, 120).queued(20, 1).queued(20, 2).queued(20, 3);
            let log = log.target(|target| target.max = 3);
            let log = made(log, 46, &["b", "c"]).kubernetes_job("a", 46, Some(at));
            made(log, 76, &["d"]).end(120, Outcome::DurationReached).found("job_creation_count").len()
        };
        assert_eq!(ending(76), 0);
        assert_eq!(ending(90), 1);
    }

    #[test]
    fn a_failed_creation_or_an_unknown_strategy_is_not_judged() {
        let event = Fact::KubernetesEvent {
            object: "ScaledJob/agents".into(),
            kind: "Warning".into(),
            reason: "KEDAJobCreateFailed".into(),
            message: "quota".into(),
        };
        let failed = made(three("default"), 76, &["a", "b"]).fact(77, Source::Kubernetes, event);
        assert!(failed.found("job_creation_count").iter().all(|finding| finding.at.0 != 75_000));
        let skipped =
            |log: &Log| log.verify().not_judged.into_iter().any(|one| one.rule == "job_creation_count");
        assert!(skipped(&made(three("custom"), 76, &["a"])));
        let conditions = json!({ "scalingStrategy": { "pendingPodConditions": ["Ready"] } });
        let conditions = made(three("accurate"), 76, &["a"]).target(|target| target.spec = conditions);
        assert!(skipped(&conditions) && conditions.found("job_creation_count").is_empty());
    }
}
