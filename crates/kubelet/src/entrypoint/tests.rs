//! The table at the head of the machine, case by case, as bash decided it.

use proptest::prelude::*;

use super::*;

const SETTINGS: Settings = Settings {
    script: Script::RunDocker,
    once: false,
    template: false,
    complete: true,
    first_process: true,
    start_up: Millis::seconds(10),
};

/// A script brought to a point of its life, and everything that it did there.
struct Life {
    script: Entrypoint,
    now: Instant,
    did: Vec<Action>,
}

impl Life {
    fn start(settings: Settings) -> Self {
        let (script, action) = Entrypoint::start(Instant(0), settings);
        Self { script, now: Instant(0), did: vec![action] }
    }

    fn told(mut self, input: Input) -> Self {
        self.did.extend(self.script.handle(self.now, input));
        self
    }

    /// Lets time pass until the machine does something or has nothing to wait for.
    fn waits(mut self) -> Self {
        let before = self.did.len();
        while let (Some(deadline), true) = (self.script.next_deadline(), self.did.len() == before) {
            self.now = deadline;
            self.did.extend(self.script.advance(deadline));
        }
        self
    }

    fn configuring(settings: Settings) -> Self {
        Self::start(settings).told(Input::Package(Package::Found)).waits()
    }

    fn running(settings: Settings) -> Self {
        Self::configuring(settings).told(Input::Configured).waits().told(Input::Listening)
    }

    fn last(&self) -> Action {
        *self.did.last().expect("a script does something at once")
    }
}

#[test]
fn an_agent_comes_up_in_its_time() {
    let life = Life::running(SETTINGS);
    assert_eq!(life.did, [Action::LookUpPackage, Action::Configure, Action::RunAgent { once: true }]);
    assert_eq!(life.now, Instant(10_000));
    assert!(life.script.listens());
}

#[test]
fn the_newer_script_runs_once_only_when_told() {
    let settings = Settings { script: Script::Run, ..SETTINGS };
    assert_eq!(Life::running(settings).last(), Action::RunAgent { once: false });
    assert_eq!(Life::running(Settings { once: true, ..settings }).last(), Action::RunAgent { once: true });
}

#[test]
fn what_is_missing_ends_the_script() {
    assert_eq!(Life::start(Settings { complete: false, ..SETTINGS }).did, [Action::Exit(1)]);
    for (package, code) in [(Package::NotOffered, 1), (Package::Unreadable, 4), (Package::Unreachable, 7)] {
        assert_eq!(Life::start(SETTINGS).told(Input::Package(package)).last(), Action::Exit(code));
    }
}

#[test]
fn a_failed_configuration_leaves_without_cleaning_up() {
    let life = Life::configuring(SETTINGS).told(Input::ConfigureFailed(1));
    assert_eq!(life.last(), Action::Exit(1));
    let newer = Life::configuring(Settings { script: Script::Run, ..SETTINGS });
    assert_eq!(newer.told(Input::ConfigureFailed(1)).last(), Action::Exit(0));
}

#[test]
fn an_idle_agent_is_removed_on_term_and_the_exit_trap_has_the_last_word() {
    let life = Life::running(SETTINGS).told(Input::Term);
    assert_eq!(life.last(), Action::Remove);
    assert_eq!(life.told(Input::Removed).last(), Action::Exit(0));
    let newer = Life::running(Settings { script: Script::Run, ..SETTINGS }).told(Input::Term);
    assert_eq!(newer.told(Input::Removed).last(), Action::Exit(143));
}

#[test]
fn a_busy_agent_is_asked_for_every_thirty_seconds() {
    let life = Life::running(SETTINGS).told(Input::Term);
    let asked = life.now;
    let life = life.told(Input::RemoveFailed).waits();
    assert_eq!((life.last(), life.now), (Action::Remove, asked + RETRY_REMOVAL));
    // The job ends meanwhile; nobody waits for the agent any more.
    let life = life.told(Input::RemoveFailed).told(Input::AgentExited(0));
    assert!(!life.script.listens());
    let life = life.waits().told(Input::Removed);
    assert_eq!(life.last(), Action::Exit(0));
    assert_eq!(life.did.iter().filter(|action| **action == Action::Remove).count(), 3);
}

