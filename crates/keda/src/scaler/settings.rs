//! A trigger's settings, read as the azure-pipelines scaler reads them (K:pkg/scalers/azure_pipelines_scaler.go,
//! `parseAzurePipelinesMetadata`), with its own errors.

use std::collections::BTreeMap;
use std::fmt;

use model::manifest::keda::Trigger;

use super::values::{go_boolean, go_integer, json_integer};
use crate::rules::{Identities, OrganizationUrl, ScalerRules, Settings, TokenTrim};

/// `targetPipelinesQueueLength` (`defaultTargetPipelinesQueueLength`).
pub const DEFAULT_TARGET: i64 = 1;
/// `activationTargetPipelinesQueueLength`.
pub const DEFAULT_ACTIVATION_TARGET: i64 = 0;
/// `jobsToFetch`.
pub const DEFAULT_JOBS_TO_FETCH: i64 = 250;
/// `scaleOnInFlight` (2.21).
pub const DEFAULT_SCALE_ON_IN_FLIGHT: bool = true;

/// What every construction error begins with (`NewAzurePipelinesScaler`).
const PREFIX: &str = "error parsing azure Pipelines metadata: ";

/// What a trigger finds around it: the container's environment and its TriggerAuthentication, resolved.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The environment of the container that `...FromEnv` means.
    pub environment: BTreeMap<String, String>,
    /// The parameters of the TriggerAuthentication.
    pub parameters: BTreeMap<String, String>,
    /// Its pod identity's provider, for example `azure-workload`.
    pub pod_identity: Option<String>,
}

/// Names only: the values may be secrets.
impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("environment", &self.environment.keys())
            .field("parameters", &self.parameters.keys())
            .field("pod_identity", &self.pod_identity)
            .finish()
    }
}

/// An azure-pipelines trigger whose settings are in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzurePipelines {
    /// The organization's address, as it was written.
    pub organization_url: String,
    /// How it authenticates.
    pub authentication: Authentication,
    /// Which pool it asks for.
    pub pool: PoolReference,
    /// The template agent that must match, if one is named.
    pub parent: Option<String>,
    /// The demands that count, split at commas and untrimmed; empty if none are given.
    pub demands: Vec<String>,
    /// Jobs per replica.
    pub target: i64,
    /// Jobs above which the trigger is active.
    pub activation_target: i64,
    /// Rows to ask for.
    pub jobs_to_fetch: i64,
    /// Whether the service is asked for unfinished jobs only.
    pub unfinished_only: bool,
    /// Whether a job that its agent received counts; only 2.21 asks.
    pub scale_on_in_flight: bool,
    /// Whether a job must demand exactly what is given.
    pub require_all_demands: bool,
    /// Whether a job must demand at least what is given.
    pub require_all_and_ignore_others: bool,
    /// Whether demands are compared without regard to case.
    pub case_insensitive_demands: bool,
    /// What the HPA makes of the value.
    pub metric_type: MetricType,
}

/// What the HPA makes of a metric's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricType {
    /// Divided by the replicas.
    AverageValue,
    /// As it is.
    Value,
}

/// Which pool is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolReference {
    /// By its name, which must be found once.
    Name(String),
    /// By its id.
    Id(i64),
}

/// How requests authenticate.
#[derive(Clone, PartialEq, Eq)]
pub enum Authentication {
    /// Basic, without a user.
    PersonalAccessToken(String),
    /// Bearer, from the pod's identity.
    PodIdentity,
    /// Bearer, from a service principal.
    ServicePrincipal,
}

/// The token itself stays untold.
impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PersonalAccessToken(_) => "PersonalAccessToken(..)",
            Self::PodIdentity => "PodIdentity",
            Self::ServicePrincipal => "ServicePrincipal",
        })
    }
}

/// Why a scaler cannot be made of its settings, in KEDA's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

impl SettingsError {
    fn parsing(message: impl fmt::Display) -> Self {
        Self(format!("{PREFIX}{message}"))
    }
}

