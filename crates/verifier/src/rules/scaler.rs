//! KEDA itself: whether its object is ready, its metric is served, and the queue is read on time.

use model::{Instant, Millis};

use super::tracking::{Tracking, tracked};
use super::{Breach, Judged, Rule};
use crate::bounds::slack;
use crate::disturbances;
use crate::history::{History, WrittenCondition};
use crate::hpa::SYNC_PERIOD;
use crate::report::Severity;
use crate::words::span;

/// A condition may be False for so long beyond a poll: a reconcile rewrites it.
const PASSING: Millis = Millis::seconds(15);
/// Without a poll's length that is known, the default pollingInterval.
const DEFAULT_POLL: Millis = Millis::seconds(30);
/// A sync that cannot reach KEDA holds its worker for this long (kubernetes apiserver `--request-timeout`).
const HANGING_SYNC: Millis = Millis::seconds(60);

const NOT_READY: Rule = Rule {
    name: "scaler_not_ready",
    severity: Severity::Violation,
    about: "the KEDA object's condition Ready does not stay False",
    source: "keda controllers/keda/scaledobject_controller.go, ReconcileScaledObject; \
             pkg/scaling/executor/scale_scaledobjects.go, RequestScale",
};
const HPA_NOT_ACTIVE: Rule = Rule {
    name: "hpa_not_active",
    severity: Severity::Violation,
    about: "the HPA's condition ScalingActive does not stay False while there are replicas",
    source: "kubernetes pkg/controller/podautoscaler/horizontal.go, reconcileAutoscaler",
};
const NOT_READ: Rule = Rule {
    name: "queue_not_read",
    severity: Severity::Violation,
    about: "KEDA reads the queue every poll at zero and for ScaledJobs, and every HPA sync otherwise",
    source: "keda pkg/scaling/scale_handler.go, startScaleLoop; \
             kubernetes pkg/controller/podautoscaler/rate_limiters.go",
};

pub(super) const RULES: &[Rule] = &[NOT_READY, HPA_NOT_ACTIVE, NOT_READ];

pub(super) fn judge(history: &History, judged: &mut Judged) {
    for ((object, condition), written) in &history.conditions {
        if condition == "Ready" && is_keda_object(object) {
            judge_ready(history, object, written, judged);
        }
    }
    let objects = tracked(history, "ScaledObject", |object, because| judged.skip(&NOT_READ, object, because));
    for tracking in &objects {
        for disturbance in &tracking.disturbances {
            judged.skip(&NOT_READ, tracking.subject.clone(), disturbance.sentence());
        }
        judge_hpa(tracking, judged);
        judge_gaps(history, tracking, judged);
    }
    for tracking in &tracked(history, "ScaledJob", |object, because| judged.skip(&NOT_READ, object, because))
    {
        judge_gaps(history, tracking, judged);
    }
}

fn is_keda_object(object: &str) -> bool {
    object.starts_with("ScaledObject/") || object.starts_with("ScaledJob/")
}

/// Whether a KEDA object is not ready at the end.
pub(crate) fn not_ready_to_the_end(history: &History) -> bool {
    let ready = history
        .conditions
        .iter()
        .filter(|((object, condition), _)| condition == "Ready" && is_keda_object(object));
    let until = history.judged_until();
    ready.into_iter().any(|(_, written)| {
        written.iter().rfind(|condition| condition.at <= until).is_some_and(|last| last.status == "False")
    })
}

fn judge_ready(history: &History, object: &str, written: &[WrittenCondition], judged: &mut Judged) {
    let poll = history
        .targets
        .get(object)
        .map_or(DEFAULT_POLL, |target| Millis::seconds(target.scale.polling_interval_s));
    let until = history.judged_until();
    let disturbed = disturbances::of(history, object);
    let disturbed = disturbances::merged(disturbed.iter().map(|one| (one.from, one.to)));
    let mut since: Option<&WrittenCondition> = None;
    let mut last: Option<&WrittenCondition> = None;
    let end =
        WrittenCondition { at: until, status: String::new(), reason: String::new(), message: String::new() };
    for condition in written.iter().filter(|condition| condition.at < until).chain([&end]) {
        if condition.status == "False" {
            since.get_or_insert(condition);
            last = Some(condition);
            continue;
        }
        let (Some(first), Some(told)) = (since.take(), last) else { continue };
        let allowed = poll + PASSING + slack(history);
        // A run that ended soon after does not show whether it would have passed, unless nothing else came of it.
        let took = condition.at.since(first.at);
        let excused = disturbances::overlap(&disturbed, first.at, condition.at);
        let never_ready =
            std::ptr::eq(condition, &end) && !written.iter().any(|condition| condition.status == "True");
        if took - excused > allowed || (never_ready && excused == Millis::ZERO) {
            judged.find(
                &NOT_READY,
                first.at,
                Breach {
                    subject: object.to_owned(),
                    measured: format!("Ready=False for {}: {}: {}", span(took), told.reason, told.message),
                    bound: format!("Ready again within {}", span(allowed)),
                    because: cause(history, object, condition.at),
                },
            );
        }
    }
}