#[test]
fn an_agent_that_ends_is_removed_whatever_its_code() {
    for code in [0, 1, 3] {
        let life = Life::running(SETTINGS).told(Input::AgentExited(code));
        assert_eq!(life.last(), Action::Remove);
        assert_eq!(life.told(Input::Removed).last(), Action::Exit(0));
    }
}

#[test]
fn term_before_the_traps_is_lost_on_the_first_process() {
    for life in [Life::start(SETTINGS), Life::configuring(SETTINGS)] {
        let before = life.did.clone();
        assert_eq!(life.told(Input::Term).did, before);
    }
    let late = Life::configuring(SETTINGS).told(Input::Term).told(Input::Configured).waits();
    assert_eq!(late.last(), Action::RunAgent { once: true }, "the lost signal is not remembered");
}

#[test]
fn term_before_the_traps_ends_any_other_process() {
    let settings = Settings { first_process: false, ..SETTINGS };
    assert_eq!(Life::configuring(settings).told(Input::Term).last(), Action::Exit(143));
    assert_eq!(Life::running(settings).told(Input::Term).last(), Action::Remove, "a trap is a trap");
}

#[test]
fn term_between_the_traps_and_the_listener_removes_at_once() {
    let mut life = Life::configuring(SETTINGS).told(Input::Configured);
    life.now = Instant(8000);
    life.did.extend(life.script.advance(life.now));
    let life = life.told(Input::Term).told(Input::Removed).waits();
    assert_eq!(
        life.did,
        [Action::LookUpPackage, Action::Configure, Action::Remove, Action::Exit(0)],
        "the agent never runs"
    );
}

#[test]
fn term_while_the_newer_script_configures_leaves_what_may_be_registered() {
    let life = Life::configuring(Settings { script: Script::Run, ..SETTINGS }).told(Input::Term);
    assert_eq!(life.last(), Action::Exit(143));
}

#[test]
fn a_template_has_no_traps() {
    let settings = Settings { template: true, ..SETTINGS };
    assert_eq!(Life::running(settings).told(Input::AgentExited(3)).last(), Action::Exit(3));
    assert_eq!(Life::running(settings).told(Input::Term).last(), Action::RunAgent { once: true });
}

#[test]
fn term_inside_the_exit_trap_takes_over_when_the_command_is_done() {
    let cleaning = || Life::running(SETTINGS).told(Input::AgentExited(0));
    // While the removal runs: it succeeds, the second clean-up finds nothing.
    let life = cleaning().told(Input::Term).told(Input::Removed);
    assert_eq!(life.last(), Action::Exit(143));
    // While the removal runs: it is refused, the TERM trap tries again at once.
    let life = cleaning().told(Input::Term).told(Input::RemoveFailed);
    assert_eq!((life.last(), life.script.next_deadline()), (Action::Remove, None));
    assert_eq!(life.told(Input::Removed).last(), Action::Exit(143));
    // While it sleeps: the sleep is finished first.
    let life = cleaning().told(Input::RemoveFailed).told(Input::Term);
    let slept = life.now + RETRY_REMOVAL;
    let life = life.waits();
    assert_eq!((life.last(), life.now), (Action::Remove, slept));
    assert_eq!(life.told(Input::Removed).last(), Action::Exit(143));
}

#[test]
fn a_second_term_changes_nothing() {
    let life = Life::running(SETTINGS).told(Input::Term).told(Input::Term).told(Input::Removed);
    assert_eq!(life.last(), Action::Exit(0));
}

#[test]
fn the_agent_of_kedas_tests_takes_job_after_job_until_it_is_told_to_leave() {
    let settings = Settings { script: Script::KedaAgent, once: true, template: true, ..SETTINGS };
    let life = Life::running(settings);
    assert_eq!(life.last(), Action::RunAgent { once: false }, "neither arguments nor names count");
    let life = life.told(Input::Term);
    assert_eq!(life.last(), Action::Remove);
    assert_eq!(life.told(Input::Removed).last(), Action::Exit(143));
    for code in [0, 1] {
        let life = Life::running(settings).told(Input::AgentExited(code));
        assert_eq!(life.last(), Action::Exit(code), "it stays registered");
    }
}

