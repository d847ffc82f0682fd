//! What pods want done, and the order in which a step does it.

use std::sync::Arc;

use azure_devops::Service;
use azure_devops::agent::{Listener, Settings as ListenerSettings, Setup, SetupStep, exit_code};
use controllers::PodId;
use kubelet::entrypoint::{self, Package};
use kubelet::{Action, Input, Pod, Sight};
use model::fault::{CalledBy, NamedAnswer, Route, ServiceAnswer};
use model::stream::stream;
use model::{Event, Fact, Instant, Millis, Source};
use rand_chacha::rand_core::Rng;

use super::calls::{Step, is_right};
use super::life::{Errand, ErrandState, Late, Life, setup_seed};
use super::pod::PodOnNode;
use super::waiters::Who;
use super::{Around, Change, NewPod, Nodes, Wake, at};

impl Nodes {
    pub(super) fn pod_mut(&mut self, id: PodId) -> Option<&mut PodOnNode> {
        self.pods.get_mut(at(id.0))?.as_deref_mut()
    }

    /// A node has a pod that it has not seen before.
    pub(super) fn take(&mut self, now: Instant, new: NewPod<'_>, around: &mut Around<'_>) {
        let ordinal = u64::from(new.id.0);
        let random = self.streams.pod.of(ordinal);
        let settings = kubelet::Settings { container_start: self.settings.container_start };
        let spec = Arc::clone(&new.template.template().spec);
        let containers = spec.init_containers.len() + spec.containers.len();
        let mut actions = std::mem::take(&mut self.actions);
        let pod = PodOnNode {
            ordinal,
            node: new.node,
            name: Arc::clone(new.name),
            uid: new.uid.0,
            template: Arc::clone(new.template),
            machine: Box::new(Pod::new_into(now, spec, settings, random, &mut actions)),
            machine_due: None,
            lives: (0..containers).map(|_| None).collect(),
            reported: None,
            gone: false,
            lost: false,
            wakes_at: None,
            touched: false,
        };
        let place = at(new.id.0);
        if place >= self.pods.len() {
            self.pods.resize_with(place + 1, || None);
        }
        self.pods[place] = Some(Box::new(pod));
        self.carry_out(now, new.id, &mut actions, around);
        self.actions = actions;
    }

    /// The pod's node was lost and is back: whatever ran in the pod does not run any more.
    pub(super) fn resume(&mut self, now: Instant, id: PodId, around: &mut Around<'_>) {
        let Some(pod) = self.pod_mut(id).filter(|pod| pod.lost) else { return };
        pod.lost = false;
        let wants_facts = std::mem::replace(&mut around.out.wants_facts, false);
        self.kill_containers(now, id, around);
        around.out.wants_facts = wants_facts;
    }

    pub(super) fn kill_containers(&mut self, now: Instant, id: PodId, around: &mut Around<'_>) {
        let containers = self.pod_mut(id).map_or(0, |pod| pod.lives.len());
        for container in 0..containers {
            self.tell(now, id, Input::Killed { container }, around);
        }
    }

    pub(super) fn forget(&mut self, id: PodId) {
        if let Some(pod) = self.pods.get_mut(at(id.0)) {
            *pod = None;
        }
    }

    pub(super) fn tell(&mut self, now: Instant, id: PodId, input: Input, around: &mut Around<'_>) {
        let mut actions = std::mem::take(&mut self.actions);
        if let Some(pod) = self.pod_mut(id).filter(|pod| !pod.lost) {
            pod.machine.handle_into(now, input, &mut actions);
            self.carry_out(now, id, &mut actions, around);
        }
        self.actions = actions;
    }

