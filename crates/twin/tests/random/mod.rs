//! Random scenarios, run and checked: shared by the test of the invariants and the long run of them.

mod invariants;
mod jobs;
mod pods;
mod scale;

use std::collections::BTreeMap;

use azure_devops::{Definition, Demand, JobTemplate};
use model::event::{RunStarted, ScaleTarget};
use model::manifest::{self, Document};
use model::stream::{below, stream};
use model::{Millis, Scenario, load};
use semver::Version;
use twin::generate::{self, MANIFEST, Recipe};
use twin::{Ended, Limits, Request};

/// The organisation's address; it leads nowhere.
const ORGANIZATION_URL: &str = "https://azure-devops.invalid/poolproof";
/// Opens nothing.
const TOKEN: &str = "the-token-of-random-scenarios-opens-nothing-0000000000";
/// What a manifest leaves to its reader to fill in, and with what.
const ADDRESS_TO_FILL_IN: &str = "https://dev.azure.com/your-organization";
const TOKEN_TO_FILL_IN: &str = "personal access token, base64";
/// Far more events than a random scenario has: one that reaches this goes round in circles.
const MOST_EVENTS: u64 = 2_000_000;
/// One scenario of so many is as long as those that are held against the real thing.
const LONG_ONE_OF: u64 = 4;
/// One of the versions that are modelled for each set of rules, with the first and last of them.
const KEDA: [&str; 21] = [
    "2.9.0", "2.9.3", "2.10.0", "2.10.1", "2.11.2", "2.12.0", "2.12.1", "2.13.1", "2.14.0", "2.14.1",
    "2.15.1", "2.16.1", "2.17.3", "2.18.0", "2.18.1", "2.18.3", "2.19.0", "2.20.0", "2.20.2", "2.21.0",
    "2.21.1",
];
const KUBERNETES: Version = Version::new(1, 35, 4);

/// A random scenario on a random version of KEDA.
pub(crate) struct Trial {
    pub(crate) recipe: Recipe,
    pub(crate) scenario: Scenario,
    pub(crate) keda: Version,
    documents: Vec<Document>,
    definitions: Vec<Definition>,
    builds: Vec<(Millis, usize)>,
    target: ScaleTarget,
    started: RunStarted,
}

impl Trial {
    /// The trial of this seed.
    pub(crate) fn draw(seed: u64) -> Result<Self, String> {
        let mut dice = stream(seed, "trial");
        let limits =
            if below(&mut dice, LONG_ONE_OF) == 0 { generate::Limits::REAL } else { generate::Limits::SHORT };
        let keda = KEDA[usize::try_from(below(&mut dice, KEDA.len() as u64)).map_err(text)?];
        Self::of(Recipe::draw(seed, limits), Version::parse(keda).map_err(text)?)
    }

    /// The trial of a recipe.
    pub(crate) fn of(recipe: Recipe, keda: Version) -> Result<Self, String> {
        let written = recipe.written();
        let loaded = load::scenario_with_places("random.yaml", &written.scenario).map_err(debug)?;
        let mut documents = manifest::load(MANIFEST, &written.manifest).map_err(debug)?;
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
        let (definitions, builds) = plan(&recipe, &scenario)?;
        let started = started(&scenario, recipe.seed, &keda);
        let target = targets.scale_target(&keda.to_string(), &KUBERNETES.to_string());
        Ok(Self { recipe, scenario, keda, documents, definitions, builds, target, started })
    }

    /// Simulates it.
    pub(crate) fn run(&self, log: bool) -> Result<Ended, String> {
        let request = Request {
            scenario: &self.scenario,
            documents: &self.documents,
            organization_url: ORGANIZATION_URL,
            token: TOKEN,
            definitions: &self.definitions,
            builds: &self.builds,
            seed: self.recipe.seed,
            keda: &self.keda,
            kubernetes: &KUBERNETES,
            alignment: None,
            log: log.then_some((&self.started, &self.target)),
            limits: Limits { events: MOST_EVENTS },
        };
        twin::run(&request).map_err(text)
    }

    /// Simulates it with a log and without, and says what of it cannot be.
    pub(crate) fn check(&self) -> Result<Ended, String> {
        let told = self.run(true)?;
        let silent = self.run(false)?;
        if (told.outcome, told.statistics) != (silent.outcome, silent.statistics) {
            return Err(format!(
                "the log changes the run: {:?} {:?} with it, {:?} {:?} without",
                told.outcome, told.statistics, silent.outcome, silent.statistics
            ));
        }
        invariants::check(self, &told)?;
        Ok(told)
    }
}

/// A burst's jobs take equally long: each burst is one definition.
fn plan(recipe: &Recipe, scenario: &Scenario) -> Result<(Vec<Definition>, Vec<(Millis, usize)>), String> {
    let pool = &scenario.organization.pools.first().ok_or("no pool")?.name;
    let (mut definitions, mut builds) = (Vec::new(), Vec::new());
    for (at, burst) in recipe.bursts.iter().enumerate() {
        let demands: Vec<Demand> =
            burst.demands.iter().map(|demand| demand.parse().map_err(debug)).collect::<Result<_, _>>()?;
        let job = |number| JobTemplate {
            name: format!("job-{number}"),
            demands: demands.clone(),
            duration: burst.duration,
        };
        definitions.push(Definition {
            name: format!("burst-{}", at + 1),
            project: "poolproof".to_owned(),
            pool: pool.clone(),
            jobs: (1..=burst.jobs).map(job).collect(),
        });
        builds.extend((0..burst.builds).map(|_| (burst.at, at)));
    }
    builds.sort_by_key(|(at, _)| *at);
    Ok((definitions, builds))
}

fn started(scenario: &Scenario, seed: u64, keda: &Version) -> RunStarted {
    RunStarted {
        engine: "sim".to_owned(),
        speed: 0,
        seed,
        repetition: 1,
        versions: BTreeMap::from([("keda".to_owned(), keda.to_string())]),
        replay: String::new(),
        namespace: "poolproof".to_owned(),
        manifests: Vec::new(),
        scenario: scenario.clone(),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn debug(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
