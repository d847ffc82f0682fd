//! `poolproof serve`: a fake Azure DevOps organisation by itself.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use clock::Clock;
use cluster::local::{self, named};
use model::scenario::{self, ParallelJobs};
use model::{Event, MillisRange};
use server::{NewOrganization, Options, Server};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{Outcome, interruption, print};
use crate::arguments::ServeArguments;
use crate::exit::{Exit, Failure};

pub(crate) async fn serve(arguments: ServeArguments) -> Outcome {
    check(&arguments)?;
    let mut interrupted = interruption();
    let token = match &arguments.token_file {
        Some(file) => read_token(file)?,
        None => runner::new_token(),
    };
    let packages = vec![super::package::package()?];
    let clock = match &arguments.cluster {
        Some(name) => named::find(&local::cache()?, name)?.clock(),
        None => Clock::start(arguments.speed),
    };
    let server = Server::start(Options { listen: arguments.listen, clock, packages })
        .await
        .map_err(|error| Failure::environment(format!("cannot listen on {}: {error}", arguments.listen)))?;
    let (events, received) = unbounded_channel();
    let organization = server
        .add_organization(NewOrganization {
            name: arguments.organization.clone(),
            token: token.clone(),
            settings: settings(&arguments)?,
            seed: 1,
            events,
        })
        .map_err(Failure::usage)?;
    print(&format!("{}\n", organization.url()));
    if arguments.token_file.is_none() {
        print(&format!("{token}\n"));
    }
    let record = record(arguments.events.as_deref(), received);
    tokio::select! {
        recorded = record => recorded?,
        _ = interrupted.wait_for(|&interrupted| interrupted) => {}
    }
    server.stop().await;
    Ok(Exit::Passed)
}

fn check(arguments: &ServeArguments) -> Result<(), Failure> {
    let is_open = !arguments.listen.ip().is_loopback();
    if is_open && !arguments.open {
        let address = arguments.listen;
        return Err(Failure::usage(format!(
            "{address} can be reached by others; say --open if that is wanted"
        )));
    }
    if is_open && arguments.token_file.is_none() {
        return Err(Failure::usage("--open needs a token of your own: --token-file FILE"));
    }
    Ok(())
}

fn settings(arguments: &ServeArguments) -> Result<scenario::Organization, Failure> {
    let mut pools: Vec<scenario::Pool> = Vec::new();
    for given in &arguments.pool {
        let (name, id) = match given.rsplit_once('=') {
            None => (given.as_str(), None),
            Some((name, id)) => {
                let id =
                    id.parse().map_err(|_| Failure::usage(format!("--pool {given}: `{id}` is not an id")))?;
                (name, Some(id))
            }
        };
        if name.is_empty() || id == Some(0) {
            return Err(Failure::usage(format!("--pool {given}: a pool has a name, and an id above zero")));
        }
        let id = id.unwrap_or_else(|| pools.iter().map(|pool| pool.id).max().unwrap_or(0) + 1);
        if pools.iter().any(|pool| pool.id == id || pool.name.eq_ignore_ascii_case(name)) {
            return Err(Failure::usage(format!("--pool {given}: there is one with that name or id already")));
        }
        pools.push(scenario::Pool { name: name.to_owned(), id, agents: vec![] });
    }
    Ok(scenario::Organization {
        parallel_jobs: arguments.parallel_jobs.map_or(ParallelJobs::Unlimited, ParallelJobs::Limited),
        assign_delay: MillisRange::default(),
        ..scenario::Organization::with_pools(pools)
    })
}

fn read_token(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(Failure::usage(format!("{} holds no token", file.display())));
    }
    Ok(token.to_owned())
}

/// Appends events to the file as they come; without one, they are dropped.
async fn record(file: Option<&Path>, mut received: UnboundedReceiver<Event>) -> Result<(), Failure> {
    let failed =
        |path: &Path, error| Failure::environment(format!("cannot write {}: {error}", path.display()));
    let mut open = match file {
        Some(path) => {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            Some((path, opened.map_err(|error| failed(path, error))?))
        }
        None => None,
    };
    while let Some(event) = received.recv().await {
        if let Some((path, file)) = &mut open {
            let line = serde_json::to_string(&event).expect("an event is plain data") + "\n";
            file.write_all(line.as_bytes()).map_err(|error| failed(path, error))?;
        }
    }
    Ok(())
}