/// What KEDA's own events and the service's refusals say about the cause.
fn cause(history: &History, object: &str, until: Instant) -> String {
    let mut parts = Vec::new();
    let failed = history.kubernetes_events.iter().rfind(|event| {
        event.object == object
            && event.at <= until
            && (event.reason == "KEDAScalerFailed" || event.reason.ends_with("CheckFailed"))
    });
    parts.extend(failed.map(|event| format!("KEDA's last event says {}: {}", event.reason, event.message)));
    let mut refused = history.requests.iter().filter(|request| {
        request.at <= until
            && matches!(request.status, 203 | 401 | 403)
            && request.caller.as_deref().is_some_and(|caller| caller.starts_with("Go-http-client"))
    });
    let count = refused.clone().count();
    parts.extend(refused.next_back().map(|request| {
        format!(
            "the service answered {} to {} ({count} such answers to KEDA): look at the personal access token",
            request.status, request.what
        )
    }));
    let mut failed = history.reads.iter().filter(|read| read.at <= until && !read.succeeded());
    let count = failed.clone().count();
    parts.extend(
        failed
            .next_back()
            .map(|read| format!("{count} reads of the queue failed, the last with status {}", read.status)),
    );
    if parts.is_empty() {
        parts.push("KEDA does not scale an object that is not ready".to_owned());
    }
    parts.join("; ")
}

fn judge_hpa(tracking: &Tracking, judged: &mut Judged) {
    let allowed = HANGING_SYNC + tracking.bounds.syncs(2) + tracking.bounds.slack;
    for (from, to) in &tracking.inactive {
        let (from, to) = (&(*from).max(tracking.from), (*to).min(tracking.until));
        let took = to.since(*from);
        if took - tracking.disturbed_between(*from, to) > allowed {
            judged.find(
                &HPA_NOT_ACTIVE,
                *from,
                Breach {
                    subject: tracking.subject.clone(),
                    measured: format!("ScalingActive=False for {}", span(took)),
                    bound: format!("active again within {}", span(allowed)),
                    because: "the HPA cannot get its metric from KEDA, and without one it does not scale"
                        .to_owned(),
                },
            );
        }
    }
}

