//! Builds: every one is accepted.

use super::{Breach, Judged, Rule};
use crate::history::History;
use crate::report::Severity;

const REFUSED: Rule = Rule {
    name: "build_refused",
    severity: Severity::Violation,
    about: "the service accepts every build that the load queues",
    source: "Azure DevOps refuses a build when no agent of the pool, online or offline, could ever run it",
};

pub(super) const RULES: &[Rule] = &[REFUSED];

pub(super) fn judge(history: &History, judged: &mut Judged) {
    for refused in &history.refused {
        judged.find(
            &REFUSED,
            refused.at,
            Breach {
                subject: format!("build of {}", refused.definition),
                measured: format!("refused: {}", refused.because),
                bound: "accepted".to_owned(),
                because:
                    "a pool that may scale to zero needs a placeholder agent that matches the build's demands"
                        .to_owned(),
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use model::{Fact, Source};

    use crate::testing::article;

    #[test]
    fn a_refused_build_is_found() {
        assert_eq!(article().found("build_refused"), []);
        let because = "No agent found in pool keda-pool".to_owned();
        let refused = Fact::BuildRefused { definition: "nightly".into(), jobs: 2, because };
        let log = article().fact(70, Source::Service, refused);
        assert!(log.only("build_refused").measured.contains("No agent found"));
        assert_eq!(log.verify().measurements.jobs.builds_refused, 1);
    }
}
