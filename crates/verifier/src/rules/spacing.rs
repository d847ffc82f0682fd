//! Physics: what cannot go faster, or on for longer, than Kubernetes and KEDA let it.

use std::collections::BTreeSet;

use model::{Instant, Millis};

use super::tracking::tracked;
use super::{Breach, Judged, Rule};
use crate::bounds::slack;
use crate::count::version;
use crate::history::{Container, History, Pod};
use crate::hpa::SYNC_PERIOD;
use crate::report::Severity;
use crate::words::span;

/// SIGTERM comes at least this long before SIGKILL, even when a preStop hook used the grace up
/// (kubernetes pkg/kubelet/kuberuntime/kuberuntime_container.go, `minimumGracePeriodInSeconds`).
const LEAST_GRACE: Millis = Millis::seconds(2);
/// From the last container's end to the object's.
const CLEAN_UP: Millis = Millis::seconds(5);
/// Waits before the first and later restarts (kubernetes pkg/kubelet/kubelet.go, `backOffPeriod`, `MaxCrashLoopBackOff`).
const BACK_OFFS: [Millis; 7] = [
    Millis::ZERO,
    Millis::seconds(10),
    Millis::seconds(20),
    Millis::seconds(40),
    Millis::seconds(80),
    Millis::seconds(160),
    Millis::seconds(300),
];
/// A container that ran this long starts over with its waits (kubernetes client-go util/flowcontrol/backoff.go: twice the maximum).
const BACK_OFF_RESET: Millis = Millis::seconds(600);
/// Reads beyond those of polls and syncs: a new scale loop polls at once, and there are a few at the start.
const READS_AT_START: u64 = 10;

const OUTLIVED: Rule = Rule {
    name: "pod_outlived_grace",
    severity: Severity::Inconclusive,
    about: "a deleted pod is gone within its grace period and a few seconds",
    source: "kubernetes pkg/kubelet/kuberuntime/kuberuntime_container.go, killContainer",
};
const RESTART: Rule = Rule {
    name: "restart_outside_back_off",
    severity: Severity::Inconclusive,
    about: "a container is restarted at once, then 10, 20, 40, 80, 160 and 300 s after its end, with the kubelet's jitter",
    source: "kubernetes pkg/kubelet/kuberuntime/kuberuntime_manager.go, doBackOff; pkg/kubelet/pod_workers.go",
};
const TOO_FREQUENT: Rule = Rule {
    name: "reads_too_frequent",
    severity: Severity::Inconclusive,
    about: "KEDA reads the queue once a poll and once an HPA sync, and twice more after a failure",
    source: "keda pkg/scaling/scale_handler.go, startScaleLoop and GetScaledObjectMetrics",
};

pub(super) const RULES: &[Rule] = &[OUTLIVED, RESTART, TOO_FREQUENT];

pub(super) fn judge(history: &History, judged: &mut Judged) {
    let slack = slack(history);
    for pod in &history.pods {
        judge_grace(history, pod, slack, judged);
        for (name, container) in pod.containers.iter().filter(|_| !is_lost(history, pod)) {
            judge_restarts(history, pod, (name, container), slack, judged);
        }
    }
    judge_reads(history, judged);
}

/// Whether a pod's node was lost on purpose: no kubelet looks after it any more.
fn is_lost(history: &History, pod: &Pod) -> bool {
    history.faults.iter().any(|fault| fault.takes_node_of(pod))
}

