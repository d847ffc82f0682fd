//! The machine alone, under random shapes, results and cancellations.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn shape(stage: usize, depends_on: &[usize], jobs: usize, max_parallel: usize) -> PhaseShape {
    let condition = Condition::Succeeded;
    PhaseShape { stage, depends_on: depends_on.to_vec(), condition, jobs, max_parallel }
}

fn one_stage(phases: Vec<PhaseShape>) -> Outline {
    let stage =
        StageShape { depends_on: Vec::new(), condition: Condition::Succeeded, phases: 0..phases.len() };
    Outline { stages: vec![stage], phases }
}

#[test]
fn a_phase_queues_no_more_than_it_may_and_the_next_as_one_ends() {
    let outline = one_stage(vec![shape(0, &[], 3, 2)]);
    let mut queue = Vec::new();
    let mut progress = Progress::begin(&outline, &[], &mut queue);
    assert_eq!(std::mem::take(&mut queue), [(0, 0), (0, 1)]);
    progress.job_ended(&outline, 0, JobResult::Succeeded, &mut queue);
    assert_eq!(std::mem::take(&mut queue), [(0, 2)]);
    progress.job_ended(&outline, 0, JobResult::Succeeded, &mut queue);
    assert_eq!(progress.result(), None);
    progress.job_ended(&outline, 0, JobResult::Succeeded, &mut queue);
    assert_eq!((queue.len(), progress.result()), (0, Some(JobResult::Succeeded)));
}

#[test]
fn what_depends_on_a_failure_is_skipped_unless_it_wants_one() {
    let mut phases = vec![shape(0, &[], 1, 1), shape(0, &[0], 1, 1), shape(0, &[0], 1, 1)];
    phases[2].condition = Condition::Failed;
    let outline = one_stage(phases);
    let mut queue = Vec::new();
    let mut progress = Progress::begin(&outline, &[], &mut queue);
    queue.clear();
    progress.job_ended(&outline, 0, JobResult::Abandoned, &mut queue);
    assert_eq!(progress.phase(1), Standing::Ended(JobResult::Skipped));
    assert_eq!(std::mem::take(&mut queue), [(2, 0)]);
    progress.job_ended(&outline, 2, JobResult::Succeeded, &mut queue);
    assert_eq!(progress.result(), Some(JobResult::Failed));
}

#[test]
fn a_success_runs_what_wants_one_and_skips_what_wants_a_failure() {
    let mut phases = vec![shape(0, &[], 1, 1), shape(0, &[0], 1, 1), shape(0, &[0], 1, 1)];
    phases[2].condition = Condition::Failed;
    let outline = one_stage(phases);
    let mut queue = Vec::new();
    let mut progress = Progress::begin(&outline, &[], &mut queue);
    queue.clear();
    progress.job_ended(&outline, 0, JobResult::SucceededWithIssues, &mut queue);
    assert_eq!(queue, [(1, 0)]);
    assert_eq!(progress.phase(2), Standing::Ended(JobResult::Skipped));
}

#[test]
fn a_cancelled_build_queues_only_what_always_runs() {
    let mut phases = vec![shape(0, &[], 3, 1), shape(0, &[0], 1, 1), shape(0, &[0], 2, 2)];
    phases[2].condition = Condition::Always;
    let outline = one_stage(phases);
    let mut queue = Vec::new();
    let mut progress = Progress::begin(&outline, &[], &mut queue);
    queue.clear();
    progress.cancel(&outline, None, &mut queue);
    assert_eq!(queue, [], "the one that runs has to end first");
    progress.job_ended(&outline, 0, JobResult::Canceled, &mut queue);
    assert_eq!(progress.phase(1), Standing::Ended(JobResult::Skipped));
    assert_eq!(queue, [(2, 0), (2, 1)]);
}

#[test]
fn a_build_that_was_cut_short_did_not_succeed() {
    let outline = one_stage(vec![shape(0, &[], 1, 1), shape(0, &[0], 1, 1)]);
    let mut queue = Vec::new();
    let mut progress = Progress::begin(&outline, &[], &mut queue);
    progress.cancel(&outline, None, &mut queue);
    progress.job_ended(&outline, 0, JobResult::Succeeded, &mut queue);
    assert_eq!(progress.result(), Some(JobResult::Canceled));
}

