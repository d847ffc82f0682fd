//! The count in all modes, by version.

use model::event::JobResult;
use semver::Version;

use super::*;
use crate::rules::Rules;
use crate::scaler::tests::trigger;

fn rules(version: &str) -> &'static ScalerRules {
    &Rules::of(&Version::parse(version).expect("a version")).expect("modelled").scaler
}

fn row(demands: &[&str], received: bool, finished: bool, matched: &[&str]) -> ScalerRow {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    ScalerRow {
        request: 1,
        demands: texts(demands),
        assigned: received,
        received,
        result: finished.then_some(JobResult::Succeeded),
        matched_agents: texts(matched),
    }
}

/// a: waiting, b: received, c: finished, d: waiting for more.
fn four_rows() -> Vec<ScalerRow> {
    vec![
        row(&["java", "Agent.Version -gtVersion 2.182.1"], false, false, &["tmpl"]),
        row(&["Agent.Version -gtVersion 2.182.1"], true, false, &[]),
        row(&["java"], true, true, &[]),
        row(&["java", "docker"], false, false, &["other"]),
    ]
}

fn counted(version: &str, settings: &[(&str, &str)], rows: &[ScalerRow]) -> u64 {
    let rules = rules(version);
    count(rules, &trigger(rules, settings), rows)
}

const MODES: [&[(&str, &str)]; 6] = [
    &[],
    &[("demands", "java")],
    &[("demands", "java"), ("requireAllDemands", "true")],
    &[("demands", "java"), ("requireAllDemandsAndIgnoreOthers", "true")],
    &[("demands", "java,docker")],
    &[("parent", "tmpl")],
];

fn all_modes(version: &str, more: &[(&str, &str)]) -> [u64; 6] {
    MODES.map(|mode| counted(version, &[mode, more].concat(), &four_rows()))
}

#[test]
fn a_received_job_counts_until_2_19_and_again_in_2_21() {
    assert_eq!(all_modes("2.19.0", &[]), [3, 2, 1, 2, 3, 1]);
    assert_eq!(all_modes("2.21.0", &[]), [3, 2, 1, 2, 3, 1]);
}

#[test]
fn a_received_job_does_not_count_in_2_20_nor_without_scale_on_in_flight() {
    assert_eq!(all_modes("2.20.0", &[]), [2, 1, 1, 2, 2, 1]);
    assert_eq!(all_modes("2.20.2", &[("scaleOnInFlight", "true")]), [2, 1, 1, 2, 2, 1]);
    assert_eq!(all_modes("2.21.0", &[("scaleOnInFlight", "false")]), [2, 1, 1, 2, 2, 1]);
}

#[test]
fn a_job_without_demands_always_counts_unless_all_are_required() {
    let rows = [row(&[], false, false, &[])];
    assert_eq!(counted("2.21.0", &[("demands", "java")], &rows), 1);
    assert_eq!(counted("2.21.0", &[("demands", "java"), ("requireAllDemands", "true")], &rows), 0);
}

#[test]
fn until_2_10_0_exactly_one_agent_version_is_taken_for_granted() {
    let mode = [("demands", "java")];
    for version in ["2.9.3", "2.10.0"] {
        assert_eq!(
            counted(version, &mode, &[row(&["java", "Agent.Version -gtVersion 2"], false, false, &[])]),
            1
        );
        assert_eq!(
            counted(version, &mode, &[row(&["java"], false, false, &[])]),
            0,
            "{version}: one too few"
        );
        assert_eq!(
            counted(version, &mode, &[row(&["docker"], false, false, &[])]),
            1,
            "{version}: none of one"
        );
        assert_eq!(
            counted(version, &mode, &[row(&[], false, false, &[])]),
            0,
            "{version}: no demands at all"
        );
    }
    assert_eq!(counted("2.10.1", &mode, &[row(&["java"], false, false, &[])]), 1);
    assert_eq!(counted("2.10.1", &mode, &[row(&["docker"], false, false, &[])]), 0);
}

#[test]
fn all_required_demands_are_compared_with_the_old_rule_in_2_10_0() {
    let mode = [("demands", "java"), ("requireAllDemands", "true")];
    assert_eq!(counted("2.10.0", &mode, &[row(&["java", "Agent.Version"], false, false, &[])]), 1);
    assert_eq!(counted("2.10.0", &mode, &[row(&["Agent.Version"], false, false, &[])]), 0);
    assert_eq!(counted("2.9.3", &mode, &[row(&["Agent.Version"], false, false, &[])]), 1, "unknown then");
}

#[test]
fn duplicates_multiply_and_blanks_are_kept() {
    assert_eq!(counted("2.21.0", &[("demands", "a")], &[row(&["a", "a"], false, false, &[])]), 1);
    let all = [("demands", "a"), ("requireAllDemands", "true")];
    assert_eq!(counted("2.21.0", &all, &[row(&["a", "a"], false, false, &[])]), 0);
    assert_eq!(counted("2.21.0", &[("demands", "a, b")], &[row(&["b"], false, false, &[])]), 0);
    assert_eq!(counted("2.21.0", &[("demands", ",")], &[row(&[""], false, false, &[])]), 0, "counts twice");
}

#[test]
fn case_matters_unless_it_is_said_otherwise_from_2_18() {
    let rows = [row(&["Java", "Agent.OS -equals Linux"], false, false, &[])];
    let given = ("demands", "java,agent.os -equals LINUX");
    assert_eq!(counted("2.21.0", &[given], &rows), 0);
    let folded = [given, ("caseInsensitiveDemandsProcessing", "true")];
    assert_eq!(counted("2.18.0", &folded, &rows), 1);
    assert_eq!(counted("2.17.3", &folded, &rows), 0, "unknown then");
}

#[test]
fn a_parent_is_matched_by_name_and_demands_do_not_matter_then() {
    let rows = [row(&["x"], false, false, &["a", "tmpl"]), row(&["java"], false, false, &["Tmpl"])];
    assert_eq!(counted("2.21.0", &[("parent", "tmpl"), ("demands", "java")], &rows), 1);
}
