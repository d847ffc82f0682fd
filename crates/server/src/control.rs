//! The control routes, which the real service does not have: definitions with
//! their jobs, and pools with placeholders, under `{organization}/_poolproof`.
//!
//! ```json
//! { "name": "ci", "pool": "keda-pool", "jobs": [{ "duration": "5m", "demands": ["java"], "count": 4 }] }
//! { "name": "keda-pool", "agents": [{ "name": "template", "capabilities": { "java": "17" } }] }
//! ```

use azure_devops::{BuildCall, Call, Definition, Demand, JobTemplate, Refusal};
use model::{Millis, scenario};
use serde::Deserialize;

use crate::decoding::read;

/// The project of definitions that name none.
const PROJECT: &str = "poolproof";
/// The most jobs that one entry may stand for.
const MAX_COUNT: u32 = 10_000;
/// The longest texts of a job, its name and its demands together, in bytes: each copy has them.
const MAX_JOB_TEXT: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DefinitionBody {
    name: String,
    project: Option<String>,
    pool: String,
    jobs: Vec<JobBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JobBody {
    name: Option<String>,
    #[serde(default)]
    demands: Vec<String>,
    duration: Millis,
    #[serde(default = "one")]
    count: u32,
}

fn one() -> u32 {
    1
}

/// Reads a definition.
pub(crate) fn definition(body: &[u8]) -> Result<Definition, Refusal> {
    let body: DefinitionBody = read(body)?;
    let total = body.jobs.iter().fold(0_u32, |total, job| total.saturating_add(job.count));
    if total > MAX_COUNT {
        return Err(Refusal::Invalid(format!("A definition names at most {MAX_COUNT} jobs.")));
    }
    let mut jobs: Vec<JobTemplate> = Vec::new();
    for job in body.jobs {
        let texts =
            job.demands.iter().map(String::len).sum::<usize>() + job.name.as_ref().map_or(0, String::len);
        if texts > MAX_JOB_TEXT {
            return Err(Refusal::Invalid(format!(
                "A job's name and demands have at most {MAX_JOB_TEXT} bytes."
            )));
        }
        let demands = job.demands.iter().map(|text| text.parse()).collect::<Result<Vec<Demand>, _>>();
        let demands = demands.map_err(|error| Refusal::Invalid(error.to_string()))?;
        for copy in 1..=job.count {
            let name = match (&job.name, job.count) {
                (Some(name), 1) => name.clone(),
                (Some(name), _) => format!("{name} {copy}"),
                (None, _) => format!("Job {}", jobs.len() + 1),
            };
            jobs.push(JobTemplate::new(name, demands.clone(), job.duration));
        }
    }
    let project = body.project.unwrap_or_else(|| PROJECT.to_owned());
    Ok(Definition::flat(body.name, project, body.pool, jobs))
}

/// Reads a project.
pub(crate) fn project(body: &[u8]) -> Result<Call, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ProjectBody {
        name: String,
        #[serde(default)]
        public: bool,
    }
    let ProjectBody { name, public } = read(body)?;
    Ok(BuildCall::DefineProject { name, public }.into())
}

/// Reads a pool.
pub(crate) fn pool(body: &[u8]) -> Result<Call, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct PoolBody {
        name: String,
        #[serde(default)]
        agents: Vec<scenario::Placeholder>,
    }
    let body: PoolBody = read(body)?;
    Ok(Call::CreatePool { name: body.name, placeholders: body.agents })
}

#[cfg(test)]
mod tests {
    use model::MillisRange;

    use super::*;

    #[test]
    fn an_entry_stands_for_as_many_jobs_as_it_says() {
        let body = br#"{"name":"ci","pool":"p","jobs":[{"duration":"5m","count":2},{"name":"lint","duration":"1s"}]}"#;
        let definition = definition(body).expect("a definition");
        let names: Vec<&str> = definition.jobs().map(|job| job.name.as_str()).collect();
        assert_eq!(names, ["Job 1", "Job 2", "lint"]);
        assert_eq!(
            definition.jobs().next().map(|job| job.duration),
            Some(MillisRange::exactly(Millis::minutes(5)))
        );
        assert_eq!(definition.project, "poolproof");
    }

    #[test]
    fn a_definition_that_cannot_be_read_says_why() {
        for body in [
            r#"{"name":"ci","pool":"p","jobs":[{"duration":"long"}]}"#,
            r#"{"name":"ci","pool":"p","jobs":[{"duration":"1s","demands":["os -like x"]}]}"#,
            r#"{"name":"ci","pool":"p","jobs":[{"duration":"1s","count":4000000000}]}"#,
            r#"{"name":"ci","pool":"p","jobs":[],"joobs":[]}"#,
        ] {
            assert!(matches!(definition(body.as_bytes()), Err(Refusal::Invalid(_))), "{body}");
        }
    }
}
