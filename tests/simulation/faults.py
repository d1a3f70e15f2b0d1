"""The faults of a simulation: drawn from the seed before it begins, and printed when it fails."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.apiserver import Attributes, Refusal
from tests.apiserver.kinds import DAGRUNS, DAGS, LEASES, PODS, POOLS, RESOURCEQUOTAS
from tests.simulation.asking import ask, suspend
from tests.simulation.backfills import backfill
from tests.simulation.dags import POOLS as SLOTS
from tests.simulation.dags import random_dag
from tests.simulation.network import QUIET, Trouble
from tests.simulation.refusals import REFUSALS
from tests.simulation.ticks import TICK_FAULTS

if TYPE_CHECKING:
    from tests.simulation.world import World

Json = dict[str, Any]

CYCLE: list[Json] = [{"name": "x", "noop": True, "dependsOn": ["y"]}, {"name": "y", "noop": True, "dependsOn": ["x"]}]
"""Tasks that cannot be accepted."""


@dataclass(frozen=True)
class Fault:
    """Something that happens at a time; `seed` decides what it picks among what there is then."""

    at: float
    kind: str
    seed: int

    def __str__(self) -> str:
        return f"{self.at:7.2f} {self.kind} ({self.seed})"


def random_faults(rng: random.Random, seconds: float) -> list[Fault]:
    """Some faults of some kinds: one simulation has much of a few, another a little of everything."""
    kinds = rng.sample(sorted(FAULTS), rng.choice([2, 4, 8, len(FAULTS)]))
    number = rng.choice([3, 6, 12, 20])
    times = sorted(rng.random() * seconds for _ in range(number))
    faults = [Fault(round(at, 2), rng.choice(kinds), rng.randrange(1_000_000)) for at in times]
    if rng.random() < 0.2:
        # In time for the others to strike while it is in flight.
        faults.insert(0, Fault(0.5, "backfill", rng.randrange(1_000_000)))
    return faults


def refusals(rng: random.Random, seconds: float) -> list[Fault]:
    """Refusals of the API server in between."""
    number, kinds = rng.choice([0, 0, 0, 1, 2, 4]), sorted(REFUSALS)
    times = sorted(rng.random() * seconds for _ in range(number))
    return [Fault(round(at, 2), rng.choice(kinds), rng.randrange(1_000_000)) for at in times]


def later_faults(rng: random.Random, seconds: float) -> list[Fault]:
    """Faults of kinds that were thought of later: drawn apart, so that the others of a seed stay what they were."""
    number = rng.choice([0, 0, 1, 2, 4])
    times = sorted(rng.random() * seconds for _ in range(number))
    kinds = sorted(LATER_FAULTS)
    return [Fault(round(at, 2), rng.choice(kinds), rng.randrange(1_000_000)) for at in times]


def strike(world: World, fault: Fault) -> None:
    world.log(f"FAULT {fault.kind}")
    (FAULTS | LATER_FAULTS | TICK_FAULTS | REFUSALS)[fault.kind](world, random.Random(fault.seed))


# The network --------------------------------------------------------------------------------------------------------


def _trouble(world: World, rng: random.Random) -> None:
    """The network or the server has trouble of some kinds for a while."""
    amount = rng.choice([0.03, 0.1, 0.3])
    kinds = ["lost_before", "lost_after", "silent", "duplicated", "delayed", "throttled", "broken", "late_lines"]
    trouble = Trouble(delay=rng.choice([0.1, 1.0, 4.0]), line_delay=rng.choice([0.2, 2.0, 10.0]))
    for kind in rng.sample(kinds, rng.choice([1, 2, len(kinds)])):
        setattr(trouble, kind, amount)
    if rng.random() < 0.3:
        trouble.cut_lines = amount
    world.network.trouble = trouble

    def end() -> None:
        if world.network.trouble is trouble:
            world.network.trouble = QUIET

    world.later(rng.choice([2.0, 10.0, 40.0]), end)


def _partition(world: World, rng: random.Random) -> None:
    name = rng.choice(world.replicas).name
    world.log(f"{name} reaches nothing")
    world.network.down.add(name)
    _cut_of(world, name)
    world.later(rng.choice([3.0, 12.0, 25.0]), world.network.down.discard, name)


def _cut_of(world: World, name: str) -> None:
    for stream in world.streams(name):
        stream.cut()


def _cut(world: World, rng: random.Random) -> None:
    _cut_of(world, rng.choice([*(replica.name for replica in world.replicas), ""]))


def _stall(world: World, rng: random.Random) -> None:
    seconds = rng.choice([1.0, 5.0, 20.0])
    for stream in world.streams(rng.choice([*(replica.name for replica in world.replicas), ""])):
        if rng.random() < 0.7:
            stream.stall(seconds)


def _gone(world: World, rng: random.Random) -> None:
    """Watches break, and the history from which they would resume is compacted: 410."""
    name = rng.choice([*(replica.name for replica in world.replicas), ""])
    world.network.down.update(replica.name for replica in world.replicas if name in ("", replica.name))
    _cut_of(world, name)

    def back() -> None:
        world.server.store.compact()
        world.network.down.clear()

    world.later(rng.choice([0.1, 3.0, 8.0]), back)


def _compact(world: World, rng: random.Random) -> None:
    world.server.store.compact()


# The controller -----------------------------------------------------------------------------------------------------


def _kill(world: World, rng: random.Random) -> None:
    """At any await: after so many more steps, wherever it is then."""
    leaders = [replica for replica in world.replicas if replica.leads]
    replica = rng.choice(leaders or world.replicas) if rng.random() < 0.7 else rng.choice(world.replicas)
    restart_after = rng.choice([0.1, 2.0, 20.0])
    world.strike_at_any_await(rng.randrange(400), lambda: replica.kill(restart_after))


def _kill_all(world: World, rng: random.Random) -> None:
    restart_after = rng.choice([0.1, 5.0, 20.0])
    for replica in world.replicas:
        world.strike_at_any_await(rng.randrange(400), partial(replica.kill, restart_after))


def _stop(world: World, rng: random.Random) -> None:
    rng.choice(world.replicas).stop()


def _freeze(world: World, rng: random.Random) -> None:
    """Long enough for another one to lead meanwhile, sometimes."""
    replica = rng.choice([each for each in world.replicas if each.leads] or world.replicas)
    seconds = rng.choice([1.0, 8.0, 17.0, 25.0])
    world.strike_at_any_await(rng.randrange(200), lambda: replica.freeze(seconds))


def _clock(world: World, rng: random.Random) -> None:
    step = timedelta(seconds=rng.choice([-3600, -30, -3, 3, 30, 3600]))
    replica = rng.choice(world.replicas)
    world.log(f"the clock of {replica.name} is set by {step.total_seconds():+.0f} s")
    replica.clock.skew += step


def _lease(world: World, rng: random.Random) -> None:
    """A user deletes the Lease, or writes another holder into it."""
    if rng.random() < 0.5:
        world.request("DELETE", LEASES, "default", "tradewind-controller")
    else:
        spec = {"holderIdentity": "user", "renewTime": "2026-01-01T00:00:00.000000Z"}
        world.request("PATCH", LEASES, "default", "tradewind-controller", {"spec": spec})


# The cluster and its people -----------------------------------------------------------------------------------------


def _pod(world: World, rng: random.Random) -> None:
    running, waiting = world.kubelet.running(), world.kubelet.waiting()
    uids = running if running and (not waiting or rng.random() < 0.7) else waiting
    if not uids:
        return
    uid = rng.choice(uids)
    match rng.choice(["delete", "delete", "force", "evict", "node"]):
        case "delete":
            world.kubelet.delete(uid)
        case "force":
            world.kubelet.delete(uid, 0)
        case "evict":
            world.kubelet.evict(uid)
        case "node":
            world.kubelet.lose_node(uid)


def _finished_pods(world: World, rng: random.Random) -> None:
    """A user deletes Pods, some of which have just finished."""
    for pod in world.server.all(PODS, "ns"):
        if pod["status"].get("phase") in ("Succeeded", "Failed") and rng.random() < 0.7:
            world.log(f"a user deletes {pod['metadata']['name']}")
            world.request("DELETE", PODS, "ns", pod["metadata"]["name"])


def _annotate(world: World, rng: random.Random) -> None:
    for kind in (DAGRUNS, DAGS, PODS):
        for document in world.server.all(kind, "ns"):
            if rng.random() < 0.5:
                metadata = {"annotations": {"example.dev/n": str(rng.randrange(1000))}}
                world.request("PATCH", kind, "ns", document["metadata"]["name"], {"metadata": metadata})


def _delete_run(world: World, rng: random.Random) -> None:
    runs = world.server.all(DAGRUNS, "ns")
    if runs:
        world.request("DELETE", DAGRUNS, "ns", rng.choice(runs)["metadata"]["name"])


def _new_run(world: World, rng: random.Random) -> None:
    dags = world.server.all(DAGS, "ns")
    if dags:
        world.make_run(f"run-{rng.randrange(1000)}", rng.choice(dags)["metadata"]["name"])


def _edit_dag(world: World, rng: random.Random) -> None:
    dags = world.server.all(DAGS, "ns")
    if dags:
        dag = rng.choice(dags)
        spec = random_dag(rng) if rng.random() < 0.5 else dag["spec"] | {"suspend": rng.random() < 0.5}
        metadata = {"name": dag["metadata"]["name"], "resourceVersion": dag["metadata"]["resourceVersion"]}
        body = {"apiVersion": dag["apiVersion"], "kind": "Dag", "metadata": metadata, "spec": spec}
        world.request("PUT", DAGS, "ns", dag["metadata"]["name"], body)


def _break_dag(world: World, rng: random.Random) -> None:
    """A Dag is edited so that it cannot be accepted; and is put right later."""
    dags = world.server.all(DAGS, "ns")
    if dags:
        dag = rng.choice(dags)
        name, good = dag["metadata"]["name"], dag["spec"]["tasks"]
        if good == CYCLE:
            return
        world.request("PATCH", DAGS, "ns", name, {"spec": {"tasks": CYCLE}})
        world.later(10.0, world.request, "PATCH", DAGS, "ns", name, {"spec": {"tasks": good}})


def repair_dags(world: World) -> None:
    """No Dag is broken any more, not even one that was broken when it was copied and then made again."""
    for dag in world.server.all(DAGS, "ns"):
        name = dag["metadata"]["name"]
        if dag["spec"]["tasks"] == CYCLE:
            world.request("PATCH", DAGS, "ns", name, {"spec": {"tasks": world.scenario.dags[name]["tasks"]}})


def _delete_dag(world: World, rng: random.Random) -> None:
    dags = world.server.all(DAGS, "ns")
    if dags:
        name = rng.choice(dags)["metadata"]["name"]
        policy = rng.choice(["Background", "Background", "Foreground"])
        world.request("DELETE", DAGS, "ns", name, {"propagationPolicy": policy})
        spec = random_dag(rng)
        world.later(rng.choice([0.5, 5.0, 15.0]), world.make_dag, name, spec)


def _pool(world: World, rng: random.Random) -> None:
    name = rng.choice(sorted(SLOTS))
    if rng.random() < 0.3:
        world.request("DELETE", POOLS, "ns", name)
        world.later(8.0, world.make_pool, name, SLOTS[name])
    else:
        world.request("PATCH", POOLS, "ns", name, {"spec": {"slots": rng.choice([0, 1, 2, 5, -1])}})


def _quota(world: World, rng: random.Random) -> None:
    body = {"metadata": {"name": "quota"}, "spec": {"hard": {"pods": str(rng.choice([0, 1, 2]))}}}
    world.request("POST", RESOURCEQUOTAS, "ns", None, body)
    world.later(rng.choice([3.0, 15.0]), world.request, "DELETE", RESOURCEQUOTAS, "ns", "quota")


def _admission(world: World, rng: random.Random) -> None:
    """A webhook rejects Pods, is down, or changes them."""
    what = rng.choice(["deny", "forbid", "down", "sidecar", "label"])
    only = rng.choice([1.0, 0.5])

    def hook(attributes: Attributes) -> None:
        if attributes.kind is not PODS or attributes.operation != "CREATE" or rng.random() > only:
            return
        match what:
            case "deny":
                message = 'admission webhook "pods.example.dev" denied the request: no'
                raise Refusal(400, "BadRequest", message)
            case "forbid":
                why = 'violates PodSecurity "restricted:latest": runAsNonRoot != true'
                raise Refusal(403, "Forbidden", f'pods "{attributes.name}" is forbidden: {why}')
            case "down":
                message = 'Internal error occurred: failed calling webhook "pods.example.dev": connection refused'
                raise Refusal(500, "InternalError", message)
            case "sidecar":
                spec = attributes.document["spec"]
                containers = [{"name": "sidecar", "image": "proxy"}, *spec["containers"]]
                attributes.document = {**attributes.document, "spec": {**spec, "containers": containers}}
            case "label":
                metadata = attributes.document["metadata"]
                labels = {**metadata["labels"], "example.dev/injected": "yes"}
                attributes.document = {**attributes.document, "metadata": {**metadata, "labels": labels}}

    world.server.admission.append(hook)

    def end() -> None:
        if hook in world.server.admission:
            world.server.admission.remove(hook)

    world.later(rng.choice([2.0, 10.0]), end)


def _node_clock(world: World, rng: random.Random) -> None:
    """The clock of the node is set: by seconds, minutes, an hour."""
    skew = timedelta(seconds=rng.choice([-3600, -300, -60, -2, 0, 2, 60, 300, 3600]))
    world.log(f"the clock of the node is {skew.total_seconds():+.0f} s off")
    world.kubelet.set_clock(skew)


def _too_large(world: World, rng: random.Random) -> None:
    """etcd's limit for a DagRun is as low as if it were full of params and messages."""
    largest = rng.choice([900, 1400, 2000, 3000])
    world.log(f"a DagRun may have {largest} bytes")
    world.server.largest[DAGRUNS] = largest
    seconds = rng.choice([1.0, 5.0, 20.0])
    world.later(seconds, world.server.largest.clear)
    world.little_fits_until = world.loop.time() + seconds


LATER_FAULTS: dict[str, Callable[[World, random.Random], None]] = {
    "node clock": _node_clock,
    "too large": _too_large,
}
FAULTS: dict[str, Callable[[World, random.Random], None]] = {
    "trouble": _trouble,
    "partition": _partition,
    "cut": _cut,
    "stall": _stall,
    "gone": _gone,
    "compact": _compact,
    "kill": _kill,
    "kill all": _kill_all,
    "stop": _stop,
    "freeze": _freeze,
    "clock": _clock,
    "lease": _lease,
    "pod": _pod,
    "finished pods": _finished_pods,
    "annotate": _annotate,
    "delete run": _delete_run,
    "new run": _new_run,
    "edit dag": _edit_dag,
    "break dag": _break_dag,
    "delete dag": _delete_dag,
    "pool": _pool,
    "quota": _quota,
    "admission": _admission,
    "ask": ask,
    "suspend": suspend,
    "backfill": backfill,
}
