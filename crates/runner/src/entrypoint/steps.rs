//! The lives that a start script is put through.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use clock::wall;
use model::event::JobResult;
use model::{Fact, Millis};
use rustix::process::Signal;

use super::process::Script;
use super::trial::{Bench, TO_LEAVE, TO_LISTEN, TO_WORK, Trial};
use super::{Step, Verdict};

/// A life, before it is lived.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) name: &'static str,
    expected: &'static str,
    live: for<'t> fn(&'t mut Trial<'_>) -> Life<'t>,
    applies: fn(&[u8]) -> Result<(), &'static str>,
}

/// Says what was not as expected.
type Life<'t> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 't>>;

pub(super) const ALL: [Plan; 7] = [
    Plan {
        name: "one job",
        expected: "registers, listens, runs a job and is unregistered when the script ends",
        live: |trial| Box::pin(one_job(trial)),
        applies: any,
    },
    Plan {
        name: "TERM while idle",
        expected: "SIGTERM to the script unregisters the agent, and the script ends",
        live: |trial| Box::pin(ended_while_idle(trial, Signal::TERM)),
        applies: any,
    },
    Plan {
        name: "TERM while busy",
        expected: "SIGTERM to the script lets the job end, then unregisters the agent",
        live: |trial| Box::pin(ended_while_busy(trial)),
        applies: any,
    },
    Plan {
        name: "INT while idle",
        expected: "SIGINT to the script unregisters the agent, and the script ends",
        live: |trial| Box::pin(ended_while_idle(trial, Signal::INT)),
        applies: any,
    },
    Plan {
        name: "template",
        expected: "an agent whose name contains `template` stays registered when its script ends",
        live: |trial| Box::pin(template(trial)),
        applies: |text| match text.windows(8).any(|word| word == b"template") {
            true => Ok(()),
            false => Err("the script makes no difference between template agents and others"),
        },
    },
    Plan {
        name: "wrong token",
        expected: "a token that is not accepted makes the script fail, and nothing is registered",
        live: |trial| Box::pin(wrong_token(trial)),
        applies: any,
    },
    Plan {
        name: "two at once",
        expected: "two agents of one pool run a job each and are both unregistered",
        live: |trial| Box::pin(two_at_once(trial)),
        applies: any,
    },
];

fn any(_text: &[u8]) -> Result<(), &'static str> {
    Ok(())
}

const SHORT: Millis = Millis::seconds(2);
/// Long enough for the first attempt to unregister to fall into it on any machine, and over before the second one.
const LONG: Millis = Millis::seconds(25);
/// The script's pause between two attempts to unregister, and some more.
const RETRY: Duration = Duration::from_secs(45);
/// How long a script that runs one job may take to notice that its agent has ended.
const TO_NOTICE: Duration = Duration::from_secs(30);

/// Lives a life and judges it.
pub(super) async fn live(plan: &Plan, bench: &Bench<'_>) -> io::Result<Step> {
    let mut step = Step {
        name: plan.name,
        expected: plan.expected,
        verdict: Verdict::Skipped,
        because: None,
        saw: Vec::new(),
        exit_codes: Vec::new(),
        console: String::new(),
    };
    if let Err(because) = (plan.applies)(bench.text) {
        step.because = Some(because.to_owned());
        return Ok(step);
    }
    let mut trial = Trial::open(bench, plan.name)?;
    let lived = (plan.live)(&mut trial).await;
    step.verdict = if lived.is_ok() { Verdict::Passed } else { Verdict::Failed };
    step.because = lived.err();
    step.saw = std::mem::take(&mut trial.saw);
    step.exit_codes = trial.exit_codes();
    step.console = trial.console();
    trial.close().await;
    Ok(step)
}

fn registered(fact: &Fact) -> bool {
    matches!(fact, Fact::AgentRegistered { .. })
}
fn online(fact: &Fact) -> bool {
    matches!(fact, Fact::AgentOnline { .. })
}
fn removed(fact: &Fact) -> bool {
    matches!(fact, Fact::AgentRemoved { .. })
}
fn refused(fact: &Fact) -> bool {
    matches!(fact, Fact::AgentRemovalRefused { .. })
}
fn received(fact: &Fact) -> bool {
    matches!(fact, Fact::JobRequestReceived { .. })
}
fn succeeded(fact: &Fact) -> bool {
    matches!(fact, Fact::JobRequestFinished { result: JobResult::Succeeded, .. })
}
fn finished(fact: &Fact) -> bool {
    matches!(fact, Fact::JobRequestFinished { .. })
}

fn start(trial: &mut Trial<'_>, agent: &str) -> Result<(), String> {
    trial.start(agent).map_err(|error| format!("the script could not be started: {error}"))
}

fn nobody_left(trial: &Trial<'_>) -> Result<(), String> {
    let left = trial.registered();
    if left.is_empty() { Ok(()) } else { Err(format!("still registered at the end: {}", left.join(", "))) }
}

async fn leaves(trial: &mut Trial<'_>, limit: Duration) -> Result<(), String> {
    if trial.ends(limit).await {
        nobody_left(trial)
    } else {
        Err(format!("the script was still running after {} s", limit.as_secs()))
    }
}

