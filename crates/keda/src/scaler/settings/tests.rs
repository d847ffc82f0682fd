//! Settings and their errors, by version.

use semver::Version;

use super::*;
use crate::rules::Rules;
use crate::scaler::tests::{manifest, parse, surroundings};

fn rules(version: &str) -> &'static ScalerRules {
    &Rules::of(&Version::parse(version).expect("a version")).expect("modelled").scaler
}

fn error(version: &str, settings: &[(&str, &str)]) -> String {
    parse(rules(version), settings).expect_err("a mistake").to_string()
}

fn with(change: impl FnOnce(&mut Surroundings)) -> Surroundings {
    let mut surroundings = surroundings();
    change(&mut surroundings);
    surroundings
}

#[test]
fn what_is_not_set_has_its_default() {
    let settings = parse(rules("2.21.0"), &[]).expect("in order");
    assert_eq!(settings.target, 1);
    assert_eq!(settings.activation_target, 0);
    assert_eq!(settings.jobs_to_fetch, 250);
    assert!(settings.scale_on_in_flight);
    assert_eq!(settings.pool, PoolReference::Id(7));
    assert_eq!(settings.authentication, Authentication::PersonalAccessToken("secret".to_owned()));
}

#[test]
fn secrets_are_not_told() {
    let settings = parse(rules("2.21.0"), &[]).expect("in order");
    assert!(!format!("{settings:?} {:?}", surroundings()).contains("secret"));
}

#[test]
fn settings_that_exclude_each_other_are_refused_from_2_18_even_if_they_say_false() {
    let both = [("jobsToFetch", "10"), ("fetchUnfinishedJobsOnly", "false")];
    assert_eq!(
        error("2.18.0", &both),
        "error parsing azure Pipelines metadata: cannot specify both jobsToFetch and fetchUnfinishedJobsOnly at the \
         same time"
    );
    assert!(parse(rules("2.17.3"), &both).is_ok());
    let parent = [("jobsToFetch", "10"), ("parent", "tmpl")];
    assert!(
        error("2.21.0", &parent).ends_with("cannot specify both jobsToFetch and parent at the same time")
    );
    assert!(parse(rules("2.17.3"), &parent).is_ok());
}

#[test]
fn mistakes_are_told_all_at_once_from_2_17_and_one_by_one_before() {
    let settings = [("poolID", "seven"), ("targetPipelinesQueueLength", "1.5"), ("requireAllDemands", "yes")];
    assert_eq!(
        error("2.21.0", &settings),
        "error parsing azure Pipelines metadata: error parsing azure pipeline metadata: unable to set param \"poolID\" \
         value \"seven\": unable to unmarshal to field type int: invalid character 's' looking for beginning of \
         value\nunable to set param \"targetPipelinesQueueLength\" value \"1.5\": unable to unmarshal to field type \
         int64: json: cannot unmarshal number 1.5 into Go value of type int64\nunable to set param \
         \"requireAllDemands\" value \"yes\": unable to parse boolean value \"yes\": strconv.ParseBool: parsing \
         \"yes\": invalid syntax"
    );
    assert_eq!(
        error("2.16.1", &settings),
        "error parsing azure Pipelines metadata: error parsing azure pipelines metadata targetPipelinesQueueLength: \
         strconv.ParseInt: parsing \"1.5\": invalid syntax"
    );
}

#[test]
fn an_empty_target_counts_as_absent_from_2_17_only() {
    let settings = [("targetPipelinesQueueLength", "")];
    assert_eq!(parse(rules("2.17.0"), &settings).expect("in order").target, 1);
    assert!(parse(rules("2.16.1"), &settings).is_err());
}

#[test]
fn an_address_must_end_with_the_organization() {
    let slash = with(|s| {
        s.parameters.insert("organizationURL".to_owned(), "https://dev.azure.com/contoso/".to_owned());
    });
    let parsed = AzurePipelines::parse(rules("2.21.0"), &manifest(&[]), &slash);
    assert!(parsed.expect_err("a slash").to_string().ends_with(NO_ORGANIZATION_NAME));
}

