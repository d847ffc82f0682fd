//! What a Job does, by the clock.

use model::{Fact, Instant, Millis};

use super::{GRACE, JobSpec, NewJob, PodReplacement, RestartPolicy};
use crate::trial::{START, Trial, running};
use crate::{JobId, Phase, PodId, PodReport, Propagation, Restarts};

fn finished(trial: &Trial) -> Vec<u64> {
    trial.times(|fact| matches!(fact, Fact::KubernetesJobFinished { .. }))
}

fn because(trial: &Trial, job: JobId) -> Option<(bool, &'static str)> {
    trial.cluster.job(job)?.finished().map(|finished| (finished.succeeded, finished.because))
}

#[test]
fn a_job_creates_its_pod_at_once() {
    let mut trial = Trial::new(1, &[110]);
    trial.job(JobSpec::default());
    trial.run_for(1);
    assert!(trial.created()[0] < 100);
    let names: Vec<_> = trial
        .log
        .iter()
        .filter_map(|(_, fact)| match fact {
            Fact::PodCreated { pod, owner } => Some((pod.clone(), owner.clone().unwrap())),
            _ => None,
        })
        .collect();
    let (pod, owner) = &names[0];
    let job = owner.strip_prefix("Job/").unwrap();
    assert!(job.starts_with("agents-") && job.len() == 12, "{job}");
    assert!(pod.starts_with(job) && pod.len() == 18, "{pod}");
}

#[test]
fn a_job_is_complete_a_second_and_three_calls_after_its_pod() {
    let mut trial = Trial::new(1, &[110]);
    let job = trial.job(JobSpec::default());
    trial.run_for(10);
    let ended = trial.now;
    trial.end(PodId(0), Phase::Succeeded);
    trial.run_for(10);
    assert_eq!(because(&trial, job), Some((true, "CompletionsReached")));
    let took = finished(&trial)[0] - ended.0;
    assert!((1_000..1_100).contains(&took), "{took} ms");
    let state = trial.cluster.job(job).unwrap();
    assert_eq!((state.active(), state.succeeded(), state.failed()), (0, 1, 0));
    assert_eq!(state.completion_time(), Some(Instant(finished(&trial)[0])));
    // The pod stays as long as its Job.
    assert_eq!(state.pods(), [PodId(0)]);
}

#[test]
fn events_within_a_second_are_looked_at_together() {
    let mut trial = Trial::new(1, &[110]);
    trial.job(JobSpec::default());
    trial.run_until(Instant(700) + START);
    // The pod became ready half a second ago: that is looked at in another half, and the end with it.
    let ended = trial.now;
    trial.end(PodId(0), Phase::Succeeded);
    trial.run_for(10);
    let took = finished(&trial)[0] - ended.0;
    assert!(took < 700, "{took} ms");
}

#[test]
fn failed_pods_are_replaced_after_10_20_40_seconds() {
    let mut trial = Trial::new(1, &[110]);
    let job = trial.job(JobSpec { backoff_limit: 3, ..JobSpec::default() });
    let mut waits = Vec::new();
    for pod in 0..3 {
        trial.run_for(5);
        let failed = trial.now;
        trial.end(PodId(pod), Phase::Failed);
        trial.run_for(100);
        waits.push((trial.created()[crate::ids::at(pod) + 1] - failed.0).div_ceil(1000));
    }
    // Whole seconds, and a call: a little more than 10 s.
    assert_eq!(waits, [11, 21, 41]);
    assert_eq!(because(&trial, job), None);
    trial.end(PodId(3), Phase::Failed);
    trial.run_for(10);
    assert_eq!(because(&trial, job), Some((false, "BackoffLimitExceeded")));
    assert_eq!(trial.created().len(), 4);
    assert_eq!(trial.cluster.job(job).unwrap().completion_time(), None);
}

#[test]
fn with_a_limit_of_zero_the_first_failure_is_the_last() {
    let mut trial = Trial::new(1, &[110]);
    let job = trial.job(JobSpec { backoff_limit: 0, ..JobSpec::default() });
    trial.run_for(5);
    trial.end(PodId(0), Phase::Failed);
    trial.run_for(2);
    assert_eq!(because(&trial, job), Some((false, "BackoffLimitExceeded")));
}

#[test]
fn a_deleted_pod_is_replaced_10_s_after_the_request() {
    let mut trial = Trial::new(1, &[110]);
    let job = trial.job(JobSpec::default());
    trial.run_for(20);
    let deleted = trial.now;
    trial.with(|cluster, now, out| cluster.delete_pod(now, PodId(0), None, out));
    trial.run_for(30);
    let waited = trial.created()[1] - deleted.0;
    assert!((9_000..10_100).contains(&waited), "{waited} ms");
    assert_eq!(trial.cluster.job(job).unwrap().failed(), 1);
    assert_eq!(trial.pods(), [PodId(1)]);
}

