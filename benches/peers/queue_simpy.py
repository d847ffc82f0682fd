"""The twin's queue in SimPy 4.1, to see what a general simulator takes for it.

Jobs come in bursts, KEDA polls, the HPA syncs, pods start on nodes, agents poll, take jobs and renew
their locks: as many of each as in the twin, whose counts stand beside these. Left out, and so for free
here: the controllers and the scheduler between a write and a pod, the container's life in the kubelet,
the agent's setup and sessions, the service's rows and timers, KEDA's caches, conditions and events.

    queue_simpy.py TWIN.TXT     TWIN.TXT holds the line `twin/peer: ...` of the twin's benchmark
"""

import math
import random
import re
import sys
import time

import simpy

BURSTS, BUILDS, EVERY, DURATION = 500, 20, 1200.0, 180.0
POLL, SYNC, COOLDOWN, WINDOW = 30.0, 15.0, 300.0, 300.0
HELD_POLL, RENEWAL = 50.0, 60.0
MOST, NODES = 30, 2
IMAGE_PULL, CONTAINER_START, START_UP, ASSIGN = 5.0, 2.0, (8.0, 20.0), 1.0
CREATED_AND_SCHEDULED = 0.05


class Pool:
    def __init__(self, env, seed):
        self.env = env
        self.random = random.Random(seed)
        self.queue = simpy.Store(env)
        self.open = 0
        self.finished = 0
        self.replicas = 0
        self.agents = []
        self.pulled = set()
        self.active_at = -math.inf
        self.recommended = []
        self.counts = {"agents": 0, "reads": 0, "syncs": 0, "polls": 0, "renewals": 0}

    def arrivals(self):
        yield self.env.timeout(60)
        for _ in range(BURSTS):
            for _ in range(BUILDS):
                self.open += 1
                self.queue.put(DURATION)
            yield self.env.timeout(EVERY)

    def keda(self):
        while True:
            yield self.env.timeout(POLL)
            self.counts["reads"] += 1
            if self.open > 0:
                self.active_at = self.env.now
                if self.replicas == 0:
                    self.scale(1)
            elif self.replicas > 0 and self.env.now - self.active_at > COOLDOWN:
                self.scale(0)

    def hpa(self):
        while True:
            yield self.env.timeout(SYNC)
            if self.replicas == 0:
                continue
            self.counts["syncs"] += 1
            self.counts["reads"] += 1
            now, wanted = self.env.now, min(max(self.open, 1), MOST)
            self.recommended = [(at, n) for at, n in self.recommended if at > now - WINDOW] + [(now, wanted)]
            if wanted > self.replicas:
                self.scale(min(wanted, max(2 * self.replicas, self.replicas + 4)))
            else:
                self.scale(min(self.replicas, max(n for _, n in self.recommended)))

    def scale(self, replicas):
        self.replicas = replicas
        while len(self.agents) < replicas:
            node = len(self.agents) % NODES
            self.agents.append(self.env.process(self.pod(node)))
        while len(self.agents) > replicas:
            self.agents.pop().interrupt()

    def pod(self, node):
        env = self.env
        held = None
        try:
            yield env.timeout(CREATED_AND_SCHEDULED)
            if node not in self.pulled:
                yield env.timeout(IMAGE_PULL)
                self.pulled.add(node)
            yield env.timeout(CONTAINER_START)
            yield env.timeout(self.random.uniform(*START_UP))
            self.counts["agents"] += 1
            while True:
                self.counts["polls"] += 1
                held = self.queue.get()
                came = yield held | env.timeout(HELD_POLL)
                if held not in came:
                    held.cancel()
                    continue
                job, held = held.value, None
                yield env.timeout(ASSIGN)
                yield from self.job(job)
        except simpy.Interrupt:
            if held is not None:
                held.cancel()

    def job(self, duration):
        end = self.env.now + duration
        while end - self.env.now > RENEWAL:
            yield self.env.timeout(RENEWAL)
            self.counts["renewals"] += 1
        yield self.env.timeout(end - self.env.now)
        self.open -= 1
        self.finished += 1


def simulate(seed):
    env = simpy.Environment()
    pool = Pool(env, seed)
    for process in (pool.arrivals(), pool.keda(), pool.hpa()):
        env.process(process)
    env.run(until=60 + BURSTS * EVERY)
    return pool


def main():
    started = time.perf_counter()
    pool = simulate(1)
    seconds = time.perf_counter() - started
    counts = ", ".join(f"{number} {name}" for name, number in pool.counts.items())
    print(f"simpy {simpy.__version__}: {pool.finished} jobs in {seconds:.3f} s, {counts}")
    if len(sys.argv) > 1:
        text = open(sys.argv[1], encoding="utf-8").read()
        line = re.search(r"^twin/peer: .*? in ([\d.]+) s.*$", text, re.MULTILINE)
        print(line.group(0))
        print(f"the twin is {seconds / float(line.group(1)):.0f} times as fast")


if __name__ == "__main__":
    main()
