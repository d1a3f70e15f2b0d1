"""Users create, change and delete Backfills; and the invariants of Backfills."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.apiserver import Commit
from tests.apiserver.kinds import BACKFILLS, DAGRUNS, DAGS
from tradewind.api import names
from tradewind.api.backfill import DEFAULT_MAX_ACTIVE_RUNS, UNFINISHED_PHASES

if TYPE_CHECKING:
    from tests.simulation.world import World

Json = dict[str, Any]

FINISHED = ("Succeeded", "Failed")
_NEVER_LESS = ("created", "succeeded", "failed", "skipped")
_NEVER_ANOTHER = ("startedAt", "timetable", "total", "finishedAt")


# What people do -----------------------------------------------------------------------------------------------------


def backfill(world: World, rng: random.Random) -> None:
    """A user backfills a Dag, or changes or deletes an existing Backfill."""
    there = world.server.all(BACKFILLS, "ns")
    if there and rng.random() < 0.5:
        name = rng.choice(there)["metadata"]["name"]
        match rng.choice(["suspend", "limit", "delete"]):
            case "suspend":
                world.request("PATCH", BACKFILLS, "ns", name, {"spec": {"suspend": rng.random() < 0.7}})
            case "limit":
                world.request("PATCH", BACKFILLS, "ns", name, {"spec": {"maxActiveRuns": rng.choice([1, 2, 5])}})
            case "delete":
                world.request("DELETE", BACKFILLS, "ns", name)
        return
    dags = world.server.all(DAGS, "ns")
    if not dags:
        return
    dag = rng.choice(dags)
    if "schedule" not in dag["spec"] and rng.random() < 0.9:
        # Without a schedule there is nothing to backfill.
        patch = {"spec": {"schedule": {"every": "20s"}, "suspend": True}}
        world.request("PATCH", DAGS, "ns", dag["metadata"]["name"], patch)
    now = world.true_time()
    spec: Json = {
        "dag": dag["metadata"]["name"],
        "from": world.server.timestamp(now - timedelta(seconds=rng.choice([20, 70, 150]))),
        "to": world.server.timestamp(now - timedelta(seconds=1)),
        "reprocess": rng.choice(["None", "Failed", "Completed"]),
        "reverse": rng.random() < 0.3,
        "dryRun": rng.random() < 0.05,
    }
    if rng.random() < 0.7:
        spec["maxActiveRuns"] = rng.choice([1, 2])
    body = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "Backfill", "spec": spec}
    world.request("POST", BACKFILLS, "ns", None, body | {"metadata": {"name": f"b{rng.randrange(1000)}"}})


def resume_backfills(world: World) -> None:
    """Resume all Backfills."""
    for document in world.server.all(BACKFILLS, "ns"):
        if document["spec"].get("suspend"):
            world.request("PATCH", BACKFILLS, "ns", document["metadata"]["name"], {"spec": {"suspend": None}})


# What has to hold ---------------------------------------------------------------------------------------------------


class BackfillInvariants:
    """Called with every commit, like the other invariants."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._limits: dict[str, int] = {}
        """The highest maxActiveRuns that a Backfill ever had, by its UID."""
        self._contested: dict[str, None] = {}
        """UIDs of Backfills of which a run was made while two replicas led."""
        self._runs: dict[str, dict[str, None]] = {}
        """Names of all runs that a Backfill created or reran, by its UID."""
        world.server.store.on_commit.append(self._seen)

    def _seen(self, commit: Commit) -> None:
        if commit.new is None:
            return
        if commit.kind is BACKFILLS:
            document = commit.new.document
            limit = document["spec"].get("maxActiveRuns", DEFAULT_MAX_ACTIVE_RUNS)
            uid = document["metadata"]["uid"]
            self._limits[uid] = max(limit, self._limits.get(uid, 0))
            if commit.old is not None:
                self._changed(document["metadata"]["name"], commit.old.document, document)
        elif commit.kind is DAGRUNS and (uid := _backfill_of(commit.new.document)):
            before = _backfill_of(commit.old.document) if commit.old is not None else None
            if before != uid:
                self._runs.setdefault(uid, {})[commit.new.metadata["name"]] = None
                self._run_made(uid, commit.new.metadata["name"])

    def _run_made(self, uid: str, name: str) -> None:
        """Also a run that the Backfill reruns."""
        if sum(replica.leads for replica in self.world.replicas) > 1:
            self._contested[uid] = None
        active = [name]
        for run in self.world.server.all(DAGRUNS, "ns"):
            over = (run.get("status") or {}).get("phase") in FINISHED or "deletionTimestamp" in run["metadata"]
            # One that people have run again is no business of the Backfill's any more.
            over = over or _was_asked(run)
            if _backfill_of(run) == uid and run["metadata"]["name"] != name and not over:
                active.append(run["metadata"]["name"])
        if len(active) > self._limits[uid] and uid not in self._contested:
            self.world.fail(f"maxActiveRuns of a Backfill, {self._limits[uid]}, exceeded: {', '.join(active)}")

    def _changed(self, name: str, old: Json, new: Json) -> None:
        before, after = old.get("status") or {}, new.get("status") or {}
        if before == after:
            return
        what = f"status of Backfill {name} from {before} to {after}"
        if before.get("phase") in FINISHED and after.get("phase") != before["phase"]:
            self.world.fail(f"{what}: it was finished")
        for field in _NEVER_LESS:
            if after.get(field, 0) < before.get(field, 0):
                self.world.fail(f"{what}: {field} is less")
        for field in _NEVER_ANOTHER:
            if field in before and after.get(field) != before[field]:
                self.world.fail(f"{what}: {field} has changed")
        active = len(after.get("activeRuns") or ())
        if after.get("created", 0) != active + after.get("succeeded", 0) + after.get("failed", 0):
            self.world.fail(f"{what}: the counts do not add up")

    def unfinished(self) -> list[str]:
        """Unfinished Backfills that could finish."""
        accepted = {
            dag["metadata"]["name"]: None
            for dag in self.world.server.all(DAGS)
            for condition in (dag.get("status") or {}).get("conditions") or ()
            if condition["type"] == "Accepted" and condition["status"] == "True"
        }
        return [
            f"Backfill {document['metadata']['name']}"
            for document in self.world.server.all(BACKFILLS)
            if (document.get("status") or {}).get("phase") in (None, *UNFINISHED_PHASES)
            and document["spec"]["dag"] in accepted
        ]

    def of_run(self, run: Json) -> str:
        """UID of the Backfill of a run; empty if it was deleted."""
        uid = _backfill_of(run)
        there = [document["metadata"]["uid"] for document in self.world.server.all(BACKFILLS)]
        return uid if uid is not None and uid in there else ""

    def check_end(self) -> None:
        for document in self.world.server.all(BACKFILLS):
            status, uid = document.get("status") or {}, document["metadata"]["uid"]
            name, made = document["metadata"]["name"], self._runs.get(uid, {})
            if "deletionTimestamp" in document["metadata"]:
                self.world.fail(f"Backfill {name} is deleted and does not go")
            if status.get("startedAt") and status.get("phase") in FINISHED:
                if status["created"] + status["skipped"] != status["total"]:
                    self.world.fail(f"Backfill {name} has finished without all of its ticks: {status}")
                if len(made) != status["created"]:
                    self.world.fail(f"Backfill {name} made {', '.join(made) or 'nothing'} and says {status}")
            elif made:
                self.world.fail(f"Backfill {name} made {', '.join(made)} and says {status}")


def _backfill_of(run: Json) -> str | None:
    """UID of the Backfill that a run belongs to."""
    uid: str | None = (run["metadata"].get("annotations") or {}).get(names.ANNOTATION_BACKFILL_UID)
    return uid


def _was_asked(run: Json) -> bool:
    """True if a client other than a Backfill made a request on a run."""
    requests = [*((run.get("status") or {}).get("requests") or ()), run["spec"].get("request") or {"id": "backfill-"}]
    return any(not request["id"].startswith("backfill-") for request in requests)