/// Waits for the end of jobs, then for that of scripts that run one job; others are told to end.
async fn works_and_leaves(trial: &mut Trial<'_>, jobs: usize) -> Result<(), String> {
    trial.sees(jobs, finished, "the job's end", TO_WORK).await?;
    if trial.count(succeeded) < jobs {
        return Err("the job did not succeed".to_owned());
    }
    if !trial.ends(TO_NOTICE).await {
        trial.signal(Signal::TERM)?;
    }
    leaves(trial, TO_LEAVE + RETRY).await
}

async fn one_job(trial: &mut Trial<'_>) -> Result<(), String> {
    start(trial, "entrypoint-one")?;
    trial.sees(1, registered, "a registration", TO_LISTEN).await?;
    trial.sees(1, online, "an agent online", TO_LISTEN).await?;
    trial.queue_job(SHORT)?;
    trial.sees(1, received, "the job received", TO_WORK).await?;
    works_and_leaves(trial, 1).await
}

async fn ended_while_idle(trial: &mut Trial<'_>, signal: Signal) -> Result<(), String> {
    start(trial, "entrypoint-idle")?;
    trial.sees(1, online, "an agent online", TO_LISTEN).await?;
    settle().await;
    trial.signal(signal)?;
    leaves(trial, TO_LEAVE).await
}

async fn ended_while_busy(trial: &mut Trial<'_>) -> Result<(), String> {
    start(trial, "entrypoint-busy")?;
    trial.sees(1, online, "an agent online", TO_LISTEN).await?;
    trial.queue_job(LONG)?;
    trial.sees(1, received, "the job received", TO_WORK).await?;
    trial.signal(Signal::TERM)?;
    let left = leaves(trial, Duration::from_millis(LONG.0) + RETRY + TO_LEAVE).await;
    // Whatever became of the agent, the job comes first.
    if trial.count(succeeded) == 0 {
        return Err("the job did not succeed".to_owned());
    }
    left?;
    if trial.count(refused) == 0 {
        return Err("no attempt was made to unregister the agent while it was busy".to_owned());
    }
    Ok(())
}

async fn template(trial: &mut Trial<'_>) -> Result<(), String> {
    start(trial, "entrypoint-template")?;
    trial.sees(1, online, "an agent online", TO_LISTEN).await?;
    settle().await;
    trial.signal(Signal::TERM)?;
    if !trial.ends(TO_LEAVE).await {
        return Err("the script was still running after SIGTERM".to_owned());
    }
    if trial.count(removed) > 0 || trial.registered().is_empty() {
        return Err("the agent was unregistered".to_owned());
    }
    Ok(())
}

async fn wrong_token(trial: &mut Trial<'_>) -> Result<(), String> {
    let started = trial.start_with_wrong_token("entrypoint-stranger");
    started.map_err(|error| format!("the script could not be started: {error}"))?;
    if !trial.ends(TO_LISTEN).await {
        return Err("the script was still running".to_owned());
    }
    if trial.count(registered) > 0 {
        return Err("an agent was registered".to_owned());
    }
    match trial.exit_codes()[..] {
        [Some(0)] => Err("the script ended with exit code 0, as if all had been well".to_owned()),
        _ if trial.console().trim().is_empty() => Err("the script failed without a word".to_owned()),
        _ => Ok(()),
    }
}

async fn two_at_once(trial: &mut Trial<'_>) -> Result<(), String> {
    start(trial, "entrypoint-first")?;
    start(trial, "entrypoint-second")?;
    trial.sees(2, online, "both agents online", TO_LISTEN).await?;
    trial.queue_job(SHORT)?;
    trial.queue_job(SHORT)?;
    trial.sees(2, received, "both jobs received", TO_WORK).await?;
    works_and_leaves(trial, 2).await
}

/// An agent is online a moment before its script waits for it.
async fn settle() {
    wall::pause(Duration::from_millis(500)).await;
}

/// A script with Windows line ends never gets past its first line: the kernel looks for an
/// interpreter whose name ends in a carriage return. This shows what a container would show.
pub(super) async fn line_ends(text: &[u8]) -> io::Result<Step> {
    let folder = tempfile::Builder::new().prefix("poolproof-entrypoint-").tempdir()?;
    std::fs::write(folder.path().join("text"), text)?;
    let environment = BTreeMap::from([("PATH", std::env::var("PATH").unwrap_or_default())]);
    let line = 1 + text.iter().take_while(|byte| **byte != b'\r').filter(|byte| **byte == b'\n').count();
    let mut because = format!("line {line} ends with a carriage return (Windows line ends)");
    let mut step = Step {
        name: "line ends",
        expected: "lines end as Unix ends them",
        verdict: Verdict::Failed,
        because: None,
        saw: Vec::new(),
        exit_codes: Vec::new(),
        console: String::new(),
    };
    if line > 1 {
        step.because = Some(because);
        return Ok(step);
    }
    // Through a shell, since a container's start reports the missing interpreter in such words. The shell makes the
    // file as well: one that this process had open could still be open in some other child of it, and busy.
    let run = ["bash", "-c", r#"cp "$1" "$0" && chmod +x "$0" && exec "$0""#, "./start.sh", "text"];
    let mut script = Script::start(&run, &[], folder.path(), folder.path(), &environment)?;
    let ended = wall::timeout(TO_LEAVE, script.ended()).await.is_ok();
    because.push_str(if ended { ", and the script fails at its first line" } else { "" });
    step.because = Some(because);
    step.exit_codes = vec![script.exit_code()];
    step.console = script.console(3);
    script.end().await;
    Ok(step)
}
