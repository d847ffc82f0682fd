//! One life: an organisation, the scripts in it, and what has been seen so far.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use azure_devops::{Definition, JobTemplate};
use clock::wall;
use model::scenario::{Organization as Settings, ParallelJobs, Pool};
use model::{Event, Fact, Millis, MillisRange};
use rustix::process::Signal;
use server::{NewOrganization, Organization, Server};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::process::Script;
use super::{Sighting, is_told};

/// What every life shares.
pub(super) struct Bench<'a> {
    pub(super) server: &'a Server,
    pub(super) text: &'a [u8],
    pub(super) arguments: &'a [String],
}

const POOL: &str = "entrypoint-pool";
const TOKEN: &str = "e2dqp7xw4hsz6mvt3lkb5nrgcyja2f8u9o1i7e4s6p3x5z2w4q6r";
const WRONG_TOKEN: &str = "wr0ngpq7xw4hsz6mvt3lkb5nrgcyja2f8u9o1i7e4s6p3x5z2w4q";
/// How long a script may take to have its agent listen: it downloads and unpacks a package.
pub(super) const TO_LISTEN: Duration = Duration::from_secs(300);
/// How long a job may take to reach a listening agent and end there, beside its own duration.
pub(super) const TO_WORK: Duration = Duration::from_secs(120);
/// How long a script may take to leave when nothing holds it up.
pub(super) const TO_LEAVE: Duration = Duration::from_secs(60);
const CONSOLE_LINES: usize = 12;

/// One life under way.
pub(super) struct Trial<'a> {
    bench: &'a Bench<'a>,
    organization: Organization,
    events: UnboundedReceiver<Event>,
    pub(super) saw: Vec<Sighting>,
    scripts: Vec<(Script, TempDir)>,
}

impl<'a> Trial<'a> {
    /// An empty pool in an organisation of its own.
    pub(super) fn open(bench: &'a Bench<'a>, name: &str) -> io::Result<Self> {
        let (sender, events) = unbounded_channel();
        let pool = Pool { name: POOL.to_owned(), id: 1, agents: Vec::new() };
        let organization = bench.server.add_organization(NewOrganization {
            name: name.replace(' ', "-"),
            token: TOKEN.to_owned(),
            settings: Settings {
                parallel_jobs: ParallelJobs::Unlimited,
                assign_delay: MillisRange::exactly(Millis(200)),
                job_lock: Millis::minutes(10),
                session_expiry: Millis::minutes(5),
                quirks: model::quirks::Quirks::default(),
                pools: vec![pool],
            },
            seed: 1,
            events: sender,
        });
        let organization = organization.map_err(io::Error::other)?;
        Ok(Self { bench, organization, events, saw: Vec::new(), scripts: Vec::new() })
    }

    /// Starts the script as an agent of that name.
    pub(super) fn start(&mut self, agent: &str) -> io::Result<()> {
        self.start_with_token(agent, TOKEN)
    }

    /// Starts the script with a token that the organisation does not know.
    pub(super) fn start_with_wrong_token(&mut self, agent: &str) -> io::Result<()> {
        self.start_with_token(agent, WRONG_TOKEN)
    }

