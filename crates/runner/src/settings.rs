//! Settings of KEDA's objects that are swept: each value of each takes the place of what
//! the manifests say, so that one scenario shows what a setting does.

use model::Millis;
use model::manifest::{self, Document, Object};
use serde_json::{Map, Value as Json};

/// The longest window that an HPA takes, in seconds (k8s:pkg/apis/autoscaling/validation/validation.go,
/// `MaxStabilizationWindowSeconds`).
const LONGEST_WINDOW_S: u64 = 3600;
/// The longest polling interval that makes sense, in seconds.
const LONGEST_POLL_S: u64 = 86_400;
/// The most replicas.
const MOST_REPLICAS: u64 = 10_000;

/// What can be swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// How often KEDA polls.
    PollingInterval,
    /// How a ScaledJob counts.
    Strategy,
    /// For how long a ScaledObject's HPA remembers a higher wish before it takes replicas away.
    Stabilization,
    /// The fewest replicas: agents that wait.
    MinReplicaCount,
    /// The most replicas.
    MaxReplicaCount,
}

/// A setting with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Which.
    pub setting: Setting,
    /// The value, as people write it.
    pub written: String,
    value: Json,
}

impl Setting {
    const ALL: [Self; 5] = [
        Self::PollingInterval,
        Self::Strategy,
        Self::Stabilization,
        Self::MinReplicaCount,
        Self::MaxReplicaCount,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PollingInterval => "pollingInterval",
            Self::Strategy => "strategy",
            Self::Stabilization => "stabilization",
            Self::MinReplicaCount => "minReplicaCount",
            Self::MaxReplicaCount => "maxReplicaCount",
        }
    }

    /// The setting of this name; `replicas` are the fewest.
    ///
    /// # Errors
    /// Which there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let name = match name {
            "replicas" => Self::MinReplicaCount.name(),
            "stabilisation" => Self::Stabilization.name(),
            other => other,
        };
        Self::ALL.into_iter().find(|setting| setting.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
            format!(
                "`{name}` is no setting; there are {} and replicas, which is minReplicaCount",
                names.join(", ")
            )
        })
    }

    /// This setting with the value that a text states.
    ///
    /// # Errors
    /// What would be one.
    pub fn to(self, text: &str) -> Result<Change, String> {
        let number = |value: u64| Ok((value.into(), value.to_string()));
        let (value, written): (Json, String) = match self {
            Self::PollingInterval => seconds(text, 1, LONGEST_POLL_S),
            Self::Stabilization => seconds(text, 0, LONGEST_WINDOW_S),
            Self::Strategy => match text {
                "default" | "accurate" | "eager" => Ok((text.into(), text.to_owned())),
                "custom" => Err("`custom` has settings of its own: write it into the manifest".to_owned()),
                _ => Err(format!("`{text}` is no strategy; there are default, accurate and eager")),
            },
            Self::MinReplicaCount | Self::MaxReplicaCount => {
                let least = u64::from(self == Self::MaxReplicaCount);
                let replicas = text.parse().ok().filter(|number| (least..=MOST_REPLICAS).contains(number));
                replicas.map_or_else(
                    || Err(format!("`{text}` is no number from {least} to {MOST_REPLICAS}")),
                    number,
                )
            }
        }?;
        Ok(Change { setting: self, written, value })
    }

    /// Whether an object has this setting.
    #[must_use]
    pub fn is_of(self, document: &Document) -> bool {
        match document.typed() {
            Object::ScaledObject(_) => self != Self::Strategy,
            Object::ScaledJob(_) => self != Self::Stabilization,
            _ => false,
        }
    }

    /// Where it stands in the object.
    fn path(self) -> &'static [&'static str] {
        match self {
            Self::PollingInterval => &["spec", "pollingInterval"],
            Self::Strategy => &["spec", "scalingStrategy", "strategy"],
            Self::Stabilization => &[
                "spec",
                "advanced",
                "horizontalPodAutoscalerConfig",
                "behavior",
                "scaleDown",
                "stabilizationWindowSeconds",
            ],
            Self::MinReplicaCount => &["spec", "minReplicaCount"],
            Self::MaxReplicaCount => &["spec", "maxReplicaCount"],
        }
    }
}

/// Whole seconds, from a duration.
fn seconds(text: &str, least: u64, most: u64) -> Result<(Json, String), String> {
    let span: Millis = text.parse().map_err(|error: model::instant::DurationError| error.to_string())?;
    let seconds = span.0 / 1000;
    if !span.0.is_multiple_of(1000) || !(least..=most).contains(&seconds) {
        return Err(format!("`{text}` is not in whole seconds from {least} to {most}"));
    }
    Ok((seconds.into(), format!("{seconds}s")))
}