    /// Does what a machine wants, in order. What it wants in the course of that comes behind.
    fn carry_out(&mut self, now: Instant, id: PodId, actions: &mut Vec<Action>, around: &mut Around<'_>) {
        let (mut done, mut published, mut finished) = (0, false, false);
        while let Some(action) = actions.get(done).cloned() {
            done += 1;
            match action {
                Action::Publish => published = true,
                Action::Pull { container } => {
                    let image_at = self.pull(now, id, container);
                    self.answer(now, id, Input::Image { container, at: image_at }, actions);
                }
                Action::Configure { container } => {
                    let input = self.configure(id, container, around.service);
                    self.answer(now, id, input, actions);
                }
                Action::Entrypoint { container, start, action } => {
                    let container = u32::try_from(container).unwrap_or(u32::MAX);
                    self.entrypoint(now, Who { pod: id, container, start }, action, around);
                }
                Action::Vanish { container } => {
                    let life = self.pod_mut(id).and_then(|pod| pod.lives[container].as_mut());
                    life.into_iter().for_each(Life::vanish);
                }
                Action::Saw { container, sight } => self.saw(now, id, container, sight, around),
                Action::Finish => finished = true,
            }
        }
        actions.clear();
        if let Some(pod) = self.pod_mut(id) {
            pod.machine_due = pod.machine.next_deadline();
        }
        if published {
            self.publish(id, around);
        }
        if finished {
            self.finish(id, around);
        }
        self.touch(id);
    }

    fn answer(&mut self, now: Instant, id: PodId, input: Input, actions: &mut Vec<Action>) {
        if let Some(pod) = self.pod_mut(id) {
            pod.machine.handle_into(now, input, actions);
        }
    }

    fn publish(&mut self, id: PodId, around: &mut Around<'_>) {
        let Some(pod) = self.pod_mut(id).filter(|pod| !pod.gone) else { return };
        let report = pod.report();
        if pod.reported.replace(report) != Some(report) {
            around.out.changes.push(Change::Report(id, report));
        }
    }

    fn finish(&mut self, id: PodId, around: &mut Around<'_>) {
        if self.pod_mut(id).is_some_and(|pod| pod.gone) {
            self.forget(id);
        } else {
            around.out.changes.push(Change::Finished(id));
        }
    }

    fn pull(&mut self, now: Instant, id: PodId, container: usize) -> Instant {
        let Some(pod) = self.pods.get(at(id.0)).and_then(|pod| pod.as_ref()) else { return now };
        let image = pod.machine.container(container).image.as_str();
        let node = at(pod.node.0);
        let images = &mut self.nodes[node].images;
        let pull = || {
            let name = format!("image pull/{node}/{image}");
            self.settings.image_pull.draw(&mut stream(self.settings.seed, &name))
        };
        let span = if images.lacks(image) { pull() } else { Millis::ZERO };
        images.request(now, image, span)
    }

    fn configure(&mut self, id: PodId, container: usize, service: &Service) -> Input {
        let range = self.settings.agent_start_up;
        let refused = |message: Box<str>| Input::ConfigurationError { container, message };
        let Some(pod) = self.pods.get_mut(at(id.0)).and_then(|pod| pod.as_mut()) else {
            return refused("the pod is gone".into());
        };
        let start = pod.machine.starts(container);
        let start_up = range.draw(&mut self.streams.start_up.of2(pod.ordinal, start));
        let singular = pod.singular(&self.settings.nodes);
        match pod.template.decide(container, singular, start_up) {
            Ok(running) => {
                pod.lives[container] = running.agent.map(|agent| Life::new(agent, service));
                Input::Program { container, program: running.program }
            }
            Err(message) => refused(message),
        }
    }

    /// Carries out what a start script does.
    fn entrypoint(&mut self, now: Instant, who: Who, action: entrypoint::Action, around: &mut Around<'_>) {
        let life = self.pod_mut(who.pod).and_then(|pod| pod.lives[at(who.container)].as_mut());
        let Some(life) = life else { return };
        life.start = who.start;
        match action {
            entrypoint::Action::LookUpPackage => self.look_up(now, who, around),
            entrypoint::Action::Configure => {
                let name = Arc::clone(&life.identity.name);
                let (pool, seed) = (Arc::clone(&life.organization.pool), setup_seed(&name));
                self.begin(now, who, Setup::configure(pool, name, true, seed), false, around);
            }
            entrypoint::Action::RunAgent { once } => self.run_agent(now, who, once, around),
            entrypoint::Action::Remove => match &life.registration {
                Some(registered) => {
                    let name = Arc::clone(&life.identity.name);
                    let (pool, agent, seed) = (registered.pool.0, registered.agent.0, setup_seed(&name));
                    self.begin(now, who, Setup::remove(pool, agent, name, seed), true, around);
                }
                // No configuration lies on the disk: nothing is asked of the service.
                None => self.tell_script(who, entrypoint::Input::Removed),
            },
            entrypoint::Action::Exit(_) => {}
        }
    }

