"""The twin's scenario in SimPy 4.1: what a general simulator takes for the same events.

Jobs come in bursts; KEDA polls and the HPA syncs; the Deployment's and the ReplicaSet's controllers,
the scheduler and the nodes make pods of a write; an agent sets itself up, opens a session, polls, takes
jobs, renews their locks and leaves; the service holds polls, promises and assigns jobs, and watches
sessions and locks. Every kind of event that the twin's log has here happens here too, as often: the
counts of both are shown side by side and must agree within 5 %.

Not modelled, though the twin does: whatever does not happen in this scenario (faults, rollouts, other
workloads, probes, retries, refusals), the rate limits of the controllers' clients, which are never
reached, names and messages.

    queue_simpy.py TWIN.TXT     TWIN.TXT holds the lines `twin/peer ...` of the twin's benchmark
"""

import collections
import math
import random
import re
import sys
import time

import simpy

BURSTS, BUILDS, EVERY, DURATION = 500, 20, 1200.0, 180.0
IN_PLACE, FIRST, UNTIL = 23.263, 60.0, 10001 * 60.0
MOST, NODES, PODS_PER_NODE = 30, 2, 500
# KEDA and the HPA.
POLL, COOLDOWN = 30.0, 300.0
SYNC, SYNC_TAKES, WINDOW, TOLERANCE = 15.0, 0.008, 300.0, 0.1
# The control plane.
CALL, WATCH, SCHEDULING = (0.002, 0.008), (0.001, 0.004), (0.005, 0.015)
EVENTS_AT_ONCE, AN_EVENT_EVERY = 25, 300.0
# Nodes.
IMAGE_PULL, CONTAINER_START, START_UP, TEAR_DOWN, GRACE = 5.0, (1.0, 3.0), (8.0, 20.0), 0.5, 30.0
# Agents and the service.
HELD_POLL, POLL_PAUSE, KEEP_ALIVE_PAUSE, RENEWAL = 50.0, (5.0, 15.0), 30.0, 60.0
ASSIGN, RECEIVE, LOCK, SILENCE = (0.5, 3.0), 300.0, 600.0, 300.0

BEST_OF = 3
AGREEMENT = 0.05


class Run:
    """What everybody shares: the clock, chance, and the counts."""

    def __init__(self, seed):
        self.env = simpy.Environment()
        self.random = random.Random(seed)
        self.counts = collections.Counter()

    def delay(self, between):
        return self.env.timeout(self.random.uniform(*between))


class Job:
    def __init__(self, run, number):
        self.number = number
        self.result = None
        self.agent = None
        self.locked_until = 0.0
        self.received, self.finished = run.env.event(), run.env.event()


class Agent:
    def __init__(self, number, name):
        self.number, self.name = number, name
        self.session = None
        self.job = None


class Session:
    def __init__(self, agent, now):
        self.agent = agent
        self.last_seen = now
        self.messages = {}
        self.held = []
        self.watch = None