/// Sets the changes in every object that has such a setting.
///
/// # Errors
/// What is wrong with an object after that.
pub(crate) fn apply(manifests: &mut [(String, Vec<Document>)], changes: &[Change]) -> Result<(), String> {
    for document in manifests.iter_mut().flat_map(|(_, documents)| documents) {
        let mut value = document.value().clone();
        let changes = changes.iter().filter(|change| change.setting.is_of(document));
        for change in changes {
            set(&mut value, change.setting.path(), change.value.clone());
        }
        if value == *document.value() {
            continue;
        }
        // What is written as JSON is YAML, and is checked as what was written by hand.
        let read = manifest::load(document.file(), &value.to_string());
        let wrong = |problems: Vec<model::Problem>| {
            problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>().join("; ")
        };
        let mut read = read.map_err(wrong)?.into_iter();
        if let Some(changed) = read.next() {
            *document = changed;
        }
    }
    Ok(())
}

/// The changes in one line: `pollingInterval=5s strategy=accurate`.
pub(crate) fn in_words(changes: &[Change]) -> String {
    let words: Vec<String> =
        changes.iter().map(|change| format!("{}={}", change.setting.name(), change.written)).collect();
    words.join(" ")
}

/// Puts a value at a path, and makes what leads there.
fn set(value: &mut Json, path: &[&str], leaf: Json) {
    let [first, rest @ ..] = path else {
        *value = leaf;
        return;
    };
    if !value.is_object() {
        *value = Json::Object(Map::new());
    }
    if let Some(map) = value.as_object_mut() {
        set(map.entry(*first).or_insert(Json::Null), rest, leaf);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &str = "
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: { name: agents }
spec:
  scaleTargetRef: { name: agents }
  pollingInterval: 30
  advanced:
  triggers: [{ type: azure-pipelines, metadata: { poolID: '18' } }]
";

    fn changed(text: &str, changes: &[(Setting, &str)]) -> Result<Json, String> {
        let mut manifests =
            [("agents.yml".to_owned(), manifest::load("agents.yml", text).expect("a manifest"))];
        let changes: Vec<Change> =
            changes.iter().map(|(setting, text)| setting.to(text).expect("a value")).collect();
        apply(&mut manifests, &changes)?;
        Ok(manifests[0].1[0].value().clone())
    }

    #[test]
    fn a_setting_takes_the_place_of_what_is_written() {
        let object = changed(OBJECT, &[(Setting::PollingInterval, "5s")]).expect("an object");
        assert_eq!(object.pointer("/spec/pollingInterval"), Some(&5.into()));
        assert_eq!(object.pointer("/spec/triggers/0/metadata/poolID"), Some(&"18".into()));
    }

    #[test]
    fn what_leads_to_a_setting_is_made() {
        let object = changed(OBJECT, &[(Setting::Stabilization, "1m")]).expect("an object");
        let path =
            "/spec/advanced/horizontalPodAutoscalerConfig/behavior/scaleDown/stabilizationWindowSeconds";
        assert_eq!(object.pointer(path), Some(&60.into()));
    }

    #[test]
    fn a_setting_that_an_object_does_not_have_leaves_it_alone() {
        let object = changed(OBJECT, &[(Setting::Strategy, "accurate")]).expect("an object");
        assert_eq!(object, changed(OBJECT, &[]).expect("an object"));
    }

    #[test]
    fn a_setting_goes_by_its_name() {
        assert_eq!(Setting::named("replicas"), Ok(Setting::MinReplicaCount));
        assert_eq!(Setting::named("stabilisation"), Ok(Setting::Stabilization));
        assert!(Setting::named("polling").expect_err("no setting").contains("pollingInterval"));
    }

    #[test]
    fn a_value_that_nobody_could_set_is_refused() {
        let wrong = [
            (Setting::PollingInterval, "0s", "from 1"),
            (Setting::PollingInterval, "1500ms", "whole seconds"),
            (Setting::PollingInterval, "often", "not a duration"),
            (Setting::Stabilization, "2h", "3600"),
            (Setting::Strategy, "custom", "manifest"),
            (Setting::Strategy, "greedy", "accurate"),
            (Setting::MinReplicaCount, "-1", "from 0"),
            (Setting::MaxReplicaCount, "0", "from 1"),
        ];
        for (setting, text, because) in wrong {
            let said = setting.to(text).expect_err(text);
            assert!(said.contains(because), "{text}: {said}");
        }
        assert_eq!(Setting::Stabilization.to("0s").expect("a window").written, "0s");
        assert_eq!(Setting::PollingInterval.to("1m").expect("a poll").written, "60s");
    }
}