#[test]
fn replacing_failed_pods_only_waits_for_their_end() {
    let mut trial = Trial::new(1, &[110]);
    trial.job(JobSpec { replacement: PodReplacement::Failed, ..JobSpec::default() });
    trial.run_for(20);
    trial.with(|cluster, now, out| cluster.delete_pod(now, PodId(0), Some(Millis::seconds(600)), out));
    // The kubelet of the trial lets it end with Succeeded 3 s later: that is a success.
    trial.run_for(20);
    assert_eq!(trial.created().len(), 1);
    assert_eq!(finished(&trial).len(), 1);
}

#[test]
fn a_pod_that_succeeds_while_it_is_deleted_within_the_batch_is_a_success() {
    let mut trial = Trial::new(1, &[110]);
    let job = trial.job(JobSpec::default());
    trial.run_for(20);
    trial.with(|cluster, now, out| cluster.delete_pod(now, PodId(0), None, out));
    trial.end(PodId(0), Phase::Succeeded);
    trial.with(|cluster, now, out| cluster.finish_pod(now, PodId(0), out));
    trial.run_for(5);
    assert_eq!(because(&trial, job), Some((true, "CompletionsReached")));
    assert_eq!(trial.pods(), []);
}

#[test]
fn the_deadline_runs_from_the_first_look_and_kills() {
    let mut trial = Trial::new(1, &[110]);
    let job = trial.job(JobSpec { active_deadline: Some(Millis::seconds(60)), ..JobSpec::default() });
    trial.run_for(59);
    assert_eq!(trial.terminating(), [0_u64; 0]);
    trial.run_for(2);
    let killed = trial.terminating()[0];
    assert!((59_900..60_100).contains(&killed), "{killed}");
    assert_eq!(because(&trial, job), None, "it waits for its pod");
    trial.run_for(10);
    assert_eq!(because(&trial, job), Some((false, "DeadlineExceeded")));
    let took = finished(&trial)[0] - killed;
    assert!((3_000..4_200).contains(&took), "{took} ms after the pod was told to end");
}

#[test]
fn restarts_in_place_count_against_the_limit() {
    let mut trial = Trial::new(1, &[110]);
    let spec = JobSpec { restart_policy: RestartPolicy::OnFailure, backoff_limit: 2, ..JobSpec::default() };
    let job = trial.job(spec);
    trial.run_for(5);
    let restarted =
        |sum| PodReport { restarts: Restarts { most: sum, most_of_sidecars: 0, sum }, ..running() };
    trial.report(PodId(0), restarted(1));
    trial.run_for(5);
    assert_eq!(trial.terminating(), [0_u64; 0]);
    trial.report(PodId(0), restarted(2));
    trial.run_for(10);
    assert_eq!(trial.terminating().len(), 1);
    assert_eq!(because(&trial, job), Some((false, "BackoffLimitExceeded")));
}

#[test]
fn a_finished_job_goes_when_its_time_is_over() {
    for ttl in [0, 100] {
        let mut trial = Trial::new(1, &[110]);
        let job = trial.job(JobSpec { ttl: Some(Millis::seconds(ttl)), ..JobSpec::default() });
        trial.run_for(10);
        trial.end(PodId(0), Phase::Succeeded);
        trial.run_for(200);
        let deleted = trial.times(|fact| matches!(fact, Fact::KubernetesJobDeleted { .. }))[0];
        let kept = deleted - finished(&trial)[0];
        assert!((ttl * 1000).saturating_sub(1000) <= kept && kept < ttl * 1000 + 300, "{kept} ms");
        assert!(trial.cluster.job(job).is_none());
        assert_eq!(trial.pods(), []);
        assert_eq!(trial.cluster.jobs_of(0).count(), 0);
    }
}

#[test]
fn several_pods_are_created_and_counted() {
    let mut trial = Trial::new(1, &[110]);
    let spec = JobSpec { parallelism: 3, completions: Some(5), ..JobSpec::default() };
    let job = trial.job(spec);
    trial.run_for(5);
    assert_eq!(trial.active().len(), 3);
    trial.end(PodId(0), Phase::Succeeded);
    trial.end(PodId(1), Phase::Succeeded);
    trial.run_for(5);
    assert_eq!(trial.active().len(), 3);
    trial.end(PodId(2), Phase::Succeeded);
    trial.run_for(5);
    assert_eq!(trial.active().len(), 2);
    trial.end(PodId(3), Phase::Succeeded);
    trial.end(PodId(4), Phase::Succeeded);
    trial.run_for(5);
    assert_eq!(because(&trial, job), Some((true, "CompletionsReached")));
}