#[test]
fn the_advanced_agent_of_kedas_tests_takes_one_job_and_is_removed() {
    let settings = Settings { script: Script::KedaAdvancedAgent, ..SETTINGS };
    let life = Life::running(settings);
    assert_eq!(life.last(), Action::RunAgent { once: true });
    for told in [Input::AgentExited(0), Input::AgentExited(1), Input::Term] {
        let life = Life::running(settings).told(told);
        assert_eq!(life.last(), Action::Remove, "{told:?}");
        assert_eq!(life.told(Input::Removed).last(), Action::Exit(0), "{told:?}");
    }
    let template = Life::running(Settings { template: true, ..settings }).told(Input::Term);
    assert_eq!(template.last(), Action::RunAgent { once: true }, "a template has no traps");
}

#[test]
fn the_scripts_of_kedas_tests_do_not_repeat_a_refused_removal() {
    let removals = |life: &Life| life.did.iter().filter(|action| **action == Action::Remove).count();
    let settings = Settings { script: Script::KedaAgent, ..SETTINGS };
    let life = Life::running(settings).told(Input::Term).told(Input::RemoveFailed);
    assert_eq!((life.last(), removals(&life)), (Action::Exit(1), 1));
    let settings = Settings { script: Script::KedaAdvancedAgent, ..SETTINGS };
    let life = Life::running(settings).told(Input::AgentExited(0)).told(Input::RemoveFailed);
    assert_eq!((life.last(), removals(&life)), (Action::Exit(1), 1));
    // `set -e` leaves the TERM trap, and the EXIT trap tries by itself.
    let life = Life::running(settings).told(Input::Term).told(Input::RemoveFailed);
    assert_eq!((life.last(), removals(&life)), (Action::Remove, 2));
    assert_eq!(life.told(Input::RemoveFailed).last(), Action::Exit(1));
}

#[test]
fn the_images_of_kedas_tests_say_which_script_they_have() {
    let agent = "ghcr.io/kedacore/tests-azure-pipelines-agent";
    for image in [agent.to_owned(), format!("{agent}:b3a02cc"), format!("{agent}:x@sha256:0")] {
        assert_eq!(Script::of_image(&image), Some(Script::KedaAgent), "{image}");
    }
    let advanced = "ghcr.io/kedacore/tests-azure-pipelines-advagent:latest";
    assert_eq!(Script::of_image(advanced), Some(Script::KedaAdvancedAgent));
    for other in ["", "agent:1", "ghcr.io/kedacore/tests-azure-pipelines-agents:1"] {
        assert_eq!(Script::of_image(other), None, "{other}");
    }
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        Just(Input::Package(Package::Found)),
        Just(Input::Configured),
        (0..5).prop_map(Input::ConfigureFailed),
        Just(Input::Listening),
        (0..5).prop_map(Input::AgentExited),
        Just(Input::Removed),
        Just(Input::RemoveFailed),
        Just(Input::Term),
    ]
}

proptest! {
    #[test]
    fn the_script_ends_once_and_runs_one_agent_at_a_time(
        script in prop_oneof![
            Just(Script::RunDocker),
            Just(Script::Run),
            Just(Script::KedaAgent),
            Just(Script::KedaAdvancedAgent),
        ],
        template: bool,
        first_process: bool,
        inputs in proptest::collection::vec((any_input(), any::<bool>()), 0..60),
    ) {
        let mut life = Life::start(Settings { script, template, first_process, ..SETTINGS });
        for (input, waits) in inputs {
            life = life.told(input);
            if waits {
                life = life.waits();
            }
        }
        let count = |wanted: fn(&Action) -> bool| life.did.iter().filter(|action| wanted(action)).count();
        let exits = count(|action| matches!(action, Action::Exit(_)));
        prop_assert!(exits <= 1);
        let runs = count(|action| matches!(action, Action::RunAgent { .. }));
        let configures = count(|action| *action == Action::Configure);
        prop_assert!(runs <= 1 && configures <= 1);
        if exits == 1 {
            let ended = matches!(life.last(), Action::Exit(_));
            prop_assert!(ended, "nothing follows the end");
            prop_assert_eq!(life.script.next_deadline(), None);
        }
    }
}
