//! What people are told about a scenario that is wrong.

use std::fmt::Write as _;

use model::load;
use model::{Millis, Problem};

const GOOD: &str = "\
name: example
about: Two jobs.
organization:
  pools: [{ name: linux, id: 7 }, { name: windows, id: 8 }]
manifests: [agents.yml]
load:
  - { at: 1m, builds: 2, duration: 5m, pool: linux }
at_most: 25m
expect:
  - { peak_replicas: 2 }
  - no_second_rise
";

fn told(text: &str) -> String {
    let problems = load::scenario("example.yaml", text).expect_err("a scenario with mistakes");
    problems.iter().fold(String::new(), |mut told, problem| {
        writeln!(told, "{problem}").expect("writing to a string");
        told
    })
}

/// What is told when this part of the good scenario is replaced.
fn told_with(part: &str, instead: &str) -> String {
    assert!(GOOD.contains(part), "the example has no `{part}`");
    told(&GOOD.replace(part, instead))
}

#[test]
fn a_good_scenario_is_read_with_its_defaults() {
    let scenario = load::scenario("example.yaml", GOOD).expect("a good scenario");
    assert_eq!(scenario.name, "example");
    assert_eq!(scenario.load[0].jobs, 1);
    assert_eq!(scenario.at_most, Millis::minutes(25));
    assert_eq!(scenario.cluster.nodes, 3);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let plain = load::scenario("example.yaml", GOOD);
    assert_eq!(load::scenario("example.yaml", &format!("\u{feff}{GOOD}")), plain);
    assert_eq!(load::scenario("example.yaml", &GOOD.replace('\n', "\r\n")), plain);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = "\
name: My Scenario
about: Two jobs.
organisation:
  pools: []
organization:
  pools: [{ name: linux, id: 0 }, { name: Linux, id: 0, agnets: [] }]
manifests: agents.yml
load:
  - { at: 60, builds: 0, duration: soon }
  - { at: 30m, duration: 9s..8s, pool: linus }
at_most: 25m
expect: [no_second_raise, { peak_replicas: many }, { no_second_rise: true }, peak_replicas]
until: setled
";
    assert_eq!(
        told(text),
        "\
example.yaml:1:7: `name` must be 1 to 40 lower-case letters, digits and inner dashes, not `My Scenario`
  hint: for example `my-scenario`
example.yaml:3:1: unknown field `organisation`
  hint: did you mean `organization`?
example.yaml:6:30: `id` must be 1 or more, not 0
example.yaml:6:43: two pools with the name `Linux`
  hint: the first is in line 6
example.yaml:6:54: `id` must be 1 or more, not 0
example.yaml:6:54: two pools with the id `0`
  hint: the first is in line 6
example.yaml:6:57: unknown field `agnets` in an item of `pools`
  hint: did you mean `agents`?
example.yaml:7:12: `manifests` must be a list, not `agents.yml`
  hint: put `- ` before each item, or all of them into `[` and `]`
example.yaml:9:5: which pool? there are several
  hint: add `pool:` with `linux` or `Linux`
example.yaml:9:11: `at` must be a duration, not the number 60
  hint: say of what: `60s` is seconds, `60m` minutes
example.yaml:9:23: `builds` must be 1 or more, not 0
example.yaml:9:36: `duration`: `soon` is not a duration; write it like `90s`, `5m`, `1h30m` or `500ms`
example.yaml:10:11: a burst at 30m is never queued: the run ends at 25m at the latest
example.yaml:10:26: `duration`: `9s..8s` ends before it begins; write the shorter duration first
example.yaml:10:40: there is no pool `linus`
  hint: did you mean `linux`?
example.yaml:12:10: an item of `expect` must be `peak_replicas`, `returns_to_min`, `no_second_rise`, \
`agents_deregister`, `no_busy_agent_killed`, `queue_wait`, `surplus_agents` or `reads_per_hour`, not `no_second_raise`
  hint: did you mean `no_second_rise`?
example.yaml:12:44: `peak_replicas` must be a whole number, not `many`
example.yaml:12:54: `no_second_rise` takes no value
  hint: write only `no_second_rise`
example.yaml:12:78: `peak_replicas` is expected twice
  hint: the first is in line 12; keep one of them
example.yaml:12:78: `peak_replicas` needs a value
  hint: write `peak_replicas: ...`
example.yaml:13:8: `until` must be `settled` or a duration, not `setled`
  hint: did you mean `settled`?
"
    );
}

