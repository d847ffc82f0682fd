//! Every row of the table, at its first version and just before it.

use super::*;

fn rules(version: &str) -> &'static Rules {
    Rules::of(&Version::parse(version).expect("a version")).expect("modelled")
}

#[test]
fn versions_outside_are_refused_and_the_error_says_which_are_modelled() {
    for version in ["2.8.9", "2.22.0", "3.0.0", "1.5.0"] {
        let error = Rules::of(&Version::parse(version).expect("a version")).expect_err("not modelled");
        assert_eq!(
            error.to_string(),
            format!("KEDA {version} is not modelled: 2.9.0 up to and including 2.21 are")
        );
    }
}

#[test]
fn the_table_is_in_order_and_starts_with_the_oldest_version() {
    assert_eq!(TABLE[0].0, (OLDEST.major, OLDEST.minor, OLDEST.patch));
    assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1));
}
