//! Every scenario of the project is read, and its manifests fit it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use model::manifest::{self, Document, Scaler, Targets};
use model::{load, scenario::Substitute};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")
}

fn files() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).expect("a folder of scenarios");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    files.sort();
    assert!(files.len() >= 6, "there are scenarios");
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn loaded(path: &Path) -> (load::Loaded, Vec<Document>) {
    let loaded = load::scenario_with_places(&path.display().to_string(), &read(path))
        .unwrap_or_else(|problems| panic!("{problems:#?}"));
    let load = |file: &String| {
        manifest::load(file, &read(&folder().join(file))).unwrap_or_else(|problems| panic!("{problems:#?}"))
    };
    let documents = loaded.scenario.manifests.iter().flat_map(load).collect();
    (loaded, documents)
}

fn targets(name: &str) -> Targets {
    let (loaded, documents) = loaded(&folder().join(name));
    manifest::check(&loaded.scenario, &loaded.places, &documents)
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[test]
fn every_scenario_fits_its_manifests() {
    for path in files() {
        let (loaded, mut documents) = loaded(&path);
        let checked = manifest::check(&loaded.scenario, &loaded.places, &documents);
        assert!(checked.is_ok(), "{checked:#?}");

        let value = |what: &Substitute| match what {
            Substitute::OrganizationUrl => "http://127.0.0.1:8080/article".to_owned(),
            Substitute::PersonalAccessToken => "token".to_owned(),
            Substitute::PersonalAccessTokenBase64 => manifest::base64("token"),
        };
        let texts: BTreeMap<String, String> =
            loaded.scenario.substitute.iter().map(|(text, what)| (text.clone(), value(what))).collect();
        let counts = manifest::substitute(&mut documents, &texts);
        assert_eq!(
            counts.keys().collect::<Vec<_>>(),
            texts.keys().collect::<Vec<_>>(),
            "every text was replaced"
        );
        let left =
            documents.iter().any(|document| document.value().to_string().contains("your-organization"));
        assert!(!left, "{}: something is left to fill in", path.display());
    }
}

#[test]
fn every_scenario_names_its_schema_and_itself() {
    let mut names = BTreeSet::new();
    for path in files() {
        let head = "# yaml-language-server: $schema=../schema/scenario.schema.json\n";
        assert!(read(&path).starts_with(head), "{} does not begin with its schema", path.display());
        let scenario = loaded(&path).0.scenario;
        assert_eq!(path.file_stem().and_then(|stem| stem.to_str()), Some(scenario.name.as_str()));
        assert!(names.insert(scenario.name));
    }
}

#[test]
fn the_article_s_manifests_state_what_the_article_states() {
    let targets = targets("article.yaml");
    assert_eq!(targets.scaler, Scaler::ScaledObject);
    assert_eq!((targets.min, targets.max), (1, 5));
    let event = targets.scale_target("2.21.0", "1.35.4");
    assert_eq!(event.workload, "Deployment/azdevops-deployment");
    assert_eq!(
        (event.polling_interval_s, event.cooldown_s, event.stabilization_s, event.grace_s),
        (30, 300, 300, 30)
    );
    assert_eq!(event.behavior, None);
    let metadata: Vec<(&str, &str)> =
        event.triggers[0].metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(metadata, [("organizationURLFromEnv", "AZP_URL"), ("poolID", "18")]);

    let (_, documents) = loaded(&folder().join("article.yaml"));
    let objects: Vec<String> = documents.iter().map(Document::object).collect();
    assert_eq!(
        objects,
        [
            "Secret/azdevops",
            "Deployment/azdevops-deployment",
            "Secret/pipeline-auth",
            "TriggerAuthentication/pipeline-trigger-auth",
            "ScaledObject/azure-pipelines-scaledobject",
        ]
    );
}

#[test]
fn a_scaled_job_has_a_strategy_and_no_cooldown() {
    let targets = targets("scaledjob-scale-in.yaml");
    assert_eq!(targets.scaler, Scaler::ScaledJob);
    let event = targets.scale_target("2.21.0", "1.35.4");
    assert_eq!(
        (event.workload.as_str(), event.strategy.as_deref()),
        ("Job/azdevops-agents", Some("default"))
    );
    assert_eq!((event.min, event.max, event.cooldown_s, event.stabilization_s), (0, 5, 0, 0));
}

#[test]
fn the_two_scale_in_scenarios_have_the_same_load() {
    let load = |name: &str| loaded(&folder().join(name)).0.scenario.load;
    assert_eq!(load("article-scale-in.yaml"), load("scaledjob-scale-in.yaml"));
}
