"""Overload is fair: one Dag, or one namespace, with too much work does not delay others."""

import time
from typing import Any

from tests.cluster import Manifest
from tests.e2e.controller_process import Controllers
from tests.e2e.spaces import NewSpace, Space
from tests.faults.audit import Audit
from tests.faults.load import annotated
from tests.faults.sizes import Figure, size

WIDE = size("WIDE", 1500)
NEXT = 500
"""Maximum of Pods of the wide Dag between a run's creation and its own Pod. On an idle machine about 100 are created:
a run needs three requests, one after the other, each beside 31 others."""
TOGETHER = 1000
FEW = 5
LOOK_SECONDS = 10


def unlimited(space: Space) -> None:
    space.pool("default", -1)


def wide_dag(space: Space, name: str, count: int, **spec: Any) -> None:
    """A Dag with `count` mapped instances that nothing holds back."""
    tasks = [
        {"name": f"each-{first // TOGETHER}", "forEach": {"items": list(range(min(TOGETHER, count - first)))}}
        for first in range(0, count, TOGETHER)
    ]
    space.dag(name, *tasks, maxActiveTasks=10_000, podTemplate=annotated(duration="1h"), **spec)


def single(name: str = "only") -> Manifest:
    return {"name": name, "command": ["true"]}


def test_a_wide_dag_does_not_hold_up_another(
    new_kwok_space: NewSpace, kwok_controllers: Controllers, figure: Figure
) -> None:
    space = new_kwok_space("fair")
    unlimited(space)
    wide_dag(space, "wide", WIDE)
    space.dag("narrow", single(), podTemplate=annotated(duration="1h"))
    kwok_controllers.launch_for(space.name).wait_leading()
    for dag in ("wide", "narrow"):
        space.wait_accepted(dag)
    audit = Audit(space)
    space.run("wide", "wide")
    space.eventually(lambda: len(audit.made) >= WIDE // 10, "a tenth of the wide run is made")
    before = len(audit.made)
    began = time.monotonic()
    space.run("narrow", "narrow")
    space.eventually(lambda: audit.of("narrow") or len(audit.made) >= WIDE + 1, "the other Dag's Pod is made")
    space.eventually(lambda: audit.of("narrow"), "the other Dag's Pod is made")
    [pod] = audit.of("narrow")
    between = sum(made.order < pod.order for made in audit.of("wide")) - before
    figure(f"seconds until the Pod of a single task beside {WIDE} ready ones", round(pod.at - began, 2))
    figure("Pods of the wide run made meanwhile", between)
    assert before < WIDE / 2, "the wide run is still being made"
    assert between < NEXT
    audit.end()


def test_a_namespace_at_its_quota_does_not_hold_up_others(
    new_kwok_space: NewSpace, kwok_controllers: Controllers, figure: Figure
) -> None:
    """Its tasks wait, report the cause, and retry seldom; they continue as soon as there is room."""
    full, other = new_kwok_space("full"), new_kwok_space("other")
    quota: Manifest = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": str(FEW)}}}
    full.witness.core.create_namespaced_resource_quota(full.name, quota)
    few = full.witness.core.read_namespaced_resource_quota
    full.eventually(lambda: (few("few", full.name).status.hard or {}).get("pods"), "the quota is in force")
    unlimited(full)
    wide_dag(full, "wide", WIDE)
    other.dag("narrow", single())
    kwok_controllers.launch(f"--namespaces={full.name},{other.name}", lease_namespace=full.name).wait_leading()
    there, here = Audit(full), Audit(other)
    full.wait_accepted("wide")
    other.wait_accepted("narrow")
    full.run("wide", "wide")
    began = time.monotonic()
    other.run("narrow", "at-once")
    [pod] = other.eventually(lambda: here.of("at-once"), "the other namespace's Pod is made")
    figure(f"seconds until another namespace's Pod, beside {WIDE} tasks at a full quota", round(pod.at - began, 2))

    def waiting() -> list[Manifest]:
        instances = [one for entry in full.tasks("wide").values() for one in entry.get("instances", ())]
        return [one for one in instances if one.get("reason") == "QuotaExceeded"]

    said = full.eventually(waiting, "tasks say what they wait for")
    assert "exceeded quota: few, requested: pods=1, used: pods=5, limited: pods=5" in said[0]["message"]
    assert len(there.made) == FEW
    before = refused(full)
    time.sleep(LOOK_SECONDS)
    asked = refused(full) - before
    figure(f"Pods refused in {LOOK_SECONDS} s, with {WIDE} tasks that wait", asked)
    assert asked < 5 * LOOK_SECONDS, "it does not ask for each of them again and again"
    other.wait_succeeded(other.run("narrow", "later"))
    began = time.monotonic()
    more: Manifest = {"spec": {"hard": {"pods": str(10 * FEW)}}}
    full.witness.core.patch_namespaced_resource_quota("few", full.name, more)
    full.eventually(lambda: len(there.made) >= 10 * FEW, "there is room, and it is used")
    figure("seconds until new room is used", round(time.monotonic() - began, 1))
    assert len(there.made) == 10 * FEW
    assert there.doubled() == {}


def refused(space: Space) -> int:
    """Return how often the API server has rejected a Pod with 403 so far."""
    lines = space.kubectl.run("get", "--raw", "/metrics").splitlines()
    words = ('resource="pods"', 'verb="POST"', 'code="403"')
    found = [line for line in lines if line.startswith("apiserver_request_total{") and all(w in line for w in words)]
    return sum(int(float(line.rpartition(" ")[2])) for line in found)