    fn look_up(&mut self, now: Instant, who: Who, around: &mut Around<'_>) {
        let fault = around.faults.intercept(now, Route::Packages, CalledBy::Other);
        let Some(life) = self.life(who) else { return };
        let package = match fault.and_then(|fault| fault.answer) {
            Some(ServiceAnswer::Named(NamedAnswer::Hang)) => return,
            Some(ServiceAnswer::Status(_) | ServiceAnswer::Named(NamedAnswer::TokenExpired)) => {
                Package::NotOffered
            }
            None => life.package(around.service),
            Some(answer) if is_right(answer) => life.package(around.service),
            Some(ServiceAnswer::Named(_)) => Package::Unreadable,
        };
        match fault.map(|fault| fault.delay).filter(|delay| *delay > Millis::ZERO) {
            Some(delay) => life.late.push((now + delay, Late::Package(package))),
            None => self.tell_script(who, entrypoint::Input::Package(package)),
        }
    }

    fn begin(&mut self, now: Instant, who: Who, setup: Setup, removes: bool, around: &mut Around<'_>) {
        let step = setup.start(now);
        let errand = Box::new(Errand { setup, state: ErrandState::Called { until: now }, removes });
        self.carry_on(now, who, errand, step, around);
    }

    fn run_agent(&mut self, now: Instant, who: Who, once: bool, around: &mut Around<'_>) {
        let Some(ordinal) = self.pod_mut(who.pod).map(|pod| pod.ordinal) else { return };
        let seed = self.streams.agent.of2(ordinal, who.start).next_u64();
        let settings = ListenerSettings::new(once, seed, self.settings.epoch);
        let mut outputs = std::mem::take(&mut self.outputs);
        match self.life(who) {
            Some(life) if life.registration.is_some() => {
                let listener = life.listener.insert(Listener::new(settings));
                listener.start_into(now, &mut outputs);
            }
            _ => self.tell_script(who, entrypoint::Input::AgentExited(exit_code::TERMINATED_ERROR)),
        }
        self.outputs = outputs;
        self.carry_out_outputs(now, who, around);
    }

    /// Does what is due in a pod.
    pub(super) fn wake_pod(&mut self, now: Instant, id: PodId, around: &mut Around<'_>) {
        let Some(pod) = self.pod_mut(id) else { return };
        if pod.machine_due.is_some_and(|due| due <= now) {
            let mut actions = std::mem::take(&mut self.actions);
            if let Some(pod) = self.pod_mut(id) {
                pod.machine.advance_into(now, &mut actions);
            }
            self.carry_out(now, id, &mut actions, around);
            self.actions = actions;
        }
        let containers = self.pod_mut(id).map_or(0, |pod| pod.lives.len());
        for container in 0..containers {
            self.wake_agent(now, id, container, around);
        }
        self.touch(id);
    }

    fn wake_agent(&mut self, now: Instant, pod: PodId, container: usize, around: &mut Around<'_>) {
        let life = self.pod_mut(pod).and_then(|pod| pod.lives[container].as_mut());
        let Some(life) = life else { return };
        let (is_late, on_errand) = (!life.late.is_empty(), life.errand.is_some());
        let who = Who { pod, container: u32::try_from(container).unwrap_or(u32::MAX), start: life.start };
        if is_late {
            self.wake_late(now, who, around);
        }
        if on_errand {
            self.wake_errand(now, who, around);
        }
        let mut outputs = std::mem::take(&mut self.outputs);
        if let Some(listener) = self.life(who).and_then(|life| life.listener.as_mut()) {
            listener.advance_into(now, &mut outputs);
        }
        self.outputs = outputs;
        self.carry_out_outputs(now, who, around);
    }

