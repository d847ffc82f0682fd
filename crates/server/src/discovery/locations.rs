//! The location table: which routes Azure DevOps has, and which of them are modelled.
//!
//! One table, `locations.txt`: ids, areas, names, versions and methods are those of azure-devops-node-api
//! 17.0.1 (its 7.2 previews), azure-devops 7.1.0b4 for Python (what is released in 7.0) and the Go module
//! azure-devops-go-api v7; templates are those of Microsoft's REST reference. The events of a plan and the
//! token of an agent are in none of them (ChristopherHX/runner.server). Routes without a documented template
//! are left out: clients then say themselves that the server does not offer them.

use std::sync::LazyLock;

use serde_json::{Value, json};

/// The latest version that the service knows.
pub(crate) const MAX_VERSION: &str = "7.2";
/// The latest version that is no preview, of resources that are released.
pub(crate) const RELEASED_VERSION: &str = "7.1";
/// What the service says of resources that are previews in every version.
const NEVER_RELEASED: &str = "0.0";

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Location {
    pub(crate) id: &'static str,
    pub(crate) area: &'static str,
    pub(crate) resource: &'static str,
    /// The number of its latest preview.
    pub(crate) version: u16,
    /// Whether it is no preview in some version.
    pub(crate) released: bool,
    pub(crate) template: &'static str,
    /// What clients ask with, and whether that is modelled.
    pub(crate) methods: Vec<(&'static str, bool)>,
    /// The template's segments from `_apis` on.
    segments: Vec<Segment>,
}

/// A segment of a template.
#[derive(Debug, PartialEq, Eq)]
enum Segment {
    /// In lower case.
    Word(String),
    /// `{name}`.
    Value,
    /// `{*name}`: all that is left.
    Rest,
}

static TABLE: LazyLock<Vec<Location>> = LazyLock::new(|| {
    include_str!("locations.txt").lines().filter(|line| !line.starts_with('#')).filter_map(read).collect()
});

/// One line: id, area, resource, version, stage, template, methods. A method that is not modelled has a `!`.
fn read(line: &'static str) -> Option<Location> {
    let mut words = line.split_whitespace();
    let mut next = || words.next();
    let (id, area, resource) = (next()?, next()?, next()?);
    let (version, released, template) = (next()?.parse().ok()?, next()? == "released", next()?);
    let method = |word: &'static str| match word.strip_prefix('!') {
        Some(method) => (method, false),
        None => (word, true),
    };
    let methods = words.map(method).collect();
    let segments = template.split('/').skip_while(|segment| *segment != "_apis").skip(1);
    let segments = segments.map(|segment| match segment {
        "{area}" => Segment::Word(area.to_lowercase()),
        "{resource}" => Segment::Word(resource.to_lowercase()),
        _ if segment.starts_with("{*") => Segment::Rest,
        _ if segment.starts_with('{') => Segment::Value,
        word => Segment::Word(word.to_lowercase()),
    });
    Some(Location { id, area, resource, version, released, template, methods, segments: segments.collect() })
}

impl Location {
    /// How many words of the template the path has, if it matches. Values at the end may be missing.
    fn matches(&self, path: &[String]) -> Option<usize> {
        let mut path = path.iter();
        let mut words = 0;
        for segment in &self.segments {
            match (segment, path.next()) {
                (Segment::Rest, _) => return Some(words),
                (Segment::Word(word), Some(given)) if given.eq_ignore_ascii_case(word) => words += 1,
                (Segment::Value, Some(_) | None) => {}
                (Segment::Word(_), _) => return None,
            }
        }
        path.next().is_none().then_some(words)
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "area": self.area,
            "resourceName": self.resource,
            "routeTemplate": self.template,
            "resourceVersion": self.version,
            "minVersion": "1.0",
            "maxVersion": MAX_VERSION,
            "releasedVersion": if self.released { RELEASED_VERSION } else { NEVER_RELEASED },
        })
    }
}

/// All of them.
pub(crate) fn all() -> &'static [Location] {
    &TABLE
}

/// The resource that a path below its organisation is of: the one whose template has the most words of it.
pub(crate) fn of_path(segments: &[String]) -> Option<&'static Location> {
    let begin = segments.iter().take(2).position(|segment| segment.eq_ignore_ascii_case("_apis"))?;
    let path = &segments[begin + 1..];
    let found = TABLE.iter().filter_map(|location| Some((location.matches(path)?, location)));
    // Of equals the first: `max_by_key` would take the last.
    found.rev().max_by_key(|(words, _)| *words).map(|(_, location)| location)
}

/// A list without locations.
pub(crate) const NONE: &str = r#"{"count":0,"value":[]}"#;

/// The answer to `OPTIONS _apis`, or `OPTIONS _apis/{area}`: the Node client asks area by area, whatever
/// their case, the others ask once.
pub(crate) fn list(area: Option<&str>) -> Value {
    let wanted = |location: &&Location| area.is_none_or(|area| location.area.eq_ignore_ascii_case(area));
    let value: Vec<Value> = TABLE.iter().filter(wanted).map(Location::json).collect();
    json!({ "count": value.len(), "value": value })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::query;

    fn resource(path: &str) -> Option<&'static str> {
        of_path(&query::segments(path)).map(|location| location.template)
    }

    #[test]
    fn every_line_of_the_table_is_read_and_has_an_id_of_its_own() {
        let lines = include_str!("locations.txt").lines().filter(|line| !line.starts_with('#')).count();
        let ids: BTreeSet<&str> = all().iter().map(|location| location.id).collect();
        assert_eq!((all().len(), ids.len()), (lines, lines));
        for location in all() {
            assert!(uuid::Uuid::parse_str(location.id).is_ok(), "{location:?}");
            assert_eq!(location.id, location.id.to_lowercase(), "Python compares them as they are");
            assert!(location.template.contains("_apis/") && !location.methods.is_empty(), "{location:?}");
        }
    }

    #[test]
    fn a_path_belongs_to_the_template_with_the_most_words() {
        let build = "{project}/_apis/{area}/";
        assert_eq!(
            resource("/p/_apis/build/Definitions/7"),
            Some(&*format!("{build}{{resource}}/{{definitionId}}"))
        );
        assert_eq!(
            resource("/p/_apis/build/definitions/templates/x"),
            Some(&*format!("{build}definitions/{{resource}}/{{templateId}}"))
        );
        assert_eq!(resource("/_apis/projects"), Some("_apis/{resource}/{*projectId}"));
        assert_eq!(resource("/_apis/projects/p/properties"), Some("_apis/projects/{projectId}/{resource}"));
    }

    #[test]
    fn values_at_the_end_may_be_missing_and_words_may_not() {
        let agents = Some("_apis/{area}/pools/{poolId}/{resource}/{agentId}");
        assert_eq!(resource("/_apis/distributedtask/pools/7/AGENTS"), agents);
        assert_eq!(resource("/_apis/distributedtask/pools/7/agents/9"), agents);
        assert_eq!(resource("/_apis/distributedtask/pools/7/agents/9/x"), None);
        assert_eq!(resource("/_apis/wit/workitems"), None);
    }

    #[test]
    fn an_area_has_its_own_routes_whatever_its_case() {
        let of = |area| list(area)["count"].as_u64().unwrap_or_default();
        assert_eq!(of(Some("LOCATION")), 3);
        assert!(of(Some("build")) > 0 && of(Some("build")) < of(None));
        assert_eq!(of(Some("wit")), 0);
    }
}
