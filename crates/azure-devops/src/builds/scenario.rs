//! Definitions as scenarios state them.

use model::pipeline;
use model::{Millis, MillisRange};

use super::BuildPriority;
use super::definition::{Condition, DEFAULT_STAGE, Definition, JobTemplate, Phase, Stage};
use crate::demands::{Demand, NotADemand};
use crate::projects::DEFAULT_PROJECT;

/// What YAML calls a job without a name (seen in public payloads).
const UNNAMED_JOB: &str = "Job";

impl Definition {
    /// The definition that a scenario states; without a pool of its own it is `pool`'s.
    ///
    /// # Errors
    /// If something among the demands is none. `model::load` has looked at them before.
    pub fn of_scenario(stated: &pipeline::Definition, pool: &str) -> Result<Self, NotADemand> {
        let stages = if stated.stages.is_empty() {
            vec![Stage::of(DEFAULT_STAGE, phases(&stated.jobs)?)]
        } else {
            stages(&stated.stages)?
        };
        Ok(Self {
            name: stated.name.clone(),
            project: stated.project.clone().unwrap_or_else(|| DEFAULT_PROJECT.to_owned()),
            pool: stated.pool.clone().unwrap_or_else(|| pool.to_owned()),
            priority: stated.priority.into(),
            stages,
        })
    }
}

/// A stage that does not say waits for the one before.
fn stages(stated: &[pipeline::Stage]) -> Result<Vec<Stage>, NotADemand> {
    let mut before: Option<&str> = None;
    let mut stages = Vec::with_capacity(stated.len());
    for stage in stated {
        let depends_on =
            stage.depends_on.clone().unwrap_or_else(|| before.map(str::to_owned).into_iter().collect());
        stages.push(Stage {
            name: stage.name.clone(),
            depends_on,
            condition: stage.condition.into(),
            phases: phases(&stage.jobs)?,
        });
        before = Some(&stage.name);
    }
    Ok(stages)
}

fn phases(stated: &[pipeline::Job]) -> Result<Vec<Phase>, NotADemand> {
    stated.iter().enumerate().map(|(number, job)| phase(number, job)).collect()
}

fn phase(number: usize, job: &pipeline::Job) -> Result<Phase, NotADemand> {
    let name = job.name.clone().unwrap_or_else(|| match number {
        0 => UNNAMED_JOB.to_owned(),
        number => format!("{UNNAMED_JOB} {}", number + 1),
    });
    let template = |name: String, duration: MillisRange, more: &[String]| {
        let demands = job.demands.iter().chain(more).map(|text| text.parse());
        Ok(JobTemplate { name, demands: demands.collect::<Result<Vec<Demand>, _>>()?, duration })
    };
    let jobs = if let Some(copies) = job.parallel {
        (1..=copies).map(|copy| template(format!("{name} {copy}"), job.duration, &[])).collect()
    } else if job.matrix.is_empty() {
        template(name.clone(), job.duration, &[]).map(|job| vec![job])
    } else {
        let leg = |leg: &pipeline::Leg| {
            template(format!("{name} {}", leg.name), leg.duration.unwrap_or(job.duration), &leg.demands)
        };
        job.matrix.iter().map(leg).collect()
    };
    Ok(Phase {
        name,
        depends_on: job.depends_on.clone(),
        condition: job.condition.into(),
        max_parallel: job.max_parallel,
        timeout: Some(job.timeout).filter(|timeout| *timeout != Millis::ZERO),
        cancel_timeout: Some(job.cancel_timeout),
        pool: job.pool.clone(),
        jobs: jobs?,
    })
}

impl From<pipeline::Condition> for Condition {
    fn from(condition: pipeline::Condition) -> Self {
        match condition {
            pipeline::Condition::Succeeded => Self::Succeeded,
            pipeline::Condition::Failed => Self::Failed,
            pipeline::Condition::SucceededOrFailed => Self::SucceededOrFailed,
            pipeline::Condition::Always => Self::Always,
        }
    }
}

impl From<pipeline::Priority> for BuildPriority {
    fn from(priority: pipeline::Priority) -> Self {
        match priority {
            pipeline::Priority::Low => Self::Low,
            pipeline::Priority::BelowNormal => Self::BelowNormal,
            pipeline::Priority::Normal => Self::Normal,
            pipeline::Priority::AboveNormal => Self::AboveNormal,
            pipeline::Priority::High => Self::High,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(json: &str) -> Definition {
        let stated: pipeline::Definition = serde_json::from_str(json).expect("a definition");
        Definition::of_scenario(&stated, "pool").expect("demands")
    }

    #[test]
    fn a_matrix_makes_a_job_of_each_variant() {
        let definition = stated(
            r#"{"name":"ci","jobs":[{"name":"test","duration":"1m","demands":["docker"],"max_parallel":1,
                "matrix":[{"name":"java","demands":["java"]},{"name":"node","duration":"2m"}]}]}"#,
        );
        let [Stage { name, phases, .. }] = definition.stages.as_slice() else { panic!("one stage") };
        assert_eq!((name.as_str(), phases.len(), phases[0].max_parallel), (DEFAULT_STAGE, 1, Some(1)));
        let [java, node] = phases[0].jobs.as_slice() else { panic!("two jobs") };
        assert_eq!((java.name.as_str(), java.demands.len()), ("test java", 2));
        assert_eq!((node.name.as_str(), node.demands.len()), ("test node", 1));
        assert_eq!(node.duration, MillisRange::exactly(Millis::minutes(2)));
        assert_eq!((phases[0].timeout, definition.pool.as_str()), (Some(Millis::minutes(60)), "pool"));
    }

    #[test]
    fn a_job_has_as_many_copies_as_it_says_and_a_name_of_its_own() {
        let definition = stated(
            r#"{"name":"ci","jobs":[{"duration":"1s","parallel":2,"timeout":"0s"},{"name":"lint","duration":"1s"}]}"#,
        );
        let names: Vec<&str> = definition.jobs().map(|job| job.name.as_str()).collect();
        assert_eq!(names, ["Job 1", "Job 2", "lint"]);
        assert_eq!(definition.stages[0].phases[0].timeout, None, "for ever");
    }

    #[test]
    fn a_stage_waits_for_the_one_before_unless_it_says_otherwise() {
        let definition = stated(
            r#"{"name":"ci","stages":[{"name":"a","jobs":[{"duration":"1s"}]},{"name":"b","jobs":[{"duration":"1s"}]},
                {"name":"c","depends_on":[],"condition":"always","jobs":[{"duration":"1s"}]}]}"#,
        );
        let before: Vec<&[String]> =
            definition.stages.iter().map(|stage| stage.depends_on.as_slice()).collect();
        assert_eq!(before, [&[][..], &["a".to_owned()][..], &[][..]]);
        assert_eq!(definition.stages[2].condition, Condition::Always);
    }
}
