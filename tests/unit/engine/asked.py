"""Requests on the run of a World, applied as the controller does: status in, status out, and the run is reloaded."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

from tests.unit.engine.engine_world import World
from tradewind.api.dagrun import DagRunStatus
from tradewind.api.resolve import ResolvedDag
from tradewind.api.run_request import RunRequest
from tradewind.engine.requests import Decision, Version, apply_request
from tradewind.engine.run.graph import Graph

_ids = count(1)


def decide(world: World, kind: str, *tasks: str, latest: ResolvedDag | None = None, **fields: Any) -> Decision:
    """Return the result of a request without changing anything."""
    named = {"tasks": list(tasks)} if tasks else {}
    written = {"id": f"r{next(_ids)}", "type": kind, "requestedBy": "alice", **named, **fields}
    version = Version(world.run.info, world.dag, world.run.graph)
    newer = Version(replace(world.run.info, revision="d-2"), latest, Graph.of(latest.tasks)) if latest else None
    request = RunRequest.model_validate(written)
    decision = apply_request(request, world.status(), version, newer, now=world.now)
    DagRunStatus.model_validate(decision.status)
    return decision


def ask(world: World, kind: str, *tasks: str, latest: ResolvedDag | None = None, **fields: Any) -> Decision:
    """Apply an accepted request, and continue."""
    decision = decide(world, kind, *tasks, latest=latest, **fields)
    assert decision.applied, decision.message
    world.dag = decision.version.dag
    world.starts.clear()
    world.run.info = decision.version.info
    world.restart(status=decision.status)
    return decision


def refused(world: World, kind: str, *tasks: str, **fields: Any) -> str:
    """Return why a request is rejected; only the record of it has changed."""
    before = world.status()
    decision = decide(world, kind, *tasks, **fields)
    assert not decision.applied, decision.message
    [*_, record] = decision.status["requests"]
    assert (record["state"], record["message"]) == ("Rejected", decision.message)
    assert {**decision.status, "requests": None} == {**before, "requests": None}
    assert not decision.stops
    return decision.message


def play(world: World, *fail: str, **outputs: str) -> World:
    """Let every try that starts succeed, but for those of `fail`; `outputs` are those of tasks, by name."""
    done = 0
    while done < len(world.starts):
        key = world.starts[done].key
        done += 1
        if key.instance in fail or key.task in fail:
            world.fail(key.instance)
        else:
            world.succeed(key.instance, outputs.get(key.task.replace("-", "_")))
    world.starts.clear()
    return world
