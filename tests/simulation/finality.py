"""Final means final: finished states and times in status do not change."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from tests.apiserver import Commit
from tests.apiserver.kinds import DAGRUNS, PODS
from tests.simulation.instances import instances_of
from tests.simulation.kubelet import Truth, TryId

if TYPE_CHECKING:
    from tests.simulation.dags import Scenario
    from tests.simulation.world import World

Json = dict[str, Any]

FINISHED = ("Succeeded", "Failed")
ENDS = ("Succeeded", "Failed", "Skipped", "UpstreamFailed", "Removed")
BY_ITS_TASKS = ("Succeeded", "TaskFailed")
"""Reasons of a run that finished when its last task had."""
TIMES = ("scheduledAt", "queuedAt", "startedAt", "finishedAt")
OMITTED = "the state of the tasks is omitted"


def add_waits(scenario: Scenario, rng: random.Random) -> None:
    """Let some Dags wait for a moment, or for a run, for a short time only; a longer task is downstream of it."""
    for spec in scenario.dags.values():
        for task in spec["tasks"]:
            if "waitFor" in task and rng.random() < 0.5:
                task["sensor"] = _short(rng)
        if rng.random() < 0.25:
            run = {"dag": rng.choice(sorted(scenario.dags)), "window": "1h", "states": ["Succeeded", "Failed"]}
            wait = rng.choice([{"dagRun": run}, {"duration": rng.choice(["3s", "20s"])}])
            mapped: Json = {"forEach": {"items": [0, 1]}} if rng.random() < 0.3 else {}
            rule = rng.choice(["AllSuccess", "AllDone"])
            after = {"name": "after", "image": "busybox", "dependsOn": ["wait"], "triggerRule": rule}
            last = {"name": "last", "image": "busybox", "dependsOn": ["after"], "triggerRule": rule}
            spec["tasks"] += [{"name": "wait", "waitFor": wait, "sensor": _short(rng), **mapped}, after, last]


def _short(rng: random.Random) -> Json:
    return {"timeout": rng.choice(["1s", "6s", "15s", "40s"]), **({"softFail": True} if rng.random() < 0.4 else {})}


def tells_little(status: Json) -> bool:
    """Whether status says nothing of the tasks: it would not have fitted."""
    return status.get("reason") == "StatusTooLarge" or OMITTED in status.get("message", "")


def was_to_go(truth: Truth) -> bool:
    """True if a Pod that succeeded may have finished after its deletion began, by one of the clocks."""
    if truth.exit_code != 0 or truth.asked_to_go is None or truth.finished is None or truth.said_finished is None:
        return False
    return truth.clock_was_set or max(truth.finished, truth.said_finished) >= truth.asked_to_go.replace(microsecond=0)


class FinalityInvariant:
    """Called with every commit."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.server.store.on_commit.append(self._seen)

    def _seen(self, commit: Commit) -> None:
        if commit.new is None:
            return
        if commit.kind is PODS and commit.old is None:
            self._pod_made(commit.new.document)
        elif commit.kind is DAGRUNS and commit.new.document.get("status") and self._is_ours():
            self._run_changed(commit.new.document["metadata"]["name"], commit.new.document["status"])

    def _is_ours(self) -> bool:
        """Whether a controller writes, not a person."""
        request = self.world.server.request
        return request is not None and any(life.name == request.client for life in self.world.lives())

    def _pod_made(self, document: Json) -> None:
        """Of a run whose tasks have all finished there is none to be made."""
        try_id = TryId.of(document["metadata"])
        run = self.world.invariants.runs.get(try_id.run_uid) if try_id is not None else None
        status: Json = (run or {}).get("status") or {}
        ended = status.get("phase") in FINISHED and status.get("reason") in BY_ITS_TASKS
        # A request that another leader had sent may arrive at any time.
        if ended and not status.get("requests") and not tells_little(status) and len(self.world.leaders) == 1:
            self.world.fail(f"{document['metadata']['name']} is created, but its run has finished")

    def check_end(self) -> None:
        """Exit code 0 of a container whose deletion had begun, by any clock, is no success."""
        for truth in self.world.kubelet.truths.values():
            run = self.world.invariants.runs.get(truth.id.run_uid, {})
            status: Json = run.get("status") or {}
            asked, finished = truth.asked_to_go, truth.said_finished
            if truth.ended_by != "deletion" or truth.exit_code != 0 or asked is None or finished is None:
                continue
            if finished < asked or truth.clock_was_set or status.get("requests"):
                continue
            entries = [entry for entry in status.get("tasks") or () if entry["name"] == truth.id.task]
            said = instances_of(entries[0]).get(truth.id.index, {}) if entries else {}
            attempt = said.get("try"), str(said.get("pokes", ""))
            if said.get("state") == "Succeeded" and attempt == (truth.id.number, truth.id.poke):
                self.world.fail(f"{truth.id} was being deleted and exited with 0, and yet it succeeded: {said}")

    def _run_changed(self, name: str, status: Json) -> None:
        if tells_little(status):
            return
        self._check_times(name, status, ("startedAt", "finishedAt"))
        tasks: list[Json] = status.get("tasks") or []
        for entry in tasks:
            # A sensor has begun with its first look; and mapped instances each have times of their own.
            one = "count" not in entry and entry.get("pokes", 0) < 2
            self._check_times(f"{name}/{entry['name']}", entry, TIMES if one else TIMES[2:])
        spec = self.world.revisions.get(status.get("revision", ""))
        if "done" not in status or spec is None:
            return
        entries = {entry["name"]: entry for entry in tasks}
        done, total = 0, 0
        for task in spec["tasks"]:
            entry = entries.get(task["name"], {})
            each = list(instances_of(entry).values()) if "count" in entry else [entry]
            total += len(each)
            done += sum(one.get("state") in ENDS for one in each)
        if status["done"] != f"{done}/{total}":
            self.world.fail(f"status of {name}: done is {status['done']}, its tasks say {done}/{total}")
        if status["phase"] in FINISHED and done < total:
            self.world.fail(f"status of {name}: {status['phase']}, but {total - done} instances have not finished")

    def _check_times(self, what: str, facts: Json, fields: tuple[str, ...]) -> None:
        moments = [facts[field] for field in fields if field in facts]
        if moments != sorted(moments):
            self.world.fail(f"{what}: {', '.join(f'{field} {facts.get(field)}' for field in fields)}")
        if any("." in moment for moment in moments):
            self.world.fail(f"{what}: parts of a second, which no component knows: {moments}")