#[test]
fn without_completions_one_success_is_enough() {
    let mut trial = Trial::new(1, &[110]);
    let job = trial.job(JobSpec { parallelism: 2, completions: None, ..JobSpec::default() });
    trial.run_for(5);
    trial.end(PodId(0), Phase::Succeeded);
    trial.run_for(5);
    assert_eq!((trial.active().len(), because(&trial, job)), (1, None));
    trial.end(PodId(1), Phase::Failed);
    trial.run_for(5);
    assert_eq!(because(&trial, job), Some((true, "CompletionsReached")));
}

#[test]
fn a_job_deleted_in_the_background_is_gone_at_once_and_its_pod_later() {
    let mut trial = Trial::new(1, &[110]);
    let job = trial.job(JobSpec::default());
    trial.run_for(10);
    trial.with(|cluster, now, out| cluster.delete_job(now, job, Propagation::Background, out));
    assert!(trial.cluster.job(job).is_none());
    assert!(matches!(trial.log.last(), Some((_, Fact::KubernetesJobDeleted { .. }))));
    trial.run_for(1);
    assert_eq!(trial.terminating().len(), 1);
    trial.run_for(10);
    assert_eq!(trial.pods(), []);
}

#[test]
fn a_job_deleted_in_the_foreground_waits_for_its_pod() {
    let mut trial = Trial::new(1, &[110]);
    let job = trial.job(JobSpec::default());
    trial.run_for(10);
    trial.with(|cluster, now, out| cluster.delete_job(now, job, Propagation::Foreground, out));
    trial.run_for(2);
    assert!(trial.cluster.job(job).unwrap().is_being_deleted());
    assert_eq!(trial.active(), []);
    trial.run_for(10);
    assert!(trial.cluster.job(job).is_none());
    assert_eq!((trial.pods(), trial.created().len()), (vec![], 1));
}

#[test]
fn an_orphaned_jobs_pod_stays() {
    let mut trial = Trial::new(1, &[110]);
    let job = trial.job(JobSpec::default());
    trial.run_for(10);
    trial.with(|cluster, now, out| cluster.delete_job(now, job, Propagation::Orphan, out));
    trial.run_for(10);
    assert_eq!(trial.active(), [PodId(0)]);
    trial.cluster.stop_manager();
    let now = trial.now;
    trial.cluster.start_manager(now);
    trial.run_for(10);
    assert_eq!(trial.active(), [PodId(0)]);
}

#[test]
fn a_hundred_jobs_share_one_bucket() {
    let mut trial = Trial::new(1, &[200]);
    for _ in 0..100 {
        trial.job(JobSpec::default());
    }
    trial.run_for(60);
    let created = trial.created();
    // Each takes a pod, an event and a status: 300 calls, 30 at once and 20 a second.
    let took = created[99] - created[0];
    assert!((8_000..16_000).contains(&took), "{took} ms");
}

#[test]
fn a_restart_forgets_the_back_off() {
    let mut trial = Trial::new(1, &[110]);
    trial.job(JobSpec::default());
    trial.run_for(5);
    trial.end(PodId(0), Phase::Failed);
    trial.run_for(2);
    trial.cluster.stop_manager();
    trial.run_for(3);
    assert_eq!(trial.created().len(), 1);
    let now = trial.now;
    trial.cluster.start_manager(now);
    trial.run_for(1);
    assert_eq!(trial.created().len(), 2);
}

#[test]
fn an_end_during_a_restart_is_counted_once() {
    let mut trial = Trial::new(1, &[110]);
    let job = trial.job(JobSpec { completions: Some(2), ..JobSpec::default() });
    trial.run_for(5);
    trial.end(PodId(0), Phase::Succeeded);
    // The end is seen a second later; the restart comes in the middle of its calls.
    trial.run_until(trial.now + Millis(1_010));
    trial.cluster.stop_manager();
    trial.run_for(10);
    let now = trial.now;
    trial.cluster.start_manager(now);
    trial.run_for(10);
    assert_eq!(trial.cluster.job(job).unwrap().succeeded(), 1);
    trial.end(PodId(1), Phase::Succeeded);
    trial.run_for(10);
    assert_eq!(because(&trial, job), Some((true, "CompletionsReached")));
    assert_eq!(trial.created().len(), 2);
}

#[test]
fn jobs_are_found_by_whom_they_belong_to() {
    let mut trial = Trial::new(1, &[110]);
    for (scaled_job, generation) in [(0, 1), (1, 7), (0, 2)] {
        let new = NewJob { generate_name: "j-", scaled_job, generation, spec: JobSpec::default() };
        trial.with(|cluster, now, out| cluster.create_job(now, new, out));
    }
    let generations = |of| trial.cluster.jobs_of(of).map(|(_, job)| job.generation()).collect::<Vec<_>>();
    assert_eq!(generations(0), [1, 2]);
    assert_eq!(generations(1), [7]);
    assert_eq!(JobSpec::default().grace, GRACE);
}