fn judge_grace(history: &History, pod: &Pod, slack: Millis, judged: &mut Judged) {
    if is_lost(history, pod) {
        judged.skip(&OUTLIVED, format!("Pod/{}", pod.name), "the scenario took its node away");
        return;
    }
    let Some((at, grace)) = pod.terminating else { return };
    let allowed = grace.max(LEAST_GRACE) + LEAST_GRACE + CLEAN_UP + slack;
    let took = pod.gone.unwrap_or(history.end).since(at);
    if took > allowed {
        judged.find(
            &OUTLIVED,
            at + allowed,
            Breach {
                subject: format!("Pod/{}", pod.name),
                measured: format!(
                    "{} {} after its deletion",
                    if pod.gone.is_some() { "gone" } else { "still there" },
                    span(took)
                ),
                bound: format!("gone within {}", span(allowed)),
                because: format!(
                    "its grace period is {}, and then the kubelet kills it: the node or the log is broken",
                    span(grace)
                ),
            },
        );
    }
}

fn judge_restarts(
    history: &History,
    pod: &Pod,
    (name, container): (&str, &Container),
    slack: Millis,
    judged: &mut Judged,
) {
    // The kubelet of 1.35 waits up to half as long again; an older one looks every 10 to 15 s.
    let jittered = history
        .targets
        .values()
        .any(|target| version(&target.scale.kubernetes).is_some_and(|k| k.minor >= 35));
    let start_up = history.started.as_ref().map_or(Millis::ZERO, |started| {
        started.scenario.cluster.container_start.most + started.scenario.cluster.image_pull.most
    });
    let mut level = 0;
    for (index, (exit, _)) in container.exits.iter().enumerate() {
        let began = container.starts.iter().rfind(|start| *start <= exit);
        if began.is_some_and(|began| exit.since(*began) > BACK_OFF_RESET) {
            level = 0;
        }
        let next_exit = container.exits.get(index + 1).map(|(next, _)| *next);
        let Some(start) = container
            .starts
            .iter()
            .find(|start| **start > *exit && next_exit.is_none_or(|next| **start <= next))
        else {
            continue;
        };
        let wait = BACK_OFFS.get(level).copied().unwrap_or(Millis::seconds(300));
        let jitter = if jittered { Millis(wait.0 / 2) } else { SYNC_PERIOD };
        let most = wait + jitter + start_up + LEAST_GRACE + slack;
        let took = start.since(*exit);
        level += 1;
        if took + slack < wait || took > most {
            judged.find(
                &RESTART,
                *start,
                Breach {
                    subject: format!("Pod/{} container {name}", pod.name),
                    measured: format!("restart {level} came {} after the container's end", span(took)),
                    bound: format!("{} to {}", span(wait), span(most)),
                    because:
                        "the kubelet restarts containers on a fixed scale: the node or the log is broken"
                            .to_owned(),
                },
            );
        }
    }
}

