"""The leader is killed repeatedly, or frozen until its Lease expires, during runs."""

import math
import random
import signal
import statistics
import time

from tests.e2e.controller_process import Controllers
from tests.e2e.spaces import NewSpace
from tests.faults.audit import Audit
from tests.faults.load import Load, assert_sound
from tests.faults.replicas import SECONDS, Replicas
from tests.faults.sizes import Figure, size

KILLS = size("KILLS", 3)
LONGEST_PAUSE = 2.0
"""Seconds that a leader leads at most before it is killed."""


def test_the_leader_is_killed_at_random(
    new_kwok_space: NewSpace, kwok_controllers: Controllers, chance: random.Random, figure: Figure
) -> None:
    space = new_kwok_space("kills")
    audit = Audit(space)
    load = Load(space)
    replicas = Replicas(space, kwok_controllers)
    space.eventually(lambda: len(audit.made) > 10, "runs are running")
    seconds, until_next_pod = [], []
    for _ in range(KILLS):
        # Mostly in the first moments of a term, in which there is most to be caught up with.
        space.eventually(lambda: replicas.leader.leads(), "it leads")
        pause = chance.uniform(0, LONGEST_PAUSE)
        time.sleep(pause)
        seconds.append(replicas.kill_leader())
        leads_since = replicas.leases.taken_over(replicas.leader) or 0.0
        space.eventually(lambda since=leads_since: audit.first_after(since), "the new leader makes Pods")
        until_next_pod.append((audit.first_after(leads_since) or leads_since) - leads_since)
    load.end()
    assert_sound(space, load, audit)
    replicas.end()
    figure("kills, runs, Pods", (KILLS, len(load.runs), len(audit.made)))
    figure(f"seconds from SIGKILL until another leads (Lease of {SECONDS} s): p50, p99, max", spread(seconds))
    figure("seconds from then until the next Pod: p50, p99, max", spread(until_next_pod))


def test_a_leader_that_slept_through_its_lease_does_no_harm(
    new_kwok_space: NewSpace, kwok_controllers: Controllers, figure: Figure
) -> None:
    space = new_kwok_space("zombie")
    audit = Audit(space)
    load = Load(space)
    replicas = Replicas(space, kwok_controllers)
    for _ in range(2):
        before = load.ended()
        space.eventually(lambda before=before: load.ended() > before, "runs continue")
        sleeper, other = replicas.leader, replicas.standby
        sleeper.process.send_signal(signal.SIGSTOP)
        try:
            other.wait_leading()
            # The other has acted in its place, so what the sleeper is about to do is out of date.
            before = load.ended()
            space.eventually(lambda before=before: load.ended() > before, "runs continue without it")
        finally:
            sleeper.process.send_signal(signal.SIGCONT)
        space.eventually(
            lambda sleeper=sleeper: sleeper.metric("tradewind_leader") == 0, "it knows that it was deposed"
        )
        replicas.leader, replicas.standby = other, sleeper
    load.end()
    assert_sound(space, load, audit)
    replicas.end()
    figure("runs, Pods", (len(load.runs), len(audit.made)))


def spread(values: list[float]) -> tuple[float, ...]:
    """The 50th and the 99th percentile and the most, rounded."""
    ordered = sorted(values)
    chosen = (statistics.median(ordered), ordered[math.ceil(0.99 * len(ordered)) - 1], ordered[-1])
    return tuple(round(value, 2) for value in chosen)