impl AzurePipelines {
    /// Reads a trigger's settings.
    ///
    /// # Errors
    /// The scaler refuses them; the text is the one that its version gives.
    pub fn parse(
        rules: &ScalerRules,
        trigger: &Trigger,
        surroundings: &Surroundings,
    ) -> Result<Self, SettingsError> {
        let metric_type = match trigger.metric_type.as_deref() {
            Some("Value") => MetricType::Value,
            Some("Utilization") => {
                return Err(SettingsError(
                    "error getting scaler metric type: 'Utilization' metric type is unsupported for external \
                     metrics, allowed values are 'Value' or 'AverageValue'"
                        .to_owned(),
                ));
            }
            _ => MetricType::AverageValue,
        };
        let reader = Reader { rules, trigger, surroundings };
        match rules.settings {
            Settings::OneByOne => reader.one_by_one(metric_type),
            Settings::Typed => reader.typed(metric_type),
        }
    }
}

struct Reader<'a> {
    rules: &'a ScalerRules,
    trigger: &'a Trigger,
    surroundings: &'a Surroundings,
}

/// The metadata keys, as KEDA spells them.
mod key {
    pub(super) const ORGANIZATION_URL: &str = "organizationURL";
    pub(super) const TOKEN: &str = "personalAccessToken";
    pub(super) const POOL_NAME: &str = "poolName";
    pub(super) const POOL_ID: &str = "poolID";
    pub(super) const TARGET: &str = "targetPipelinesQueueLength";
    pub(super) const ACTIVATION_TARGET: &str = "activationTargetPipelinesQueueLength";
    pub(super) const JOBS_TO_FETCH: &str = "jobsToFetch";
    pub(super) const UNFINISHED_ONLY: &str = "fetchUnfinishedJobsOnly";
    pub(super) const SCALE_ON_IN_FLIGHT: &str = "scaleOnInFlight";
    pub(super) const REQUIRE_ALL: &str = "requireAllDemands";
    pub(super) const REQUIRE_ALL_AND_IGNORE: &str = "requireAllDemandsAndIgnoreOthers";
    pub(super) const CASE_INSENSITIVE: &str = "caseInsensitiveDemandsProcessing";
    pub(super) const PARENT: &str = "parent";
    pub(super) const DEMANDS: &str = "demands";
}

const NO_ORGANIZATION_NAME: &str = "failed to extract organization name from organizationURL";
const NO_POOL: &str = "no poolName or poolID given";

fn has_organization_name(url: &str) -> bool {
    url.rsplit('/').next().is_some_and(|name| !name.is_empty())
}