#[test]
fn what_is_missing_is_named_and_explained() {
    assert_eq!(
        told("name: example\nabout: Nothing else.\n"),
        "\
example.yaml:1:1: `at_most` is missing
  hint: `at_most`: The longest the run may take
example.yaml:1:1: `load` is missing
  hint: `load`: When builds are queued
example.yaml:1:1: `manifests` is missing
  hint: `manifests`: Kubernetes manifests to apply, relative to the scenario's file
example.yaml:1:1: `organization` is missing
  hint: `organization`: The Azure DevOps organisation
"
    );
}

#[test]
fn what_is_not_a_scenario_is_told_in_a_line() {
    let nothing = "example.yaml:1:1: the file is empty\n  hint: a scenario begins with `name: ...`\n";
    for empty in ["", "\n\n", "# only a comment\n", "---\n", "\u{feff}", "~"] {
        assert_eq!(told(empty), nothing, "{empty:?}");
    }
    assert!(told("just a text").starts_with("example.yaml:1:1: this is no scenario but `just a text`"));
    assert!(told("[1, 2]").starts_with("example.yaml:1:1: this is no scenario but a list"));
    assert!(told("name: a\n---\nname: b\n").starts_with("example.yaml:3:1: a second document in the file"));
}

#[test]
fn what_is_not_yaml_is_told_with_its_place() {
    assert_eq!(told("name: [a, b\nabout: x\n").lines().count(), 1);
    for (garbage, place) in [
        (
            "name: a\n\tabout: x\n",
            "example.yaml:1:7: not YAML: while scanning a plain scalar, found a tab\n  hint: indent with spaces",
        ),
        ("name: \"open\nabout: x\n", "example.yaml:"),
        ("\u{0}\u{1}\u{2}", "example.yaml:1:"),
        ("name: *nobody\n", "example.yaml:1:7: "),
        ("name: &a [*a]\n", "example.yaml:1:"),
    ] {
        let told = told(garbage);
        assert!(told.starts_with(place), "{garbage:?} gave {told:?}");
    }
}

#[test]
fn bytes_that_are_not_text_are_told_with_their_place() {
    let problem = load::text("example.yaml", b"name: a\nabout: \xff\xfe").expect_err("no text");
    assert_eq!(
        problem.to_string(),
        "example.yaml:2:8: not text: this byte is not part of UTF-8\n  hint: save the file as UTF-8"
    );
    assert_eq!(load::text("example.yaml", "naïve".as_bytes()), Ok("naïve"));
}

#[test]
fn a_key_may_be_given_once() {
    assert_eq!(
        told_with("about: Two jobs.\n", "about: Two jobs.\nname: again\n"),
        "example.yaml:3:1: `name` is given twice\n  hint: the first is in line 1; keep one of them\n"
    );
}

#[test]
fn a_file_that_would_blow_up_is_refused() {
    let mut bomb = String::from("a: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = level - 1;
        let alias = vec![format!("*a{before}"); 9].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{alias}]").expect("writing to a string");
    }
    assert!(told(&bomb).contains("too much YAML"), "{}", told(&bomb));

    let deep = format!("name: {}", "[".repeat(5_000));
    assert!(told(&deep).starts_with("example.yaml:1:"));

    // Deep through aliases, though no line is.
    let mut chain = String::from("a: &a0 [x]\n");
    for level in 1..1_000 {
        writeln!(chain, "a{level}: &a{level} [*a{}]", level - 1).expect("writing to a string");
    }
    assert!(told(&chain).contains("too deep"));

    // Many keys, and as many unknown fields.
    let wide: String = (0..40_000).fold(String::new(), |mut wide, at| {
        writeln!(wide, "k{at}:").expect("writing to a string");
        wide
    });
    assert_eq!(told(&wide).lines().filter(|line| line.starts_with("example.yaml")).count(), 101);

    let long = format!("name: {}", "x".repeat(2 << 20));
    assert!(told(&long).contains("bytes are too many"));
}