/// Until everything is in place KEDA may still be taking the object up, at its own client's pace.
fn judge_gaps(history: &History, tracking: &Tracking, judged: &mut Judged) {
    let bounds = &tracking.bounds;
    let start = history.ready.unwrap_or(tracking.target.at).max(tracking.from);
    if start >= tracking.until {
        return;
    }
    let mut before = start;
    let reads = tracking.seen.iter().map(|seen| seen.at).filter(|&at| at > start);
    for at in reads.chain([tracking.until]) {
        // From zero, an HPA sync leads a poll or a poll leads a sync by up to its own period.
        let running = tracking.replicas.values(before, at).all(|replicas| replicas > 0);
        let synced = tracking.scale.scaler == "ScaledObject" && running && !tracking.is_cached;
        let period = if synced { SYNC_PERIOD } else { bounds.poll.max(SYNC_PERIOD) };
        let allowed = period + bounds.sync + bounds.read + bounds.slack;
        let took = at.since(before);
        let blind = tracking.blind_between(before, at);
        if took - blind > allowed {
            judged.find(
                &NOT_READ,
                before + allowed,
                Breach {
                    subject: tracking.subject.clone(),
                    measured: format!("the queue was not read for {}", span(took)),
                    bound: format!("read within {}", span(allowed)),
                    because: if synced {
                        "the HPA asks KEDA every 15 s, and KEDA reads the queue each time".to_owned()
                    } else {
                        format!("pollingInterval is {}", span(bounds.poll))
                    },
                },
            );
        }
        before = at;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::event::Outcome;
    use model::{Fact, Source};

    use crate::report::Verdict;
    use crate::testing::{Log, article};

    /// KEDA never gets into the organisation.
    fn wrong_token() -> Log {
        let answer = |status| Fact::Request {
            method: "GET".into(),
            route: "/_apis/distributedtask/pools".into(),
            status,
            latency_ms: 3,
            caller: Some("Go-http-client/1.1".into()),
        };
        let told = Fact::KubernetesEvent {
            object: "ScaledObject/agents".into(),
            kind: "Warning".into(),
            reason: "KEDAScalerFailed".into(),
            message: "error getting agent pool: 401".into(),
        };
        Log::new()
            .replicas(1, 1)
            .fact(2, Source::Service, answer(401))
            .fact(4, Source::Service, answer(401))
            .fact(4, Source::Kubernetes, told)
            .condition(3, "Unknown", "", "")
            .condition(
                4,
                "False",
                "ScaledObjectCheckFailed",
                "Failed to ensure HPA is correctly created for ScaledObject",
            )
            .queued(60, 1)
            .end(300, Outcome::BoundReached)
    }

    #[test]
    fn a_wrong_token_is_found_with_keda_s_own_words() {
        let finding = wrong_token().only("scaler_not_ready");
        assert!(
            finding.measured.contains("ScaledObjectCheckFailed: Failed to ensure HPA"),
            "{}",
            finding.measured
        );
        assert!(finding.because.contains("error getting agent pool: 401"), "{}", finding.because);
        assert!(
            finding.because.contains("401 to GET /_apis/distributedtask/pools (2 such answers"),
            "{}",
            finding.because
        );
        assert_eq!(wrong_token().verify().verdict, Verdict::Findings);
    }

    #[test]
    fn a_condition_that_passes_is_no_finding() {
        let passing = article().condition(100, "True", "", "").condition(200, "False", "TriggerError", "x");
        assert_eq!(passing.clone().condition(230, "True", "", "").found("scaler_not_ready"), []);
        assert!(
            passing
                .condition(300, "True", "", "")
                .only("scaler_not_ready")
                .measured
                .starts_with("Ready=False for 1m40s")
        );
        assert_eq!(article().condition(4, "True", "ScaledObjectReady", "").found("scaler_not_ready"), []);
    }

    fn hpa(log: Log, at: u64, active: &str) -> Log {
        let conditions = BTreeMap::from([("ScalingActive".to_owned(), active.to_owned())]);
        log.fact(
            at,
            Source::Kubernetes,
            Fact::HpaStatus { hpa: "keda-hpa-agents".into(), current: 1, desired: 1, conditions },
        )
    }

    #[test]
    fn an_hpa_that_cannot_read_for_long_is_found() {
        let failing = hpa(article(), 100, "False/FailedGetExternalMetric");
        assert_eq!(hpa(failing.clone(), 130, "True/ValidMetricFound").found("hpa_not_active"), []);
        assert_eq!(
            hpa(failing, 300, "True/ValidMetricFound").only("hpa_not_active").measured,
            "ScalingActive=False for 3m20s"
        );
        assert_eq!(hpa(article(), 100, "False/ScalingDisabled").found("hpa_not_active"), []);
    }

    #[test]
    fn the_queue_is_read_every_sync_and_at_zero_every_poll() {
        assert_eq!(article().found("queue_not_read"), []);
        assert_eq!(
            article().unread(400, 460).only("queue_not_read").measured,
            "the queue was not read for 1m15s"
        );
        let slow_start = Log::new().ready(80).replicas(1, 1).reads(85, 15, 400);
        assert_eq!(slow_start.end(400, Outcome::DurationReached).found("queue_not_read"), []);
        let polled = |every| {
            let log = Log::new().target(|target| target.min = 0).replicas(1, 0).reads(10, every, 400);
            log.end(400, Outcome::DurationReached).found("queue_not_read").len()
        };
        assert_eq!((polled(30), polled(95)), (0, 4));
    }
}