impl Reader<'_> {
    /// A setting as it stands, if it is not empty.
    fn raw(&self, name: &str) -> Option<&str> {
        self.trigger.metadata.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.surroundings.parameters.get(name).map(String::as_str)
    }

    /// What the variable that `<name>FromEnv` names holds.
    fn variable(&self, name: &str) -> Option<&str> {
        let variable = self.trigger.metadata.get(&format!("{name}FromEnv"))?;
        self.surroundings.environment.get(variable).map(String::as_str)
    }

    /// Until 2.16: one after the other, untrimmed, the first mistake ends it.
    fn one_by_one(&self, metric_type: MetricType) -> Result<AzurePipelines, SettingsError> {
        let number = |name: &str, default: i64| match self.trigger.metadata.get(name) {
            None => Ok(default),
            Some(text) => go_integer(text).map_err(|error| {
                SettingsError::parsing(format!("error parsing azure pipelines metadata {name}: {error}"))
            }),
        };
        let target = number(key::TARGET, DEFAULT_TARGET)?;
        let activation_target = number(key::ACTIVATION_TARGET, DEFAULT_ACTIVATION_TARGET)?;
        let organization_url = self
            .first_of(key::ORGANIZATION_URL)
            .ok_or_else(|| SettingsError::parsing("no organizationURL given"))?;
        if !has_organization_name(&organization_url) {
            return Err(SettingsError::parsing(NO_ORGANIZATION_NAME));
        }
        let authentication = self.authentication(self.first_of(key::TOKEN))?;
        let jobs_to_fetch = match self.raw(key::JOBS_TO_FETCH) {
            Some(text) if self.rules.top != crate::rules::Top::Never => go_integer(text)
                .map_err(|error| SettingsError::parsing(format!("error parsing jobsToFetch: {error}")))?,
            _ => DEFAULT_JOBS_TO_FETCH,
        };
        let require_all_demands = match self.raw(key::REQUIRE_ALL) {
            Some(text) if self.rules.require_all_demands => {
                go_boolean(text).map_err(SettingsError::parsing)?
            }
            _ => false,
        };
        let pool = match (self.raw(key::POOL_NAME), self.raw(key::POOL_ID)) {
            (Some(name), _) => PoolReference::Name(name.to_owned()),
            // Whatever it says is sent; what is no number finds no pool.
            (None, Some(id)) => PoolReference::Id(go_integer(id).unwrap_or(0)),
            (None, None) => return Err(SettingsError::parsing(NO_POOL)),
        };
        Ok(AzurePipelines {
            organization_url,
            authentication,
            pool,
            parent: self.raw(key::PARENT).map(str::to_owned),
            demands: split(self.raw(key::DEMANDS)),
            target,
            activation_target,
            jobs_to_fetch,
            unfinished_only: false,
            scale_on_in_flight: DEFAULT_SCALE_ON_IN_FLIGHT,
            require_all_demands,
            require_all_and_ignore_others: false,
            case_insensitive_demands: false,
            metric_type,
        })
    }

    /// Until 2.16: a parameter if it is not empty, else what the variable holds, if one is named.
    fn first_of(&self, name: &str) -> Option<String> {
        let parameter = self.parameter(name).filter(|value| !value.is_empty());
        parameter.map(str::to_owned).or_else(|| {
            self.raw(&format!("{name}FromEnv"))?;
            Some(self.variable(name).unwrap_or_default().to_owned())
        })
    }

    /// From 2.17: trimmed, and every mistake is told.
    fn typed(&self, metric_type: MetricType) -> Result<AzurePipelines, SettingsError> {
        self.exclusive()?;
        let mut mistakes = Vec::new();
        let organization_url = self.organization_url(&mut mistakes);
        let known = |key, known: bool| known.then(|| self.trigger.setting(key)).flatten();
        let pool_id = json_or(self.trigger.setting(key::POOL_ID), key::POOL_ID, "int", 0, &mut mistakes);
        let integer = |name, default, mistakes: &mut Vec<String>| {
            json_or(self.trigger.setting(name), name, "int64", default, mistakes)
        };
        let target = integer(key::TARGET, DEFAULT_TARGET, &mut mistakes);
        let activation_target = integer(key::ACTIVATION_TARGET, DEFAULT_ACTIVATION_TARGET, &mut mistakes);
        let jobs_to_fetch = integer(key::JOBS_TO_FETCH, DEFAULT_JOBS_TO_FETCH, &mut mistakes);
        let asks_in_flight = self.rules.received == crate::rules::Received::AsScaleOnInFlight;
        let mut boolean = |name, is_known, default| {
            let Some(text) = known(name, is_known) else { return default };
            go_boolean(text).unwrap_or_else(|error| {
                mistakes.push(format!(
                    "unable to set param {name:?} value {text:?}: unable to parse boolean value {text:?}: {error}"
                ));
                default
            })
        };
        let unfinished_only = boolean(key::UNFINISHED_ONLY, self.rules.unfinished_only, false);
        let scale_on_in_flight = boolean(key::SCALE_ON_IN_FLIGHT, asks_in_flight, DEFAULT_SCALE_ON_IN_FLIGHT);
        let require_all_demands = boolean(key::REQUIRE_ALL, self.rules.require_all_demands, false);
        let ignore = self.rules.require_all_and_ignore_others;
        let require_all_and_ignore_others = boolean(key::REQUIRE_ALL_AND_IGNORE, ignore, false);
        let case_insensitive_demands =
            boolean(key::CASE_INSENSITIVE, self.rules.case_insensitive_demands, false);
        if !has_organization_name(&organization_url) {
            mistakes.push(NO_ORGANIZATION_NAME.to_owned());
        }
        if !mistakes.is_empty() {
            let mistakes = mistakes.join("\n");
            return Err(SettingsError::parsing(format!("error parsing azure pipeline metadata: {mistakes}")));
        }
        let authentication = self.authentication(self.typed_token())?;
        let pool = match self.trigger.setting(key::POOL_NAME) {
            Some(name) => PoolReference::Name(name.to_owned()),
            None if pool_id != 0 => PoolReference::Id(pool_id),
            None => return Err(SettingsError::parsing(NO_POOL)),
        };
        Ok(AzurePipelines {
            organization_url,
            authentication,
            pool,
            parent: self.trigger.setting(key::PARENT).map(str::to_owned),
            demands: split(self.trigger.setting(key::DEMANDS)),
            target,
            activation_target,
            jobs_to_fetch,
            unfinished_only,
            scale_on_in_flight,
            require_all_demands,
            require_all_and_ignore_others,
            case_insensitive_demands,
            metric_type,
        })
    }

    /// Settings that exclude each other, which are compared before anything is trimmed: `"false"` is a setting.
    fn exclusive(&self) -> Result<(), SettingsError> {
        if !self.rules.unfinished_only || self.raw(key::JOBS_TO_FETCH).is_none() {
            return Ok(());
        }
        for other in [key::UNFINISHED_ONLY, key::PARENT] {
            if self.raw(other).is_some() {
                return Err(SettingsError::parsing(format!(
                    "cannot specify both jobsToFetch and {other} at the same time"
                )));
            }
        }
        Ok(())
    }

    fn organization_url(&self, mistakes: &mut Vec<String>) -> String {
        let trimmed =
            |value: Option<&str>| value.map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned);
        let variable = trimmed(self.variable(key::ORGANIZATION_URL));
        let parameter = trimmed(self.parameter(key::ORGANIZATION_URL));
        let (found, places) = match self.rules.organization_url {
            OrganizationUrl::EnvironmentThenParametersThenMetadata => {
                let metadata = self.trigger.setting(key::ORGANIZATION_URL).map(str::to_owned);
                (variable.or(parameter).or(metadata), "[resolvedEnv authParams triggerMetadata]")
            }
            OrganizationUrl::EnvironmentThenParameters => {
                (variable.or(parameter), "[resolvedEnv authParams]")
            }
            OrganizationUrl::ParametersThenEnvironment => {
                (parameter.or(variable), "[authParams resolvedEnv]")
            }
        };
        found.unwrap_or_else(|| {
            mistakes.push(format!("missing required parameter \"organizationURL\" in {places}"));
            String::new()
        })
    }

    /// From 2.18.1 the token is read as other settings are; before, it was read as until 2.16.
    fn typed_token(&self) -> Option<String> {
        match self.rules.token_trim {
            TokenTrim::OneLineFeed => self.first_of(key::TOKEN),
            TokenTrim::WhiteSpace => [self.parameter(key::TOKEN), self.variable(key::TOKEN)]
                .into_iter()
                .flatten()
                .map(str::trim)
                .find(|token| !token.is_empty())
                .map(str::to_owned),
        }
    }

    fn authentication(&self, token: Option<String>) -> Result<Authentication, SettingsError> {
        if let Some(token) = token {
            let token = token.strip_suffix('\n').unwrap_or(&token).to_owned();
            return Ok(Authentication::PersonalAccessToken(token));
        }
        let identities = self.rules.identities;
        if identities == Identities::None {
            return Err(SettingsError::parsing("no personalAccessToken given"));
        }
        let provider = self.surroundings.pod_identity.as_deref().unwrap_or_default();
        let principal = self.parameter(SERVICE_PRINCIPAL_PARAMETER) == Some("true");
        match provider {
            "azure-workload" => Ok(Authentication::PodIdentity),
            "azure" if identities == Identities::Pod => Ok(Authentication::PodIdentity),
            "" | "none" if principal && identities == Identities::WorkloadAndServicePrincipal => {
                Ok(Authentication::ServicePrincipal)
            }
            "" | "none" if identities == Identities::WorkloadAndServicePrincipal => {
                Err(SettingsError::parsing(
                    "no personalAccessToken, Azure service principal, or PodIdentity provider configured",
                ))
            }
            "" | "none" => {
                Err(SettingsError::parsing("no personalAccessToken given or PodIdentity provider configured"))
            }
            other => {
                Err(SettingsError::parsing(format!("pod identity {other} not supported for azure pipelines")))
            }
        }
    }
}

/// Set among the parameters when the TriggerAuthentication names a service principal
/// (K:pkg/scalers/azure/azure_service_principal.go, `ServicePrincipalAuthKey`).
pub const SERVICE_PRINCIPAL_PARAMETER: &str = "azureServicePrincipal";

fn split(demands: Option<&str>) -> Vec<String> {
    demands.map(|demands| demands.split(',').map(str::to_owned).collect()).unwrap_or_default()
}

fn json_or(text: Option<&str>, name: &str, kind: &str, default: i64, mistakes: &mut Vec<String>) -> i64 {
    let Some(text) = text else { return default };
    json_integer(text, kind).unwrap_or_else(|error| {
        mistakes.push(format!(
            "unable to set param {name:?} value {text:?}: unable to unmarshal to field type {kind}: {error}"
        ));
        default
    })
}

#[cfg(test)]
mod tests;