    /// Delivers what a fault held back. An answer that is there comes before a time limit that is over.
    fn wake_late(&mut self, now: Instant, who: Who, around: &mut Around<'_>) {
        while let Some(late) = self.life(who).and_then(|life| life.take_late(now)) {
            match late {
                Late::Answer(call, answer) => self.steps.push_back(Step::Answer(who, call, answer)),
                Late::Package(package) => self.tell_script(who, entrypoint::Input::Package(package)),
                Late::Setup(answer) => {
                    if let Some(mut errand) = self.life(who).and_then(|life| life.errand.take()) {
                        let step = errand.setup.answer(now, answer);
                        self.carry_on(now, who, errand, step, around);
                    }
                }
            }
        }
        self.do_steps(now, around);
    }

    fn wake_errand(&mut self, now: Instant, who: Who, around: &mut Around<'_>) {
        let Some(life) = self.life(who) else { return };
        let Some(mut errand) = life.errand.take() else { return };
        let step = match &errand.state {
            ErrandState::ToCall { call, at, limit } if *at <= now => {
                SetupStep::Call { call: call.clone(), at: *at, limit: *limit }
            }
            ErrandState::Called { until } if *until <= now => {
                let failure = Self::setup_timed_out(*until);
                life.late.retain(|(_, late)| !matches!(late, Late::Setup(_)));
                errand.setup.answer(now, Err(failure))
            }
            ErrandState::ToCall { .. } | ErrandState::Called { .. } => {
                life.errand = Some(errand);
                return;
            }
        };
        self.carry_on(now, who, errand, step, around);
    }

    /// Does what is queued, and what comes of that.
    fn do_steps(&mut self, now: Instant, around: &mut Around<'_>) {
        while let Some(step) = self.steps.pop_front() {
            match step {
                Step::Tell(pod, input) => self.tell(now, pod, input, around),
                Step::Answer(who, call, answer) => {
                    let mut outputs = std::mem::take(&mut self.outputs);
                    if let Some(listener) = self.life(who).and_then(|life| life.listener.as_mut()) {
                        listener.answer_into(now, call, answer, &mut outputs);
                    }
                    self.outputs = outputs;
                    self.carry_out_outputs(now, who, around);
                }
            }
        }
    }

    /// Does what is queued, and says when to come back.
    pub(super) fn finish_step(&mut self, now: Instant, around: &mut Around<'_>) {
        self.do_steps(now, around);
        while let Some(id) = self.touched.pop() {
            let Some(pod) = self.pod_mut(id) else { continue };
            pod.touched = false;
            let due = pod.next_deadline().filter(|_| !pod.lost).map(|due| due.max(now));
            if let Some(at) = due
                && pod.wakes_at.is_none_or(|wakes_at| at < wakes_at)
            {
                pod.wakes_at = Some(at);
                around.out.wakes.push(Wake { at, pod: id });
            }
        }
    }

    /// The pod's deadline may have changed.
    pub(super) fn touch(&mut self, id: PodId) {
        if let Some(pod) = self.pod_mut(id)
            && !std::mem::replace(&mut pod.touched, true)
        {
            self.touched.push(id);
        }
    }

    fn saw(&mut self, now: Instant, id: PodId, container: usize, sight: Sight, around: &mut Around<'_>) {
        let Some(pod) = self.pod_mut(id).filter(|_| around.out.wants_facts) else { return };
        let agent = pod.lives[container].as_ref().map(|life| life.identity.name.to_string());
        let container = pod.machine.container(container).name.clone();
        let pod = pod.name.to_string();
        let signal = |name: &str| name.to_owned();
        let fact = match sight {
            Sight::Started { restarts } => Fact::ContainerStarted { pod, container, restarts, agent },
            Sight::Term => Fact::ContainerSignalled { pod, container, signal: signal("SIGTERM") },
            Sight::Kill => Fact::ContainerSignalled { pod, container, signal: signal("SIGKILL") },
            Sight::Exited { code } => Fact::ContainerExited { pod, container, code, agent },
            Sight::BackOff { until } => Fact::ContainerBackOff { pod, container, until },
        };
        around.out.facts.push(Event { at: now, by: Source::Node, fact });
    }
}
