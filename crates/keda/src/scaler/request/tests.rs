//! Requests by version, and how their failures read.

use semver::Version;

use super::*;
use crate::rules::Rules;
use crate::scaler::tests::trigger;

fn rules(version: &str) -> &'static ScalerRules {
    &Rules::of(&Version::parse(version).expect("a version")).expect("modelled").scaler
}

fn reads(version: &str, settings: &[(&str, &str)]) -> String {
    let rules = rules(version);
    let settings = trigger(rules, settings);
    Request::reading(rules, &settings, 7).url(rules, &settings).replace("https://dev.azure.com/contoso", "")
}

#[test]
fn top_is_asked_for_from_2_10_and_not_with_a_parent_from_2_10_1() {
    let plain = "/_apis/distributedtask/pools/7/jobrequests";
    assert_eq!(reads("2.9.3", &[]), plain);
    assert_eq!(reads("2.10.0", &[]), format!("{plain}?$top=250"));
    assert_eq!(reads("2.10.0", &[("parent", "t")]), format!("{plain}?$top=250"));
    assert_eq!(reads("2.10.1", &[("parent", "t")]), plain);
    assert_eq!(reads("2.21.0", &[("jobsToFetch", "9")]), format!("{plain}?$top=9"));
}

#[test]
fn only_unfinished_jobs_are_asked_for_from_2_18_also_with_a_parent() {
    let settings = [("fetchUnfinishedJobsOnly", "true"), ("parent", "t")];
    assert!(reads("2.18.0", &settings).ends_with("?completedRequestCount=0"));
    assert!(reads("2.17.3", &settings).ends_with("/jobrequests"));
}

#[test]
fn a_pools_name_is_escaped_from_2_12_1() {
    let url = |version: &str| {
        let rules = rules(version);
        let settings = trigger(rules, &[("poolName", "Linux ä+1")]);
        Request::resolving(&settings).url(rules, &settings)
    };
    assert!(url("2.12.0").ends_with("pools?poolName=Linux ä+1"));
    assert!(url("2.12.1").ends_with("pools?poolName=Linux+%C3%A4%2B1"));
}

#[test]
fn failures_read_as_the_scaler_tells_them() {
    let rules = rules("2.21.0");
    let settings = trigger(rules, &[("poolName", "Linux")]);
    let text = |failure: Failure, request| failure.text(rules, &settings, request);
    assert_eq!(text(Failure::NoSuchPool, Request::PoolByName), "agent pool with name `Linux` not found");
    assert_eq!(text(Failure::ManyPools(2), Request::PoolByName), "found 2 agent pool with name `Linux`");
    assert_eq!(
        text(Failure::Status(503), Request::All { pool: 7 }),
        "the Azure DevOps REST API returned error. urlString: \
         https://dev.azure.com/contoso/_apis/distributedtask/pools/7/jobrequests status: 503 response: "
    );
    assert!(
        text(Failure::TimedOut, Request::PoolById { pool: 7 })
            .starts_with("agent pool with id `7` not found: Get ")
    );
}
