"""The language of tests of single faults: a Dag, the course of its Pods, and timed events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.apiserver import Request
from tests.apiserver.kinds import DAGRUNS
from tests.simulation.dags import Scenario
from tests.simulation.kubelet import Script, TryId
from tests.simulation.world import World, simulate

Json = dict[str, Any]

SECOND = Script(start_after=0.2, duration=1.0)


def task(name: str, *after: str, **fields: Any) -> Json:
    return {"name": name, "image": "busybox", **({"dependsOn": list(after)} if after else {}), **fields}


def play(
    story: Callable[[World], None],
    *tasks: Json,
    runs: int = 1,
    script: Script = SECOND,
    scripts: dict[str, Script] | None = None,
    parallelism: int = 0,
    **spec: Any,
) -> World:
    """Runs of a Dag on a cluster in which only what the story arranges goes wrong. `scripts` are of single tasks."""

    def script_of(try_id: TryId, document: Json) -> Script:
        return (scripts or {}).get(try_id.task, script)

    scenario = Scenario(
        {"d": {"tasks": list(tasks), **spec}},
        [(f"run{number}", "d") for number in range(runs)],
        parallelism=parallelism,
    )
    return simulate(
        "story",
        lambda loop: World("story", loop, scenario=scenario, faults=[], script_of=script_of, story=story),
    )


def status_of(world: World, run: str = "run0") -> Json:
    found = world.server.find(DAGRUNS, "ns", run)
    assert found is not None
    status: Json = found["status"]
    return status


def entry_of(world: World, name: str, run: str = "run0") -> Json:
    return next(entry for entry in status_of(world, run)["tasks"] if entry["name"] == name)


def is_write(request: Request, method: str, plural: str) -> bool:
    return request.method == method and f"/{plural}" in request.path


def leader(world: World) -> Any:
    return next(replica for replica in world.replicas if replica.leads)


def standby(world: World) -> Any:
    return next(replica for replica in world.replicas if not replica.leads)


def stall(world: World, name: str, plural: str, seconds: float) -> None:
    for stream in world.streams(name):
        if stream.plural == plural:
            stream.stall(seconds)