class Service:
    """Azure DevOps: agents, sessions, held polls, job requests."""

    def __init__(self, run):
        self.run, self.env, self.counts = run, run.env, run.counts
        self.agents, self.by_name = {}, {}
        self.idle = {}
        self.waiting = collections.deque()
        self.unfinished = {}
        self.numbers = self.messages = 0
        self.register("placeholder")
        self.finished = 0

    # Calls of an agent's set-up.

    def find_pool(self):
        self.counts["calls"] += 1
        return 18

    def find_agent(self, name):
        self.counts["calls"] += 1
        return self.by_name.get(name)

    def register(self, name):
        self.numbers += 1
        agent = self.agents[self.numbers] = self.by_name[name] = Agent(self.numbers, name)
        self.counts["agent.registered"] += 1
        return agent

    def add(self, name):
        self.counts["calls"] += 1
        return self.register(name)

    def remove(self, agent):
        self.counts["calls"] += 1
        self.idle.pop(agent.number, None)
        session, agent.session = agent.session, None
        if session is not None:
            session.watch.interrupt()
            for held in session.held:
                held.succeed()
            self.counts["session.expired"] += 1
            self.counts["agent.offline"] += 1
        del self.agents[agent.number], self.by_name[agent.name]
        self.counts["agent.removed"] += 1

    # Calls of a listener.

    def open_session(self, agent):
        self.counts["calls"] += 1
        session = agent.session = Session(agent, self.env.now)
        session.watch = self.env.process(self.watch(session))
        self.counts["session.opened"] += 1
        self.counts["agent.online"] += 1
        self.idle[agent.number] = agent
        self.promise()
        return session

    def poll(self, session, after):
        """The message that comes while the poll is held, if any."""
        self.counts["calls"] += 1
        session.last_seen = self.env.now
        for number, job in session.messages.items():
            if number > after:
                return number, job
        held = self.env.event()
        session.held.append(held)
        yield held | self.env.timeout(HELD_POLL)
        session.last_seen = self.env.now
        session.held.remove(held)
        return held.value if held.triggered else None

    def delete_message(self, session, number):
        self.counts["calls"] += 1
        del session.messages[number]

    def renew(self, job):
        self.counts["calls"] += 1
        if not job.received.triggered:
            job.received.succeed()
            self.counts["job_request.received"] += 1
        job.locked_until = self.env.now + LOCK

    def complete(self, job):
        self.counts["calls"] += 1
        job.result = "succeeded"
        job.finished.succeed()
        del self.unfinished[job.number]
        self.finished += 1
        self.counts["job_request.finished"] += 1
        self.counts["build.completed"] += 1
        agent, job.agent.job = job.agent, None
        if agent.session is not None:
            self.idle[agent.number] = agent
            self.promise()

    def close_session(self, session):
        """Refused if the session is over."""
        self.counts["calls"] += 1
        return session.agent.session is session

    # What the service does by itself.

    def queue_build(self, number):
        job = self.unfinished[number] = Job(self.run, number)
        self.counts["build.queued"] += 1
        self.counts["job_request.queued"] += 1
        self.waiting.append(job)
        self.promise()

    def promise(self):
        while self.waiting and self.idle:
            agent = self.idle.pop(min(self.idle))
            self.env.process(self.serve(self.waiting.popleft(), agent))

    def serve(self, job, agent):
        """A job from its promise to its end: assigned, received in time, its lock renewed in time."""
        yield self.run.delay(ASSIGN)
        job.agent, agent.job = agent, job
        self.counts["job_request.assigned"] += 1
        self.messages += 1
        session = agent.session
        session.messages[self.messages] = job
        for held in session.held:
            held.succeed((self.messages, job))
        yield job.received | self.env.timeout(RECEIVE)
        while not job.finished.triggered:
            yield job.finished | self.env.timeout(job.locked_until - self.env.now)

    def watch(self, session):
        """A session without a poll for too long ends."""
        try:
            while session.held or self.env.now - session.last_seen < SILENCE:
                seen = self.env.now if session.held else session.last_seen
                yield self.env.timeout(seen + SILENCE - self.env.now)
        except simpy.Interrupt:
            pass


class Pod:
    def __init__(self, run, name, created):
        self.name, self.created = name, created
        self.node = None
        self.ready_at = None
        self.ready = self.terminating = self.ended = False
        self.signal = run.env.event()


class Node:
    def __init__(self, number):
        self.number = number
        self.load = 0
        self.image = None


class Controller:
    """A key in a controller's work queue: worked on once at a time, and again if something happened meanwhile."""

    def __init__(self, run):
        self.run, self.env, self.counts = run, run.env, run.counts
        self.due, self.wanted = False, run.env.event()
        self.tokens, self.refilled = float(EVENTS_AT_ONCE), 0.0
        self.env.process(self.work())

    def notify(self):
        """The informer hears of it a moment later."""
        if not self.due:
            self.due = True
            self.run.delay(WATCH).callbacks.append(self.hear)

    def hear(self, _):
        self.due = False
        self.counts["steps"] += 1
        if not self.wanted.triggered:
            self.wanted.succeed()

    def work(self):
        while True:
            yield self.wanted
            self.wanted = self.env.event()
            yield from self.sync()

    def call(self):
        yield self.run.delay(CALL)
        self.counts["steps"] += 1

    def record(self):
        """Writes an event, unless there were too many."""
        now = self.env.now
        self.tokens = min(EVENTS_AT_ONCE, self.tokens + (now - self.refilled) / AN_EVENT_EVERY)
        self.refilled = now
        if self.tokens >= 1:
            self.tokens -= 1
            self.env.process(self.call())


