//! `poolproof serve`: a fake Azure DevOps organisation by itself.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use azure_devops::{Definition, Refusal, Switches};
use clock::Clock;
use cluster::local::{self, named};
use model::pipeline::Served;
use model::scenario::{self, ParallelJobs};
use model::{Event, MillisRange, load};
use server::{Limits, NewOrganization, Options, Organization, Server, State, StateError, Survive, Tls};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{Outcome, interruption, print};
use crate::arguments::ServeArguments;
use crate::exit::{Exit, Failure};
use crate::problems;

pub(crate) async fn serve(arguments: ServeArguments) -> Outcome {
    check(&arguments)?;
    let mut interrupted = interruption();
    let tls = tls(&arguments)?;
    let state = arguments.state.as_deref().map(|folder| state(folder, &arguments)).transpose()?;
    let kept_seed = state.as_ref().and_then(State::seed);
    let (token, is_told) = match (&arguments.token_file, &arguments.state) {
        (Some(file), _) => (read_token(file)?, false),
        (None, Some(folder)) => (kept_token(&folder.join(TOKEN))?, true),
        (None, None) => (runner::new_token(), true),
    };
    let packages = vec![super::package::package()?];
    let clock = match (&arguments.cluster, &state) {
        (Some(name), _) => named::find(&local::cache()?, name)?.clock(),
        (None, Some(state)) => state.clock(arguments.speed),
        (None, None) => Clock::start(arguments.speed),
    };
    let options = Options { listen: arguments.listen, clock, packages };
    let server = Server::start_encrypted(options, Limits::default(), tls)
        .await
        .map_err(|error| Failure::environment(format!("cannot listen on {}: {error}", arguments.listen)))?;
    let (events, mut received) = unbounded_channel();
    let config = arguments.config.as_deref().map(read_config).transpose()?;
    let new = NewOrganization {
        name: arguments.organization.clone(),
        token: token.clone(),
        settings: match &config {
            Some(config) => config.organization.clone(),
            None => settings(&arguments)?,
        },
        seed: arguments.seed.or(kept_seed).unwrap_or_else(runner::new_seed),
        events,
    };
    let organization = match state {
        None => server.add_organization(new).map_err(Failure::usage)?,
        Some(state) => {
            let switches = Switches::of(&new.settings.quirks);
            server.add_organization_kept(new, switches, state).map_err(of_state)?
        }
    };
    if let Some(config) = &config {
        set_up(&organization, config).map_err(Failure::usage)?;
    }
    let mut log = Log::open(arguments.events.as_deref())?;
    print(&format!("{}\n", organization.url()));
    if is_told {
        print(&format!("{token}\n"));
    }
    tokio::select! {
        recorded = log.record(&mut received) => recorded?,
        _ = interrupted.wait_for(|&interrupted| interrupted) => {}
    }
    server.stop().await;
    // Whatever was answered was told before, and is in the log when this process is gone.
    received.close();
    log.record(&mut received).await?;
    Ok(Exit::Passed)
}

/// The token of a state that was begun without one.
const TOKEN: &str = "token";

/// Who can be reached by others has a token that somebody chose.
fn check(arguments: &ServeArguments) -> Result<(), Failure> {
    if !arguments.listen.ip().is_loopback() && arguments.token_file.is_none() {
        let address = arguments.listen;
        return Err(Failure::usage(format!(
            "--listen {address} can be reached by others, so it needs a token of your own: --token-file FILE"
        )));
    }
    Ok(())
}

fn tls(arguments: &ServeArguments) -> Result<Option<Tls>, Failure> {
    if let (Some(certificate), Some(key)) = (&arguments.tls_cert, &arguments.tls_key) {
        return Tls::read(certificate, key).map(Some).map_err(Failure::usage);
    }
    let Some(folder) = &arguments.tls_self_signed else { return Ok(None) };
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let address = arguments.listen.ip();
    if !address.is_unspecified() && !address.is_loopback() {
        names.push(address.to_string());
    }
    names.extend(arguments.tls_name.iter().cloned());
    let made = Tls::self_signed(folder, &names).map_err(Failure::environment)?;
    eprintln!("clients have to trust {}", made.certificate.display());
    Ok(Some(made.tls))
}

