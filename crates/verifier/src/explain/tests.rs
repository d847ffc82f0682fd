//! Explanations of small logs.

use model::Source;
use model::event::{JobResult, Outcome};
use model::fault::Program;
use serde_json::json;

use super::*;
use crate::testing::{Log, POOL, WORKLOAD, article, busy_agents_killed};
use model::Fact;

fn steps(log: &Log) -> Vec<Step> {
    let explanation = explain(log.events(), None);
    let entries = explanation.objects.into_iter().flat_map(|story| story.entries);
    entries.filter_map(|entry| if let Entry::Step(step) = entry { Some(step) } else { None }).collect()
}

fn because(log: &Log) -> Vec<String> {
    steps(log).into_iter().map(|step| step.because).collect()
}

fn reads(log: &Log) -> Vec<Reads> {
    let explanation = explain(log.events(), None);
    let entries = explanation.objects.into_iter().flat_map(|story| story.entries);
    entries.filter_map(|entry| if let Entry::Reads(reads) = entry { Some(reads) } else { None }).collect()
}

#[test]
fn the_hpas_window_explains_each_reduction() {
    let because = because(&article());
    assert_eq!(because[0], "HPA: 4 wanted for 4 jobs");
    assert!(because[1].starts_with("HPA: window of 300s held 4 until 10:50.0 (wanted last at 05:50.0"));
    assert!(because[2].ends_with("is now 0 for 0 jobs, minimum 1"), "{}", because[2]);
}

#[test]
fn growth_limit_and_maximum_explain_raises() {
    let burst = |max| {
        let log = Log::new().target(|target| target.max = max).replicas(1, 1).reads(20, 15, 200);
        let log = (1..=50).fold(log, |log, request| log.queued(60, request));
        log.replicas(66, 4).replicas(81, 8).replicas(96, 16).end(200, Outcome::DurationReached)
    };
    let told = because(&burst(100));
    assert_eq!(told[0], "HPA: 50 wanted for 50 jobs, growth limit 4");
    assert_eq!(told[2], "HPA: 50 wanted for 50 jobs, growth limit 2x8 = 16");
    assert!(because(&burst(16))[2].contains("growth limit 2x8 = 16"));
    let bounded = burst(12).without(|fact| matches!(fact, Fact::Replicas { spec: 16, .. })).replicas(96, 12);
    assert_eq!(because(&bounded)[2], "HPA: 50 wanted for 50 jobs, maxReplicaCount 12");
}

/// Two replicas a minute, raised to 6 at 66; one is taken away at 96, another at 111.
fn policies(raised: u32) -> Log {
    let behavior = json!({
        "scaleUp": { "policies": [{ "type": "Pods", "value": 2, "periodSeconds": 60 }] },
        "scaleDown": { "stabilizationWindowSeconds": 0 }
    });
    let log = Log::new().target(|target| (target.behavior, target.stabilization_s) = (Some(behavior), 0));
    let log = log.target(|target| target.max = 20).replicas(1, 5).reads(20, 15, 200);
    let log = (1..=5).fold(log, |log, request| log.queued(10, request));
    let log = log.finished(90, 1, 1, JobResult::Succeeded).finished(100, 2, 2, JobResult::Succeeded);
    let log = (6..=20).fold(log, |log, request| log.queued(120, request));
    log.replicas(96, 4).replicas(111, 3).replicas(126, raised).end(200, Outcome::DurationReached)
}

#[test]
fn what_was_taken_away_within_a_policys_period_may_be_added_again() {
    // Three at the sync, two taken away within the minute, two more allowed.
    assert!(steps(&policies(7)).iter().all(|step| step.explained), "{:?}", because(&policies(7)));
    assert!(steps(&policies(9)).iter().any(|step| !step.explained));
    assert_eq!(policies(7).found("raise_beyond_growth_limit"), []);
    assert_eq!(policies(9).only("raise_beyond_growth_limit").bound, "at most 7");
}