#[test]
fn a_version_must_be_one_and_must_be_a_text() {
    let with_keda =
        |keda: &str| told_with("at_most: 25m\n", &format!("at_most: 25m\ncluster: {{ keda: {keda} }}\n"));
    assert_eq!(
        with_keda("2.20"),
        "example.yaml:9:18: `keda` must be a text, not the number 2.20\n  hint: put it into quotes: \"2.20\"\n"
    );
    assert!(with_keda("'2.20'").contains("`keda`: `2.20` is not a version"));
}

#[test]
fn versions_known_to_be_bad_are_comparisons() {
    let told = told_with("expect:\n", "known_bad: { keda: 'before 2.21' }\nexpect:\n");
    assert!(told.contains("`keda`: `before 2.21` is not a comparison of versions"), "{told}");
    assert!(told.contains("hint: write it like `>=2.20.0, <2.21.0`"), "{told}");
}

#[test]
fn a_field_in_the_wrong_place_is_sent_home() {
    assert_eq!(
        told_with("at_most: 25m\n", "at_most: 25m\nimage_pull: 20s\n"),
        "example.yaml:9:1: unknown field `image_pull`\n  hint: `image_pull` belongs under `cluster`\n"
    );
}

#[test]
fn jobs_must_be_able_to_end_before_the_run() {
    assert!(told_with("duration: 5m", "duration: 5m..25m").contains("may run until 26m"));
    // With a fixed end, a job may outlive the run.
    let fixed = GOOD.replace("duration: 5m", "duration: 25m").replace("expect:", "until: 10m\nexpect:");
    assert!(load::scenario("example.yaml", &fixed).is_ok());
    let late = told(&fixed.replace("at: 1m", "at: 10m"));
    assert!(late.contains("a burst at 10m is never queued: the run ends at 10m at the latest"), "{late}");
}

#[test]
fn counts_are_bounded() {
    assert!(told_with("builds: 2", "builds: 100001").contains("`builds` must be 100000 or less"));
    assert!(told_with("builds: 2", "builds: 400, jobs: 300").contains("120000 jobs are too many"));
    assert!(told_with("builds: 2", "builds: -1").contains("`builds` must be 0 or more, not -1"));
    assert!(
        told_with("builds: 2", "builds: 1.5").contains("`builds` must be a whole number, not the number 1.5")
    );
    assert!(told_with("builds: 2", "builds: 99999999999").contains("`builds` must be 4294967295 or less"));
    assert!(
        told_with("at_most: 25m", "at_most: 2000h")
            .contains("`at_most` must be more than 0s and 744h or less")
    );
}

#[test]
fn a_wait_has_bounds_in_order() {
    let with_wait =
        |bounds: &str| told_with("  - no_second_rise\n", &format!("  - {{ queue_wait: {bounds} }}\n"));
    assert!(with_wait("{}").contains("`queue_wait` bounds nothing"));
    assert!(with_wait("{ p95: 10s, p50: 20s }").contains("`p95` (10s) is less than `p50` (20s)"));
    assert!(with_wait("{ p99: 10s }").contains("unknown field `p99` in `queue_wait`"));
}