class Deployment(Controller):
    def __init__(self, run):
        super().__init__(run)
        self.replicas, self.set = 0, None
        self.status = (0, 0, 0)
        self.counts["replicas"] += 1

    def scale(self, replicas):
        self.replicas = replicas
        self.counts["replicas"] += 1
        self.counts["scale.written"] += 1
        self.notify()

    def sync(self):
        if self.set.replicas != self.replicas:
            yield from self.call()
            self.set.replicas = self.replicas
            self.set.notify()
            self.notify()
            self.record()
        if self.status != self.set.status:
            status = self.set.status
            yield from self.call()
            self.counts["replicas"] += self.status[:2] != status[:2]
            self.status = status


class ReplicaSet(Controller):
    def __init__(self, run, deployment, scheduler):
        super().__init__(run)
        self.deployment, self.scheduler = deployment, scheduler
        self.replicas, self.status = 0, (0, 0, 0)
        self.pods, self.made = {}, 0

    def sync(self):
        active = [pod for pod in self.pods.values() if not pod.terminating and not pod.ended]
        missing = self.replicas - len(active)
        going = len(self.pods) - len(active)
        status = (len(active), sum(pod.ready for pod in active), going)
        batch = 1
        while missing > 0:
            batch = min(batch, missing)
            yield self.env.all_of([self.env.process(self.create()) for _ in range(batch)])
            missing, batch = missing - batch, 2 * batch
        if missing < 0:
            victims = sorted(active, key=self.rank)[: -missing]
            yield self.env.all_of([self.env.process(self.delete(pod)) for pod in victims])
        if status != self.status:
            yield from self.call()
            self.status = status
            self.deployment.notify()

    def rank(self, pod):
        """Pods that are not ready go first, then those on crowded nodes, then the youngest."""
        crowd = pod.node.load if pod.node is not None else math.inf
        return (pod.ready, -crowd, -(pod.ready_at or 0.0), -pod.created)

    def create(self):
        yield from self.call()
        self.made += 1
        pod = Pod(self.run, f"agents-84699b599f-{self.made:05}", self.env.now)
        self.pods[pod.name] = pod
        self.counts["pod.created"] += 1
        self.record()
        self.notify()
        self.scheduler.put(pod)

    def delete(self, pod):
        yield from self.call()
        pod.terminating = True
        self.counts["pod.terminating"] += 1
        self.record()
        self.notify()
        pod.signal.succeed()

    def gone(self, pod):
        del self.pods[pod.name]
        pod.node.load -= 1
        self.counts["pod.gone"] += 1
        self.notify()


def schedule(run, queue, nodes, kubelet):
    """The node with the fewest pods, then any."""
    before = 0.0
    while True:
        pod = yield queue.get()
        before = max(before, pod.created + run.random.uniform(*SCHEDULING))
        yield run.env.timeout(max(0.0, before - run.env.now))
        run.counts["steps"] += 1
        fitting = [node for node in nodes if node.load < PODS_PER_NODE]
        least = min(node.load for node in fitting)
        pod.node = run.random.choice([node for node in fitting if node.load == least])
        pod.node.load += 1
        run.counts["pod.scheduled"] += 1
        kubelet.replica_set.notify()
        run.env.process(kubelet.pod(pod))


