"""Schedules that are suspended when too many consecutive runs fail (`maxConsecutiveFailedRuns`)."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.apiserver import Commit
from tests.apiserver.kinds import DAGRUNS, DAGS

if TYPE_CHECKING:
    from tests.simulation.dags import Scenario
    from tests.simulation.world import World

Json = dict[str, Any]


def limit_failures(scenario: Scenario, rng: random.Random) -> None:
    """Give half of the Dags with a schedule a limit. One run at a time: of several, more than that may fail."""
    for spec in scenario.dags.values():
        if "schedule" in spec and rng.random() < 0.5:
            spec |= {"maxActiveRuns": 1, "maxConsecutiveFailedRuns": rng.choice([1, 1, 2])}


@dataclass
class _Dag:
    limit: int
    failed: list[str] = field(default_factory=list)
    """Runs that failed in a row, in the order in which that was written."""


class FailureLimitInvariant:
    """Called with every commit: after so many failed runs in a row, the schedule creates no other.

    A Dag that a user has changed since, or one of whose runs was deleted or rerun, is not checked: the result depends
    on the events that the controller had received by then.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._dags: dict[str, _Dag] = {}
        """By UID."""
        world.server.store.on_commit.append(self._seen)

    def _seen(self, commit: Commit) -> None:
        if commit.kind is DAGS and commit.new is not None:
            self._dag_changed(commit.old.document if commit.old is not None else None, commit.new.document)
        elif commit.kind is DAGRUNS:
            document = (commit.new or commit.old).document  # type: ignore[union-attr]
            uid = next((owner["uid"] for owner in document["metadata"].get("ownerReferences") or ()), None)
            dag = self._dags.get(uid) if uid is not None else None
            if uid is None or dag is None:
                return
            if commit.new is None or "request" in document["spec"]:
                del self._dags[uid]
            elif commit.old is None:
                self._run_made(dag, document)
            else:
                self._run_changed(dag, commit.old.document, document)

    def _dag_changed(self, old: Json | None, new: Json) -> None:
        uid, limit = new["metadata"]["uid"], new["spec"].get("maxConsecutiveFailedRuns", 0)
        if old is None and limit and new["spec"].get("maxActiveRuns") == 1:
            self._dags[uid] = _Dag(limit)
        elif old is not None and old["spec"] != new["spec"] and new["spec"] != {**old["spec"], "suspend": True}:
            self._dags.pop(uid, None)

    def _run_made(self, dag: _Dag, run: Json) -> None:
        if run["spec"].get("type") == "Scheduled" and len(dag.failed) >= dag.limit:
            name, failed = run["metadata"]["name"], ", ".join(dag.failed)
            self.world.fail(f"{name} was made though {failed} had failed, maxConsecutiveFailedRuns is {dag.limit}")

    def _run_changed(self, dag: _Dag, old: Json, new: Json) -> None:
        before, status = old.get("status") or {}, new.get("status") or {}
        refused = new["spec"].get("type", "Manual") == "Manual" and "startedAt" not in status
        if before.get("finishedAt") or not status.get("finishedAt") or refused or new["spec"].get("type") == "Backfill":
            return
        if status["phase"] == "Failed":
            dag.failed.append(new["metadata"]["name"])
        elif len(dag.failed) < dag.limit:
            dag.failed.clear()