fn state(folder: &Path, arguments: &ServeArguments) -> Result<State, Failure> {
    let survive = match arguments.state_sync {
        crate::arguments::Survive::Process => Survive::Process,
        crate::arguments::Survive::Machine => Survive::Machine,
    };
    let state = State::open(folder, survive).map_err(of_state)?;
    if state.torn() > 0 {
        eprintln!("{}: cut off {} bytes that were never answered", folder.display(), state.torn());
    }
    Ok(match arguments.state_tail {
        Some(bytes) => state.with_tail(bytes),
        None => state,
    })
}

/// What the user can put right by other arguments is wrong usage.
fn of_state(error: StateError) -> Failure {
    match error {
        StateError::Io { .. } | StateError::Damaged { .. } => Failure::environment(error),
        _ => Failure::usage(error),
    }
}

/// The token in a state's folder, which is made with the first start.
fn kept_token(file: &Path) -> Result<String, Failure> {
    // One that was not written to its end was never told.
    if let Ok(token) = read_token(file) {
        return Ok(token);
    }
    let token = runner::new_token();
    let failed = |error| Failure::environment(format!("cannot write {}: {error}", file.display()));
    let mut options = OpenOptions::new();
    let mut open =
        options.write(true).create(true).truncate(true).mode(OWN_FILE).open(file).map_err(failed)?;
    // One that was there has the mode that it had.
    open.set_permissions(Permissions::from_mode(OWN_FILE)).map_err(failed)?;
    writeln!(open, "{token}").map_err(failed)?;
    Ok(token)
}

/// A token is its owner's.
const OWN_FILE: u32 = 0o600;

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

/// The configuration of a file; its mistakes are shown where they stand.
fn read_config(file: &Path) -> Result<Served, Failure> {
    let shown = file.display().to_string();
    let bytes =
        std::fs::read(file).map_err(|error| Failure::usage(format!("cannot read {shown}: {error}")))?;
    let read = load::text(&shown, &bytes).map_err(|problem| vec![problem]);
    read.and_then(|text| load::served(&shown, text)).map_err(|mistakes| {
        let count = mistakes.len();
        eprint!("{}", problems::render(&mistakes, std::io::stderr().is_terminal()));
        Failure::usage(format!("{count} mistakes in {shown}"))
    })
}

/// Makes the projects and definitions of a configuration. One of the same name takes the place of another.
fn set_up(organization: &Organization, config: &Served) -> Result<(), Refusal> {
    for project in &config.projects {
        organization.define_project(&project.name, project.public)?;
    }
    let pool = config.organization.pools.first().map_or("", |pool| pool.name.as_str());
    for stated in &config.definitions {
        let definition =
            Definition::of_scenario(stated, pool).map_err(|error| Refusal::Invalid(error.to_string()))?;
        organization.define(definition)?;
    }
    Ok(())
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

/// The file that events go to; without one, they are dropped.
struct Log<'a>(Option<(&'a Path, File)>);

impl<'a> Log<'a> {
    fn open(path: Option<&'a Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self(None)) };
        let opened = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self(Some((path, opened.map_err(|error| not_written(path, &error))?))))
    }

    /// Appends events as they come, until no more can come.
    async fn record(&mut self, received: &mut UnboundedReceiver<Event>) -> Result<(), Failure> {
        while let Some(event) = received.recv().await {
            if let Some((path, file)) = &mut self.0 {
                let line = serde_json::to_string(&event).expect("an event is plain data") + "\n";
                file.write_all(line.as_bytes()).map_err(|error| not_written(path, &error))?;
            }
        }
        Ok(())
    }
}

fn not_written(path: &Path, error: &io::Error) -> Failure {
    Failure::environment(format!("cannot write {}: {error}", path.display()))
}