    fn start_with_token(&mut self, agent: &str, token: &str) -> io::Result<()> {
        let folder = tempfile::Builder::new().prefix("poolproof-entrypoint-").tempdir()?;
        // The folder that the script sees holds the script alone, as its image's does.
        let home = folder.path().join("azp");
        std::fs::create_dir(&home)?;
        std::fs::write(home.join("start.sh"), self.bench.text)?;
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, token)?;
        let environment = BTreeMap::from([
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("HOME", folder.path().display().to_string()),
            ("HOSTNAME", agent.to_owned()),
            ("LANG", "C".to_owned()),
            ("TARGETARCH", agent::PLATFORM.to_owned()),
            ("AZP_URL", self.organization.url()),
            ("AZP_TOKEN_FILE", token_file.display().to_string()),
            ("AZP_POOL", POOL.to_owned()),
            ("AZP_AGENT_NAME", agent.to_owned()),
        ]);
        let run = ["bash", "./start.sh"];
        let script = Script::start(&run, self.bench.arguments, &home, folder.path(), &environment)?;
        self.scripts.push((script, folder));
        Ok(())
    }

    /// Queues a build of one job.
    pub(super) fn queue_job(&self, duration: Millis) -> Result<(), String> {
        let job = JobTemplate::new("Job", Vec::new(), duration);
        let definition =
            Definition::flat(format!("takes {duration}"), "entrypoint", POOL.to_owned(), vec![job]);
        let name = definition.name.clone();
        self.organization.define(definition).map_err(|refusal| refusal.to_string())?;
        match self.organization.queue_build(&name) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(format!("the pool refused a build: {refusal}")),
        }
    }

    /// Sends every script a signal.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), String> {
        for (script, _) in &self.scripts {
            script.signal(signal).map_err(|error| format!("no signal could be sent: {error}"))?;
        }
        Ok(())
    }

    pub(super) fn count(&self, which: fn(&Fact) -> bool) -> usize {
        self.saw.iter().filter(|sighting| which(&sighting.fact)).count()
    }

    /// Waits until `many` such facts were seen.
    pub(super) async fn sees(
        &mut self,
        many: usize,
        which: fn(&Fact) -> bool,
        what: &str,
        limit: Duration,
    ) -> Result<(), String> {
        let seen = wall::timeout(limit, async {
            while self.count(which) < many {
                self.next().await?;
            }
            Ok(())
        });
        match seen.await {
            Ok(seen) => seen.map_err(|reason: String| format!("{what} was not seen: {reason}")),
            Err(_) => Err(format!("{what} was not seen within {} s", limit.as_secs())),
        }
    }

    /// Waits for the next event, or for a script's end, which ends the waiting once nothing is left
    /// to be told.
    async fn next(&mut self) -> Result<(), String> {
        let Self { events, scripts, .. } = self;
        let running: Vec<_> = scripts
            .iter_mut()
            .filter(|(script, _)| !script.has_ended())
            .map(|(script, _)| Box::pin(script.ended()))
            .collect();
        if running.is_empty() {
            // What the service told before the scripts ended is in the channel already.
            let event = events.try_recv().map_err(|_| "the script has ended".to_owned())?;
            drop(running);
            self.note(event);
            return Ok(());
        }
        let event = tokio::select! {
            biased;
            event = events.recv() => Some(event.ok_or("the organisation is gone")?),
            (ended, ..) = futures_util::future::select_all(running) => {
                ended.map_err(|error| error.to_string())?;
                None
            }
        };
        if let Some(event) = event {
            self.note(event);
        }
        Ok(())
    }

    fn note(&mut self, event: Event) {
        if is_told(&event.fact) {
            self.saw.push(Sighting { at: event.at, fact: event.fact });
        }
    }

    /// Waits until every script has ended; false if one has not.
    pub(super) async fn ends(&mut self, limit: Duration) -> bool {
        let ended = wall::timeout(limit, async {
            while self.scripts.iter().any(|(script, _)| !script.has_ended()) {
                if self.next().await.is_err() {
                    break;
                }
            }
        });
        let in_time = ended.await.is_ok();
        while let Ok(event) = self.events.try_recv() {
            self.note(event);
        }
        in_time
    }

    /// The names of the agents that are registered.
    pub(super) fn registered(&self) -> Vec<String> {
        self.organization.agents().into_iter().map(|agent| agent.name).collect()
    }

    pub(super) fn exit_codes(&self) -> Vec<Option<i32>> {
        self.scripts.iter().map(|(script, _)| script.exit_code()).collect()
    }

    pub(super) fn console(&self) -> String {
        let consoles: Vec<String> =
            self.scripts.iter().map(|(script, _)| script.console(CONSOLE_LINES)).collect();
        consoles.join("\n--\n")
    }

    /// Ends what is left of the scripts, and their folders.
    pub(super) async fn close(self) {
        for (script, folder) in self.scripts {
            script.end().await;
            drop(folder);
        }
        self.organization.remove();
    }
}