class Kubelet:
    """The life of a pod on its node, with the start script and the agent inside."""

    def __init__(self, run, service):
        self.run, self.env, self.counts = run, run.env, run.counts
        self.service, self.replica_set = service, None

    def pod(self, pod):
        self.replica_set.notify()
        if pod.node.image is None:
            pod.node.image = self.env.timeout(IMAGE_PULL)
        if not pod.node.image.processed:
            yield pod.node.image
        yield self.run.delay(CONTAINER_START)
        pod.ready, pod.ready_at = True, self.env.now
        for kind in ("container.started", "pod.running", "pod.ready"):
            self.counts[kind] += 1
        self.replica_set.notify()
        script = self.env.process(self.script(pod))
        yield pod.signal
        self.counts["container.signalled"] += 1
        script.interrupt()
        yield script | self.env.timeout(GRACE)
        pod.ready, pod.ended = False, True
        self.counts["container.exited"] += 1
        self.counts["pod.ended"] += 1
        self.replica_set.notify()
        yield self.env.timeout(TEAR_DOWN)
        self.replica_set.gone(pod)

    def script(self, pod):
        """`config.sh`, `run.sh`, and `config.sh remove` when it is told to end."""
        service, start_up = self.service, self.run.random.uniform(*START_UP)
        agent, loops = None, []
        try:
            yield self.env.timeout(start_up / 2)
            service.find_pool()
            if service.find_agent(pod.name) is None:
                agent = service.add(pod.name)
            yield self.env.timeout(start_up / 2)
            session = service.open_session(agent)
            loops = [self.env.process(self.listen(session)), self.env.process(self.keep_alive(session))]
            yield self.env.all_of(loops)
        except simpy.Interrupt:
            for loop in loops:
                loop.interrupt()
            if agent is not None and service.find_agent(pod.name) is agent:
                service.remove(agent)

    def listen(self, session):
        last, polls = 0, False
        try:
            while True:
                polls = True
                message = yield from self.service.poll(session, last)
                polls = False
                if message is None:
                    yield self.run.delay(POLL_PAUSE)
                    continue
                last, job = message
                self.env.process(self.work(job))
                self.service.delete_message(session, last)
        except simpy.Interrupt:
            if polls:
                # Its poll is refused, since it is not registered any more.
                self.service.close_session(session)

    def keep_alive(self, session):
        try:
            while True:
                yield from self.service.poll(session, 0)
                yield self.env.timeout(KEEP_ALIVE_PAUSE)
        except simpy.Interrupt:
            pass

    def work(self, job):
        end = self.env.now + DURATION
        self.service.renew(job)
        while self.env.now + RENEWAL <= end:
            yield self.env.timeout(RENEWAL)
            self.service.renew(job)
        yield self.env.timeout(max(0.0, end - self.env.now))
        self.service.complete(job)


class Keda:
    """The operator's loop, and the metrics that it answers the HPA with."""

    def __init__(self, run, service, deployment):
        self.run, self.env, self.counts = run, run.env, run.counts
        self.service, self.deployment = service, deployment
        self.active_at = -math.inf
        self.hpa_active = None
        self.conditions = {}
        for name in ("Ready", "Active", "Fallback", "Paused"):
            self.set(name, None)
        self.set("Ready", (True, "ScaledObjectReady"))
        self.set("Fallback", (False, "NoFallbackFound"))

    def set(self, name, value):
        if self.conditions.get(name, self) != value:
            self.conditions[name] = value
            self.counts["condition"] += 1

    def read(self):
        """Rows of the pool without a result."""
        self.counts["scaler.read"] += 1
        return sum(1 for job in self.service.unfinished.values() if job.result is None)

    def poll(self):
        self.counts["kubernetes.event"] += 3
        while True:
            active, replicas = self.read() > 0, self.deployment.replicas
            if active:
                self.active_at = self.env.now
                if replicas == 0:
                    self.deployment.scale(1)
                    self.counts["kubernetes.event"] += 1
                self.set("Active", (True, "ScalerActive"))
            elif replicas > 0 and self.env.now - self.active_at <= COOLDOWN:
                self.set("Active", (False, "ScalerCooldown"))
            else:
                if replicas > 0:
                    self.deployment.scale(0)
                    self.counts["kubernetes.event"] += 1
                self.set("Active", (False, "ScalerNotActive"))
            if self.hpa_active is not None:
                self.set("HPAActive", self.hpa_active)
            yield self.env.timeout(POLL)


