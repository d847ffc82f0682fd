//! The table of locations, the routes and `docs/fidelity.md` agree on what is modelled.

use std::collections::BTreeSet;

use axum::http::Method;

use super::locations::{self, Location};
use crate::decoding::{self, Work};
use crate::openapi;
use crate::query::{self, Query};
use crate::routes;

/// Where the documentation lists what is not modelled: a table of methods and routes.
const DOCUMENTATION: &str = include_str!("../../../../docs/fidelity.md");
const HEADING: &str = "## Routes that are not modelled";
/// An id that is one of everything.
const GUID: &str = "11111111-1111-4111-8111-111111111111";

/// A template with its area and resource.
fn template(location: &Location) -> String {
    location.template.replace("{area}", location.area).replace("{resource}", location.resource)
}

/// Paths of a template: with all its values, and without the last one.
fn paths(location: &Location) -> Vec<String> {
    let template = template(location);
    let value = |segment: &str| match segment.trim_matches(['{', '}', '*']) {
        "project" | "scopeIdentifier" => "p".to_owned(),
        "planId" | "timelineId" | "recordId" | "sessionId" | "jobId" | "taskId" | "areaId"
        | "operationId" => GUID.to_owned(),
        "packageType" => "agent".to_owned(),
        "hubName" => "Build".to_owned(),
        "versionString" | "version" => "1.0.0".to_owned(),
        "platform" | "type" | "name" | "tag" | "path" => "x".to_owned(),
        _ => "1".to_owned(),
    };
    let segments: Vec<String> = template
        .split('/')
        .map(|segment| if segment.starts_with('{') { value(segment) } else { segment.to_owned() })
        .collect();
    let ends_with_value = template.ends_with('}');
    let shorter = ends_with_value.then(|| segments[..segments.len() - 1].join("/"));
    [Some(segments.join("/")), shorter].into_iter().flatten().collect()
}

/// Bodies of which at least one is understood, or found wanting, by whatever is modelled.
const BODIES: [&str; 3] = [
    r#"{"status":"cancelling","state":"cancel","name":"JobCompleted","requestId":1,"result":"succeeded"}"#,
    "{}",
    "[]",
];

/// Whether a method is modelled with any of the template's paths and any body.
fn is_modelled(method: &str, location: &Location) -> bool {
    paths(location).iter().any(|path| is_modelled_at(method, path))
}

fn is_modelled_at(method: &str, path: &str) -> bool {
    let method: Method = method.parse().expect("a method");
    let query = Query::parse(&format!("sessionId={GUID}&agentId=1"));
    match routes::find(&method, &query::segments(path)) {
        Ok(Some(route)) => BODIES
            .iter()
            .any(|body| !matches!(decoding::decode(&method, &route, &query, body.as_bytes()), Ok(None))),
        // Nothing, or an id of another kind.
        Ok(None) | Err(_) => false,
    }
}

/// Methods and templates, as the documentation writes them.
fn not_modelled() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for location in locations::all() {
        let template = template(location);
        let methods = location.methods.iter().filter(|(_, modelled)| !modelled);
        found.extend(methods.map(|(method, _)| format!("| {method} | `{template}` |")));
    }
    found
}

#[test]
fn the_table_says_of_every_method_whether_it_is_modelled() {
    let mut wrong = Vec::new();
    for location in locations::all() {
        for (method, said) in &location.methods {
            if is_modelled(method, location) != *said {
                wrong.push(format!("{method} {}: the table says {said}", template(location)));
            }
        }
    }
    assert!(wrong.is_empty(), "locations.txt is wrong about\n{}", wrong.join("\n"));
}

#[test]
fn a_method_that_no_route_of_the_table_has_at_a_path_is_not_modelled() {
    // Two templates may have a path in common.
    let listed: BTreeSet<(String, &str)> = locations::all()
        .iter()
        .flat_map(|location| {
            let methods = location.methods.iter().map(|(method, _)| *method);
            methods.flat_map(|method| paths(location).into_iter().map(move |path| (path, method)))
        })
        .collect();
    let mut wrong = BTreeSet::new();
    for path in locations::all().iter().flat_map(paths) {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if !listed.contains(&(path.clone(), method)) && is_modelled_at(method, &path) {
                wrong.insert(format!("{method} {path}"));
            }
        }
    }
    assert!(wrong.is_empty(), "locations.txt does not have {wrong:#?}");
}

/// What is asked, if any of the bodies can be understood.
fn work(method: &str, path: &str) -> Option<Work> {
    let method: Method = method.parse().expect("a method");
    let query = Query::parse(&format!("sessionId={GUID}&agentId=1"));
    let route = routes::find(&method, &query::segments(path)).ok()??;
    BODIES.iter().find_map(|body| decoding::decode(&method, &route, &query, body.as_bytes()).ok()?)
}

#[test]
fn only_what_the_service_decides_may_be_kept_from_being_written_down() {
    let document = openapi::document();
    let mut seen = (0, 0);
    for location in locations::all() {
        let template = template(location).replace("{*", "{");
        let shorter = template.rsplit_once('/').map_or("", |(shorter, _)| shorter);
        for (form, path) in [&*template, shorter].into_iter().zip(paths(location)) {
            for (method, _) in &location.methods {
                let operation = &document["paths"][format!("/{form}")][method.to_lowercase()];
                let (Some(work), true) = (work(method, &path), operation.is_object()) else { continue };
                let is_decided = matches!(work, Work::Call(_));
                assert_eq!(operation["responses"]["503"].is_object(), is_decided, "{method} {form}");
                if is_decided { seen.0 += 1 } else { seen.1 += 1 }
            }
        }
    }
    assert!(seen.0 > 30 && seen.1 > 5, "{seen:?}");
}

#[test]
fn the_documentation_lists_exactly_what_is_not_modelled() {
    let (_, section) = DOCUMENTATION.split_once(HEADING).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let listed: BTreeSet<String> = section
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("_apis"))
        .map(str::to_owned)
        .collect();
    let expected = not_modelled();
    let missing: Vec<&String> = expected.difference(&listed).collect();
    let too_many: Vec<&String> = listed.difference(&expected).collect();
    assert!(missing.is_empty() && too_many.is_empty(), "missing: {missing:#?}\ntoo many: {too_many:#?}");
}
