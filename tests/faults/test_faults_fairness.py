"""Overload is fair: what one Dag asks for too much of does not hold up another."""

import time
from typing import Any

from audit import Audit
from controller_process import Controllers
from load import annotated
from sizes import Figure, size
from spaces import NewSpace, Space

from cluster import Manifest

WIDE = size("WIDE", 1500)
NEXT = 500
"""How many Pods of the wide Dag may be made between a run's creation and its own Pod. About 100 are when nothing else
goes on: a run needs three requests, one after the other, each beside 31 others."""
TOGETHER = 1000


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