#[test]
fn a_step_that_the_rules_do_not_lead_to_is_not_explained() {
    let log = article().replicas(400, 2);
    let step = steps(&log).into_iter().find(|step| step.to == 2).expect("the step");
    assert!(
        !step.explained && step.because.starts_with("not explained: the HPA's rules lead from 4 to 4"),
        "{step:?}"
    );
    assert!(explain(log.events(), None).not_explained >= 1);
    let cron = article().target(|target| target.triggers[0].kind = "cron".into());
    assert!(because(&cron)[0].contains("not have the values of a trigger of type cron"));
}

#[test]
fn keda_leaves_zero_for_work_and_returns_after_its_cooldown() {
    let told = because(&busy_agents_killed());
    assert_eq!(told[0], "KEDA: active, from 0 to 1: the poll at 01:15.0 counted 2 jobs");
    assert!(told[2].starts_with("KEDA: cooldown of 60s over since 02:15.0, from 2 to 0"), "{}", told[2]);
    // No poll counted work, and a poll that did is too late.
    let unseen = Log::new().target(|target| target.min = 0).replicas(1, 0).reads(15, 30, 200).replicas(50, 1);
    let told = because(&unseen.end(200, Outcome::DurationReached));
    assert!(told[0].starts_with("not explained: the last poll, at 00:45.0, counted no job"), "{}", told[0]);
}

#[test]
fn a_zero_during_the_cooldown_or_while_work_is_seen_is_not_explained() {
    let early = busy_agents_killed().target(|target| target.cooldown_s = 300);
    assert!(because(&early)[2].contains("not over before 06:15.0"), "{}", because(&early)[2]);
    let busy = busy_agents_killed().keda("2.21.0");
    assert!(because(&busy)[2].contains("still counted 2 jobs"), "{}", because(&busy)[2]);
}

#[test]
fn who_wrote_the_replicas_is_known_where_the_log_has_it() {
    let written = |at, writer: &str, replicas| {
        let writer = writer.to_owned();
        let fact = Fact::ScaleWritten { workload: WORKLOAD.into(), writer, replicas, status: 200 };
        article().fact(at, Source::Kubernetes, fact)
    };
    let by_hand = steps(&written(400, "kubernetes-admin", 2).replicas(400, 2));
    let step = by_hand.into_iter().find(|step| step.to == 2).expect("the step");
    assert_eq!((step.by, step.because.as_str()), (Actor::Other, "`kubernetes-admin` set the replicas to 2"));
    assert_eq!(steps(&written(66, "hpa", 4))[0].by, Actor::Hpa);
}

#[test]
fn the_hpas_own_reads_tell_polls_from_syncs_and_what_was_answered() {
    let asked = |log: Log, at, count: i64| {
        let metric = format!("s0-azure-pipelines-{POOL}");
        let fact = Fact::HpaRead { metric, status: 200, latency_ms: 50, value_milli: Some(count * 1000) };
        log.fact(at, Source::Kubernetes, fact)
    };
    let log = Log::new().target(|target| target.min = 0).replicas(1, 1).reads(20, 15, 100).queued(60, 1);
    let log = asked(asked(log, 35, 0), 65, 3).queued(60, 2).queued(60, 3).replicas(66, 3);
    let log = log.end(100, Outcome::DurationReached);
    let (polls, syncs) =
        reads(&log).iter().fold((0, 0), |sum, read| (sum.0 + read.polls, sum.1 + read.hpa_syncs));
    assert_eq!((polls, syncs), (4, 2));
    assert_eq!(because(&log)[0], "HPA: 3 wanted for 3 jobs");
}

#[test]
fn rows_tell_whether_they_count_and_reads_with_nothing_new_are_one() {
    let all = reads(&busy_agents_killed());
    let forgotten = &all[2];
    assert_eq!((forgotten.reads, forgotten.triggers[0].count), (27, 0));
    assert!(forgotten.triggers[0].rows.iter().all(|row| !row.counts && row.because.contains("2.20.2")));
    let failing = article().answered(206, 503, 10);
    assert!(reads(&failing).iter().any(|read| read.failed.as_deref() == Some("answered 503")));
}

