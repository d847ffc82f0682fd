//! A scenario of two texts, read and planned: what the command line does with files.

use std::collections::BTreeMap;

use azure_devops::{Definition, Demand, JobTemplate};
use model::event::{RunStarted, ScaleTarget};
use model::manifest::{self, Document};
use model::{Millis, Scenario, load};
use semver::Version;
use twin::{Ended, Limits, Request};

/// The organisation's address; it leads nowhere.
const ORGANIZATION_URL: &str = "https://azure-devops.invalid/poolproof";
/// Opens nothing.
const TOKEN: &str = "the-token-of-tests-opens-nothing-0000000000";
/// What a manifest leaves to its reader to fill in, and with what.
const ADDRESS_TO_FILL_IN: &str = "https://dev.azure.com/your-organization";
const TOKEN_TO_FILL_IN: &str = "personal access token, base64";
const KUBERNETES: Version = Version::new(1, 35, 4);

/// When builds are queued, and which definition's.
type Builds = Vec<(Millis, usize)>;

/// A scenario that can be simulated under any seed.
pub(crate) struct Case {
    pub(crate) scenario: Scenario,
    pub(crate) keda: Version,
    documents: Vec<Document>,
    definitions: Vec<Definition>,
    builds: Builds,
    target: ScaleTarget,
}

impl Case {
    /// Reads a scenario, whose jobs take exact times, and its manifests in one text.
    pub(crate) fn read(scenario: &str, manifests: &str, keda: Version) -> Result<Self, String> {
        let loaded = load::scenario_with_places("scenario.yaml", scenario).map_err(debug)?;
        let mut documents = manifest::load("manifest.yml", manifests).map_err(debug)?;
        let targets = manifest::check(&loaded.scenario, &loaded.places, &documents).map_err(debug)?;
        manifest::substitute(
            &mut documents,
            &BTreeMap::from([
                (ADDRESS_TO_FILL_IN.to_owned(), ORGANIZATION_URL.to_owned()),
                (TOKEN_TO_FILL_IN.to_owned(), manifest::base64(TOKEN)),
            ]),
        );
        let left = twin::manifests::not_modelled(&documents);
        if !left.is_empty() {
            return Err(debug(left));
        }
        let scenario = loaded.scenario;
        let (definitions, builds) = plan(&scenario)?;
        let target = targets.scale_target(&keda.to_string(), &KUBERNETES.to_string());
        Ok(Self { scenario, keda, documents, definitions, builds, target })
    }

    /// Simulates it, with a log or without.
    pub(crate) fn run(&self, seed: u64, log: bool, limits: Limits) -> Result<Ended, String> {
        let started = log.then(|| self.started(seed));
        let request = Request {
            scenario: &self.scenario,
            documents: &self.documents,
            organization_url: ORGANIZATION_URL,
            token: TOKEN,
            definitions: &self.definitions,
            builds: &self.builds,
            seed,
            keda: &self.keda,
            kubernetes: &KUBERNETES,
            alignment: None,
            log: started.as_ref().map(|started| (started, &self.target)),
            limits,
        };
        twin::run(&request).map_err(|error| error.to_string())
    }

    fn started(&self, seed: u64) -> RunStarted {
        RunStarted {
            engine: "sim".to_owned(),
            speed: 0,
            seed,
            repetition: 1,
            versions: BTreeMap::from([("keda".to_owned(), self.keda.to_string())]),
            replay: String::new(),
            namespace: "poolproof".to_owned(),
            manifests: Vec::new(),
            scenario: self.scenario.clone(),
        }
    }
}

/// All jobs of a burst take equally long: each burst is one definition.
fn plan(scenario: &Scenario) -> Result<(Vec<Definition>, Builds), String> {
    let pool = &scenario.organization.pools.first().ok_or("no pool")?.name;
    let (mut definitions, mut builds) = (Vec::new(), Builds::new());
    for (at, burst) in scenario.load.iter().enumerate() {
        if burst.duration.least != burst.duration.most {
            return Err("a burst's jobs must take exactly as long as each other".to_owned());
        }
        let demands: Vec<Demand> =
            burst.demands.iter().map(|demand| demand.parse().map_err(debug)).collect::<Result<_, _>>()?;
        let job = |number| JobTemplate::new(format!("job-{number}"), demands.clone(), burst.duration.least);
        definitions.push(Definition::flat(
            format!("burst-{}", at + 1),
            "poolproof",
            pool.clone(),
            (1..=burst.jobs).map(job).collect(),
        ));
        let every = burst.every.unwrap_or_default();
        for time in 0..burst.times {
            let moment = Millis(burst.at.0 + every.0 * u64::from(time));
            builds.extend((0..burst.builds).map(|_| (moment, at)));
        }
    }
    builds.sort_by_key(|(at, _)| *at);
    Ok((definitions, builds))
}

pub(crate) fn debug(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