#[test]
fn a_cancelled_stage_takes_no_other_with_it() {
    let stage = |depends_on: &[usize], phases| StageShape {
        depends_on: depends_on.to_vec(),
        condition: Condition::Succeeded,
        phases,
    };
    let outline = Outline {
        stages: vec![stage(&[], 0..1), stage(&[], 1..2), stage(&[0], 2..3)],
        phases: vec![shape(0, &[], 1, 1), shape(1, &[], 2, 1), shape(2, &[], 1, 1)],
    };
    let mut queue = Vec::new();
    let mut progress = Progress::begin(&outline, &[], &mut queue);
    assert_eq!(std::mem::take(&mut queue), [(0, 0), (1, 0)]);
    progress.cancel(&outline, Some(0), &mut queue);
    progress.job_ended(&outline, 0, JobResult::Canceled, &mut queue);
    assert_eq!(progress.stage(2), Standing::Ended(JobResult::Skipped));
    progress.job_ended(&outline, 1, JobResult::Succeeded, &mut queue);
    assert_eq!(queue, [(1, 1)]);
}

#[test]
fn a_stage_that_is_left_out_holds_nobody_up() {
    let stage = |depends_on: &[usize], phases| StageShape {
        depends_on: depends_on.to_vec(),
        condition: Condition::Succeeded,
        phases,
    };
    let outline = Outline {
        stages: vec![stage(&[], 0..1), stage(&[0], 1..2)],
        phases: vec![shape(0, &[], 1, 1), shape(1, &[], 1, 1)],
    };
    let mut queue = Vec::new();
    let mut progress = Progress::begin(&outline, &[0], &mut queue);
    assert_eq!((queue.as_slice(), progress.stage(0)), (&[(1, 0)][..], Standing::Ended(JobResult::Skipped)));
    progress.job_ended(&outline, 1, JobResult::Succeeded, &mut queue);
    assert_eq!(progress.result(), Some(JobResult::Succeeded));
    queue.clear();
    let whole = Progress::begin(&outline, &[], &mut queue);
    assert_eq!((queue.as_slice(), whole.stage(1)), (&[(0, 0)][..], Standing::Pending));
}

fn a_condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        4 => Just(Condition::Succeeded),
        1 => Just(Condition::Failed),
        1 => Just(Condition::SucceededOrFailed),
        1 => Just(Condition::Always),
    ]
}

fn a_result() -> impl Strategy<Value = JobResult> {
    prop_oneof![
        6 => Just(JobResult::Succeeded),
        1 => Just(JobResult::SucceededWithIssues),
        1 => Just(JobResult::Failed),
        1 => Just(JobResult::Canceled),
        1 => Just(JobResult::Skipped),
        1 => Just(JobResult::Abandoned),
    ]
}

/// What one stage or phase depends on, as bits: only what stands before it.
fn before(bits: u8, places: Range<usize>) -> Vec<usize> {
    let first = places.start;
    places.filter(|place| bits >> ((place - first) % 8) & 1 == 1).collect()
}

prop_compose! {
    fn a_phase()(condition in a_condition(), bits: u8, jobs in 1_usize..5, max_parallel in 1_usize..6)
        -> (Condition, u8, usize, usize) {
        (condition, bits, jobs, max_parallel)
    }
}

prop_compose! {
    fn an_outline()(stages in prop::collection::vec(
        (a_condition(), any::<u8>(), prop::collection::vec(a_phase(), 1..4)), 1..4)) -> Outline {
        let mut outline = Outline::default();
        for (stage, (condition, bits, phases)) in stages.into_iter().enumerate() {
            let first = outline.phases.len();
            for (condition, bits, jobs, max_parallel) in phases {
                let depends_on = before(bits, first..outline.phases.len());
                outline.phases.push(PhaseShape { stage, depends_on, condition, jobs, max_parallel });
            }
            let phases = first..outline.phases.len();
            outline.stages.push(StageShape { depends_on: before(bits, 0..stage), condition, phases });
        }
        outline
    }
}