#[test]
fn others_can_point_into_the_file() {
    let loaded = load::scenario_with_places("example.yaml", GOOD).expect("a good scenario");
    let problem: Problem = loaded.places.at(&["manifests", "0"]).problem("cannot be read");
    assert_eq!(problem.to_string(), "example.yaml:5:13: cannot be read");
    let problem = loaded.places.at(&["expect_findings", "0"]).problem("no such rule");
    assert_eq!(problem.to_string(), "example.yaml:1:1: no such rule");
    assert_eq!(&GOOD[problem.place.span.offset..][..4], "name");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        let _ = load::scenario("example.yaml", &text);
    }

    #[test]
    fn no_yaml_makes_it_panic(
        text in "([ \\-:,#&*!|>'\"%@`\\[\\]{}?~<\n\t\r]|[a-c0-2]|name: |\n  - |load: |: |\u{feff}|\u{0}|\u{85}){0,60}"
    ) {
        let _ = load::scenario("example.yaml", &text);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        if let Ok(text) = load::text("example.yaml", &bytes) {
            let _ = load::scenario("example.yaml", text);
        }
    }

    /// Whatever one mistake does to a good file, it is read or it is told where it lies.
    #[test]
    fn every_problem_lies_within_the_file(at in 0_usize..300, length in 0_usize..12, instead in "[ -~\n]{0,8}") {
        let start = at.min(GOOD.len());
        let end = (start + length).min(GOOD.len());
        let text = format!("{}{instead}{}", &GOOD[..start], &GOOD[end..]);
        for problem in load::scenario("example.yaml", &text).err().unwrap_or_default() {
            let place = problem.place;
            proptest::prop_assert!(place.position.line >= 1 && place.position.column >= 1);
            proptest::prop_assert!(place.span.offset + place.span.length <= text.len());
            proptest::prop_assert!(place.position.line <= text.lines().count() + 1);
            // The line and column that people see are the offset that programs use.
            let before = &text[..place.span.offset];
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            proptest::prop_assert_eq!(place.position.line, before.matches('\n').count() + 1);
            proptest::prop_assert_eq!(place.position.column, before[line_start..].chars().count() + 1);
        }
    }
}

const WITH_FAULTS: &str = "\
name: faults
about: Everything that can go wrong.
organization: { pools: [{ name: linux, id: 7 }] }
manifests: [agents.yml]
load:
  - { at: 1m, every: 30s, times: 4, duration: 1m }
faults:
  - service: { from: 1m, to: 2m, route: job_requests, answer: 503, delay: 2s }
  - service: { from: 1m, to: 2m, answer: sign_in_page }
  - restart: { at: 2m, what: keda_operator }
  - pod_kill: { at: 2m, pod: busy }
  - pod_delete: { at: 2m }
  - node_loss: { from: 3m, to: 4m, node: 2 }
  - edit: { at: 3m, object: ScaledObject/agents, patch: { spec: { maxReplicaCount: 2 } } }
  - keda_upgrade: { at: 4m, version: 2.21.0 }
at_most: 25m
";

#[test]
fn faults_are_read_as_written() {
    let scenario = load::scenario("faults.yaml", WITH_FAULTS).expect("a good scenario");
    let whats: Vec<String> = scenario.faults.iter().map(model::fault::Fault::what).collect();
    assert_eq!(
        whats,
        [
            "jobrequests: answers 503, after 2s",
            "every request: answers 203, a sign-in page",
            "keda-operator restarts",
            "the oldest busy pod is killed",
            "the oldest running pod is deleted",
            "node 2 is lost",
            "ScaledObject/agents is changed",
            "KEDA becomes 2.21.0",
        ]
    );
    let text = serde_json::to_value(&scenario).expect("JSON");
    let again: model::Scenario = serde_json::from_value(text).expect("a scenario");
    assert_eq!(scenario, again);
}

#[test]
fn a_fault_that_cannot_be_is_refused() {
    for (good, bad, message) in [
        ("answer: 503, delay: 2s", "answer: 200", "`answer` must be a status from 400 to 599, not 200"),
        ("route: job_requests, answer: 503, delay: 2s", "route: job_requests", "this fault changes nothing"),
        ("from: 1m, to: 2m, route", "from: 2m, to: 2m, route", "`to` (2m) must be later than `from` (2m)"),
        ("at: 2m, what", "at: 25m, what", "a fault at 25m never comes: the run ends at 25m at the latest"),
        ("node: 2 }", "node: 4 }", "there is no node 4: the cluster has 3"),
        ("ScaledObject/agents", "agents", "`object` must be a kind and a name"),
        ("version: 2.21.0", "version: latest", "`version`: `latest` is not a version"),
        (", times: 4", "", "how often? `every` needs `times`"),
        ("pod: busy", "pod: lazy", "lazy"),
    ] {
        let text = WITH_FAULTS.replacen(good, bad, 1);
        assert_ne!(text, WITH_FAULTS, "{good}");
        let problems = load::scenario("faults.yaml", &text).expect_err(bad);
        let found = problems.iter().any(|problem| problem.to_string().contains(message));
        assert!(found && problems.len() == 1, "{bad}: {problems:?}");
    }
}