fn judge_reads(history: &History, judged: &mut Judged) {
    let mut allowed = Vec::new();
    let mut tracked_objects = BTreeSet::new();
    for kind in ["ScaledObject", "ScaledJob"] {
        for tracking in tracked(history, kind, |_, _| {}) {
            tracked_objects.insert((tracking.scale.scaler.clone(), tracking.scale.name.clone()));
            let first = tracking.seen.first().map_or(Instant::START, |seen| seen.at).max(tracking.from);
            let span = tracking.until.since(first);
            let polls = span.0 / tracking.bounds.poll.0.max(1);
            let syncs = if kind == "ScaledObject" { span.0 / SYNC_PERIOD.0 } else { 0 };
            let own = tracking.seen.iter().filter(|seen| seen.at >= tracking.from);
            let failed = own.filter(|seen| !seen.good).count() as u64;
            // A loop that starts anew polls at once.
            let starts = 1 + tracking.disturbances.iter().filter(|one| one.decides).count() as u64;
            let others = failed.saturating_mul(2).saturating_add(READS_AT_START.saturating_mul(starts));
            // Each trigger reads for itself.
            let triggers = (tracking.scale.triggers.len() as u64).max(1);
            allowed.push(polls.saturating_add(syncs).saturating_mul(triggers).saturating_add(others));
        }
    }
    let judgeable = !allowed.is_empty() && tracked_objects.len() == history.targets.len();
    let most = allowed.iter().fold(0_u64, |sum, reads| sum.saturating_add(*reads));
    let until = history.judged_until();
    let reads = history.reads.iter().filter(|read| read.at <= until).count() as u64;
    // A tenth more for clocks that run a little apart.
    if judgeable && reads > most.saturating_add(most / 10) {
        judged.find(
            &TOO_FREQUENT,
            until,
            Breach {
                subject: "scaler.read".to_owned(),
                measured: format!("{reads} reads of the queue"),
                bound: format!("at most {most}"),
                because:
                    "nothing in KEDA reads that often: clocks ran apart, or something else read the queue"
                        .to_owned(),
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use model::event::Outcome;
    use model::{Fact, Instant, Source};

    use crate::testing::{Log, article};

    #[test]
    fn a_deleted_pod_is_gone_within_its_grace() {
        assert_eq!(article().found("pod_outlived_grace"), []);
        let slow = |gone| article().agent_pod(100, 9).deleted(200, 9, 30).gone(gone, 9);
        assert_eq!(slow(238).found("pod_outlived_grace"), []);
        assert_eq!(slow(260).only("pod_outlived_grace").measured, "gone 1m after its deletion");
        let never = article().agent_pod(100, 9).deleted(200, 9, 30);
        assert!(never.only("pod_outlived_grace").measured.starts_with("still there"));
    }

    /// A container that starts, and ends and starts again after each of these waits.
    fn restarting(waits: &[u64]) -> Log {
        let mut at = 104;
        let mut log = article().agent_pod(100, 9);
        for wait in waits {
            log = log.container_exited(at + 2, 9, 0).container_started(at + 2 + wait, 9);
            at += 2 + wait;
        }
        log
    }

    #[test]
    fn containers_restart_on_the_kubelets_scale() {
        assert_eq!(restarting(&[1, 12, 25, 45]).found("restart_outside_back_off"), []);
        assert!(
            restarting(&[1, 2]).only("restart_outside_back_off").measured.starts_with("restart 2 came 2s")
        );
        assert!(
            restarting(&[1, 75])
                .only("restart_outside_back_off")
                .measured
                .starts_with("restart 2 came 1m15s")
        );
    }

    #[test]
    fn a_container_that_ran_long_starts_over_with_its_waits() {
        let log = article().agent_pod(20, 9).container_exited(30, 9, 0).container_started(31, 9);
        let log = log.container_exited(640, 9, 0).container_started(641, 9);
        assert_eq!(log.found("restart_outside_back_off"), []);
        let early = article().agent_pod(20, 9).container_exited(30, 9, 0).container_started(31, 9);
        early.container_exited(540, 9, 0).container_started(541, 9).only("restart_outside_back_off");
    }

    #[test]
    fn keda_reads_no_more_often_than_it_polls_and_is_asked() {
        assert_eq!(article().found("reads_too_frequent"), []);
        assert_eq!(article().reads(21, 1, 100).only("reads_too_frequent").measured, "125 reads of the queue");
    }

    #[test]
    fn every_trigger_reads_for_itself() {
        let twice = |triggers: usize| {
            let log = Log::scaled_job()
                .target(|target| target.triggers = vec![target.triggers[0].clone(); triggers]);
            log.reads(5, 15, 3600).end(3600, Outcome::DurationReached)
        };
        twice(1).only("reads_too_frequent");
        assert_eq!(twice(2).found("reads_too_frequent"), []);
    }

    #[test]
    fn capacity_in_back_off_is_measured() {
        let back_off = Fact::ContainerBackOff {
            pod: "agents-9".into(),
            container: "agent".into(),
            until: Instant(170_000),
        };
        let log = article().agent_pod(100, 9).container_exited(110, 9, 0).fact(111, Source::Node, back_off);
        let measured = log.container_started(171, 9).verify().measurements;
        assert!((measured.pods.back_off_minutes - 1.0).abs() < 0.01, "{measured:?}");
    }
}