#[derive(Debug, Clone)]
enum Step {
    End { pick: usize, result: JobResult },
    Cancel { stage: Option<usize> },
}

fn a_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (any::<usize>(), a_result()).prop_map(|(pick, result)| Step::End { pick, result }),
        1 => prop::option::of(0_usize..4).prop_map(|stage| Step::Cancel { stage }),
    ]
}

/// What an onlooker knows: who was queued, who has ended how.
#[derive(Default)]
struct Seen {
    running: Vec<JobPlace>,
    queued: BTreeSet<JobPlace>,
    ended: BTreeMap<JobPlace, JobResult>,
    cancelled: bool,
}

impl Seen {
    /// Checks what was queued, at the moment that it was.
    fn note(&mut self, outline: &Outline, progress: &Progress, queue: &mut Vec<JobPlace>) {
        for place in queue.drain(..) {
            assert!(self.queued.insert(place), "{place:?} was queued twice");
            self.running.push(place);
            let shape = &outline.phases[place.0];
            assert!(place.1 < shape.jobs, "{place:?} is no job of its phase");
            for before in &shape.depends_on {
                assert!(progress.phase(*before).result().is_some(), "{place:?} did not wait for {before}");
                self.assert_over(*before);
            }
            for stage in &outline.stages[shape.stage].depends_on {
                assert!(
                    progress.stage(*stage).result().is_some(),
                    "{place:?} did not wait for stage {stage}"
                );
                outline.stages[*stage].phases.clone().for_each(|phase| self.assert_over(phase));
            }
            let at_once = self.running.iter().filter(|(phase, _)| *phase == place.0).count();
            assert!(at_once <= shape.max_parallel, "{at_once} jobs of phase {} at once", place.0);
        }
    }

    fn assert_over(&self, phase: usize) {
        assert!(self.running.iter().all(|(other, _)| *other != phase), "phase {phase} still runs");
    }
}

proptest! {
    /// No job is queued twice or before its time, no more at once than may be, none is lost, and the
    /// build ends when its jobs have.
    #[test]
    fn jobs_come_once_in_order_and_in_measure(
        outline in an_outline(), steps in prop::collection::vec(a_step(), 0..80)) {
        let mut queue = Vec::new();
        let mut seen = Seen::default();
        let mut progress = Progress::begin(&outline, &[], &mut queue);
        seen.note(&outline, &progress, &mut queue);
        let left = std::iter::repeat_n(Step::End { pick: 0, result: JobResult::Succeeded }, 100);
        for step in steps.into_iter().chain(left) {
            match step {
                Step::Cancel { stage } => {
                    seen.cancelled = true;
                    progress.cancel(&outline, stage, &mut queue);
                }
                Step::End { pick, result } if !seen.running.is_empty() => {
                    let place = seen.running.swap_remove(pick % seen.running.len());
                    prop_assert!(seen.ended.insert(place, result).is_none());
                    progress.job_ended(&outline, place.0, result, &mut queue);
                }
                Step::End { .. } => {}
            }
            seen.note(&outline, &progress, &mut queue);
            prop_assert_eq!(progress.result().is_some(), seen.running.is_empty(), "it ends with its jobs");
        }
        let all: usize = outline.phases.iter().map(|phase| phase.jobs).sum();
        prop_assert_eq!(all - progress.to_come(&outline), seen.queued.len());
        for (number, shape) in outline.phases.iter().enumerate() {
            let queued = seen.queued.iter().filter(|(phase, _)| *phase == number).count();
            match progress.phase(number) {
                Standing::Ended(JobResult::Skipped) if queued == 0 => {}
                Standing::Ended(_) if seen.cancelled => prop_assert!(queued <= shape.jobs),
                Standing::Ended(_) => prop_assert_eq!(queued, shape.jobs, "no job of phase {} is lost", number),
                standing => prop_assert!(false, "phase {number} is {standing:?} at the end"),
            }
        }
        let failed = seen.ended.values().any(|result| severity(*result) == severity(JobResult::Failed));
        prop_assert_eq!(progress.result() == Some(JobResult::Failed), failed);
    }
}