#[test]
fn after_a_restart_of_the_controllers_the_hpa_protects_what_it_finds() {
    let log = Log::new().replicas(1, 1).reads(20, 15, 700).job(1, 1, (60, 63, 100)).job(2, 2, (60, 63, 100));
    let log = log.replicas(66, 2).restarted(300, Program::KubeControllerManager).replicas(622, 1);
    let told = because(&log.end(700, Outcome::DurationReached));
    // The sync at 305 finds two replicas and holds them to 605.
    assert!(
        told[1].contains("held 2 until 10:05.0 (wanted last at 05:05.0 for the replicas that the HPA found"),
        "{}",
        told[1]
    );
}

#[test]
fn edits_change_the_rules_and_are_told() {
    let patch = json!({ "spec": { "maxReplicaCount": 2 } }).as_object().expect("an object").clone();
    let log = article().edited(200, "ScaledObject/agents", patch).replicas(215, 2);
    let step = steps(&log).into_iter().find(|step| step.at.0 == 215_000).expect("the step");
    assert_eq!(step.because, "HPA: 4 is above maxReplicaCount 2, lowered at once");
    assert!(explain(log.events(), None).render(100, false).contains("maxReplicaCount 5 becomes 2"));
}

#[test]
fn a_scaled_jobs_polls_explain_what_they_made() {
    let log = Log::scaled_job().reads(15, 30, 300).queued(60, 1).queued(60, 2);
    let log = log.kubernetes_job("agents-a", 76, Some(200)).kubernetes_job("agents-b", 77, None);
    let log = log.kubernetes_job("agents-c", 226, None).end(300, Outcome::DurationReached);
    let told = because(&log);
    assert_eq!(told[0], "KEDA's ScaledJob: 2 Jobs made, default strategy: maxScale 2 - running 0 = 2");
    assert_eq!(told[1], "Kubernetes' Job controller: agents-a ended");
    assert_eq!(told[2], "KEDA's ScaledJob: 1 Job made, default strategy: maxScale 2 - running 1 = 1");
    let nothing: Vec<String> = reads(&log).into_iter().filter_map(|reads| reads.decision).collect();
    assert_eq!(nothing[0], "KEDA's ScaledJob: no Job made, default strategy: maxScale 2 - running 2 = 0");
    let more = log.kubernetes_job("agents-d", 108, None);
    assert!(because(&more)[1].starts_with("not explained: 1 Job made, but the strategy leads to 0 Jobs"));
}

#[test]
fn a_moment_tells_what_holds() {
    let at = |log: &Log, second: u64| {
        let moment = explain(log.events(), Some(Instant(second * 1000))).moment.expect("a moment");
        moment.objects.into_iter().next().expect("an object")
    };
    let moment = at(&article(), 600);
    let text = moment.state.join("\n");
    assert!(text.contains("window of 300s holds 4 until 10:50.0"), "{text}");
    assert_eq!(moment.last_step.map(|step| step.to), Some(4));
    assert_eq!(moment.last_read.map(|read| read.from.0), Some(590_000));
    let cooling = at(&busy_agents_killed(), 120).state.join("\n");
    assert!(
        cooling.contains("cooldown of 60s before 0 counts from 01:15.0 and is over at 02:15.0, in 15s"),
        "{cooling}"
    );
    assert_eq!(at(&article(), 0).last_read, None);
}

#[test]
fn explanations_are_pleasant_to_read() {
    let log =
        article().job(9, 1, (400, 401, 420)).answered(206, 503, 10).finished(421, 9, 1, JobResult::Succeeded);
    insta::assert_snapshot!("explained_80", explain(log.events(), None).render(80, false));
    insta::assert_snapshot!(
        "moment_80",
        explain(article().events(), Some(Instant(600_000))).render(80, false)
    );
    let empty = explain(Vec::new(), Some(Instant(5)));
    assert!(empty.render(80, false).contains("names no ScaledObject"));
    for width in [80, 120] {
        let text = explain(busy_agents_killed().events(), None).render(width, false);
        assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
    }
}
