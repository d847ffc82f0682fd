//! What the tests of this module share.

use std::collections::BTreeMap;

use model::manifest::keda::Trigger;

use super::{AzurePipelines, SettingsError, Surroundings};
use crate::rules::ScalerRules;

/// The trigger as it would stand in a manifest, with a pool unless one is given.
pub(crate) fn manifest(settings: &[(&str, &str)]) -> Trigger {
    let mut metadata: BTreeMap<String, String> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    if !settings.iter().any(|(name, _)| name.starts_with("pool")) {
        metadata.insert("poolID".to_owned(), "7".to_owned());
    }
    Trigger {
        kind: "azure-pipelines".to_owned(),
        name: None,
        use_cached_metrics: None,
        metadata,
        authentication_ref: None,
        metric_type: None,
    }
}

/// A TriggerAuthentication with address and token.
pub(crate) fn surroundings() -> Surroundings {
    let parameters =
        [("organizationURL", "https://dev.azure.com/contoso"), ("personalAccessToken", "secret\n")];
    Surroundings {
        parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Surroundings::default()
    }
}

/// A trigger read with address and token in order.
pub(crate) fn parse(rules: &ScalerRules, settings: &[(&str, &str)]) -> Result<AzurePipelines, SettingsError> {
    AzurePipelines::parse(rules, &manifest(settings), &surroundings())
}

/// The same, where nothing is wrong with it.
pub(crate) fn trigger(rules: &ScalerRules, settings: &[(&str, &str)]) -> AzurePipelines {
    parse(rules, settings).expect("settings in order")
}