class Hpa:
    def __init__(self, run, keda, deployment):
        self.run, self.env, self.counts = run, run.env, run.counts
        self.keda, self.deployment = keda, deployment
        self.recommended = collections.deque()
        self.status = None

    def write(self, *status):
        if status != self.status:
            self.status = status
            self.counts["hpa.status"] += 1

    def sync(self):
        while True:
            yield self.env.timeout(SYNC)
            current = self.deployment.replicas
            if current == 0:
                self.keda.hpa_active = (True, "ScalingDisabled")
                self.write(0, 0, "SucceededGetScale", "ScalingDisabled", None)
                continue
            self.keda.hpa_active = (True, "HPAActive")
            value = self.keda.read()
            self.counts["hpa.read"] += 1
            wanted = current if abs(value / current - 1.0) <= TOLERANCE else value
            desired, able, limited = self.normalise(current, wanted)
            if desired != current:
                self.deployment.scale(desired)
                able = "SucceededRescale"
            self.write(current, desired, able, "ValidMetricFound", limited)
            yield self.env.timeout(SYNC_TAKES)

    def normalise(self, current, wanted):
        """The highest recommendation of the window, and no faster up than doubling, or to four."""
        now, recommended = self.env.now, self.recommended
        while recommended and recommended[0][0] <= now - WINDOW:
            recommended.popleft()
        recommended.append((now, wanted))
        stable = min(current, max(number for _, number in recommended))
        able = "ReadyForNewScale"
        if wanted < stable:
            wanted, able = stable, "ScaleDownStabilized"
        fastest = max(2 * current, 4)
        if wanted > min(fastest, MOST):
            return min(fastest, MOST), able, "ScaleUpLimit" if fastest < MOST else "TooManyReplicas"
        if wanted < 1:
            return 1, able, "TooFewReplicas"
        return wanted, able, "DesiredWithinRange"


def load(run, service):
    yield run.env.timeout(IN_PLACE + FIRST)
    number = 0
    for _ in range(BURSTS):
        for _ in range(BUILDS):
            number += 1
            service.queue_build(number)
        yield run.env.timeout(EVERY)


def simulate(seed):
    run = Run(seed)
    env = run.env
    service = Service(run)
    nodes = [Node(number) for number in range(NODES)]
    deployment, waiting, kubelet = Deployment(run), simpy.Store(env), Kubelet(run, service)
    deployment.set = kubelet.replica_set = ReplicaSet(run, deployment, waiting)
    keda = Keda(run, service, deployment)
    for process in (
        schedule(run, waiting, nodes, kubelet),
        keda.poll(),
        Hpa(run, keda, deployment).sync(),
        load(run, service),
    ):
        env.process(process)
    env.run(until=IN_PLACE + UNTIL)
    return run, service


def best():
    took = []
    for _ in range(BEST_OF):
        started = time.process_time()
        run, service = simulate(1)
        took.append(time.process_time() - started)
    return min(took), run, service


def beside(twin, simpy_counts):
    """Both counts of every kind; whether they agree."""
    agree = True
    print(f"{'what':24} {'twin':>9} {'SimPy':>9}")
    for kind in sorted(twin):
        mine, theirs = simpy_counts[kind], twin[kind]
        near = abs(mine - theirs) <= max(AGREEMENT * theirs, 10)
        agree &= near
        print(f"{kind:24} {theirs:9} {mine:9}{'' if near else '  <- differ'}")
    return agree


def main():
    seconds, run, service = best()
    print(f"simpy {simpy.__version__}: {service.finished} jobs in {seconds:.3f} s")
    if len(sys.argv) < 2:
        for kind, number in sorted(run.counts.items()):
            print(f"{kind:24} {number:9}")
        return
    text = open(sys.argv[1], encoding="utf-8").read()
    line = re.search(r"^twin/peer: .*? in ([\d.]+) s.*$", text, re.MULTILINE)
    twin = {kind: int(number) for kind, number in re.findall(r"^twin/peer/([\w.]+): (\d+)$", text, re.MULTILINE)}
    print(line.group(0))
    if not beside(twin, run.counts):
        sys.exit("the two do not simulate the same")
    print(f"the twin is {seconds / float(line.group(1)):.1f} times as fast")


if __name__ == "__main__":
    main()