#[test]
fn the_address_is_looked_for_in_another_order_since_2_17_and_in_one_more_place_since_2_18_1() {
    let trigger = manifest(&[("organizationURLFromEnv", "URL"), ("organizationURL", "http://m/third")]);
    let both = with(|s| {
        s.environment.insert("URL".to_owned(), "http://e/first".to_owned());
    });
    let url = |version: &str, surroundings: &Surroundings| {
        AzurePipelines::parse(rules(version), &trigger, surroundings)
            .map(|settings| settings.organization_url)
    };
    assert_eq!(url("2.16.1", &both).expect("found"), "https://dev.azure.com/contoso");
    assert_eq!(url("2.17.0", &both).expect("found"), "http://e/first");
    let none = with(|s| {
        s.parameters.remove("organizationURL");
    });
    assert_eq!(url("2.18.1", &none).expect("found"), "http://m/third");
    assert!(
        url("2.18.0", &none)
            .expect_err("nowhere")
            .to_string()
            .contains("missing required parameter \"organizationURL\" in [resolvedEnv authParams]\n")
    );
}

#[test]
fn white_space_around_the_token_is_cut_off_from_2_18_1() {
    let blanks = with(|s| {
        s.parameters.insert("personalAccessToken".to_owned(), " token \n".to_owned());
    });
    let token = |version: &str| {
        AzurePipelines::parse(rules(version), &manifest(&[]), &blanks).expect("in order").authentication
    };
    assert_eq!(token("2.18.0"), Authentication::PersonalAccessToken(" token ".to_owned()));
    assert_eq!(token("2.18.1"), Authentication::PersonalAccessToken("token".to_owned()));
}

#[test]
fn without_a_token_the_versions_know_other_identities() {
    let without = |provider: Option<&str>, principal: bool| {
        with(|s| {
            s.parameters.remove("personalAccessToken");
            s.pod_identity = provider.map(str::to_owned);
            if principal {
                s.parameters.insert(SERVICE_PRINCIPAL_PARAMETER.to_owned(), "true".to_owned());
            }
        })
    };
    let result = |version: &str, surroundings: &Surroundings| {
        AzurePipelines::parse(rules(version), &manifest(&[]), surroundings)
            .map(|settings| settings.authentication)
            .map_err(|error| error.to_string())
    };
    let prefix = "error parsing azure Pipelines metadata: ";
    assert_eq!(result("2.12.1", &without(None, false)), Err(format!("{prefix}no personalAccessToken given")));
    assert_eq!(
        result("2.20.2", &without(None, true)),
        Err(format!("{prefix}no personalAccessToken given or PodIdentity provider configured"))
    );
    assert_eq!(result("2.21.0", &without(None, true)), Ok(Authentication::ServicePrincipal));
    assert_eq!(result("2.13.0", &without(Some("azure-workload"), false)), Ok(Authentication::PodIdentity));
    assert_eq!(
        result("2.15.0", &without(Some("azure"), false)),
        Err(format!("{prefix}pod identity azure not supported for azure pipelines"))
    );
}

#[test]
fn a_pool_is_needed_and_its_name_comes_first() {
    assert!(error("2.21.0", &[("poolID", "0")]).ends_with("no poolName or poolID given"));
    assert!(error("2.16.1", &[("poolID", "")]).ends_with("no poolName or poolID given"));
    let both = parse(rules("2.21.0"), &[("poolID", "3"), ("poolName", " Linux ")]).expect("in order");
    assert_eq!(both.pool, PoolReference::Name("Linux".to_owned()));
}

#[test]
fn utilization_is_no_metric_type_for_a_queue() {
    let mut trigger = manifest(&[]);
    trigger.metric_type = Some("Utilization".to_owned());
    let refused = AzurePipelines::parse(rules("2.21.0"), &trigger, &surroundings());
    assert!(refused.expect_err("unsupported").to_string().starts_with("error getting scaler metric type: "));
    trigger.metric_type = Some("Value".to_owned());
    let value = AzurePipelines::parse(rules("2.21.0"), &trigger, &surroundings());
    assert_eq!(value.expect("in order").metric_type, MetricType::Value);
}
