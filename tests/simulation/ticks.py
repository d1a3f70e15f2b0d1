"""Schedules, history limits and Dags that come and go; and what has to hold of ticks and of what is kept.

Drawn from a stream of its own: what a seed means otherwise does not change with it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.apiserver import Commit
from tests.apiserver.kinds import BACKFILLS, DAGRUNS, DAGS
from tradewind.api import names

if TYPE_CHECKING:
    from tests.simulation.dags import Scenario
    from tests.simulation.faults import Fault
    from tests.simulation.replica import Life
    from tests.simulation.world import World

Json = dict[str, Any]

FINISHED = ("Succeeded", "Failed")
LIMITS = {"Succeeded": "successfulRunsHistoryLimit", "Failed": "failedRunsHistoryLimit"}
HOLD = "example.dev/hold"
LAST_FAULT = 40.0
"""Seconds: what is late by then has to be made up for before the end."""
RECENTLY = 60.0
"""Seconds for which an earlier state of a changed object may still be used."""
REACTS_WITHIN = 10.0
"""Seconds after which no request of a replica arrives that it sent before it knew better."""
SINCE_CALM = timedelta(seconds=33)
"""Until all goes well for so long: a clock that was set is noticed within 30 seconds."""
_PLANNING = ("schedule", "startDate", "endDate", "catchup")


# What people do -----------------------------------------------------------------------------------------------------


def with_ticks(scenario: Scenario, faults: list[Fault], rng: random.Random) -> None:
    """Of every third world: schedules and low history limits, and people who change, delete and label things."""
    from tests.simulation.faults import Fault

    if rng.random() > 0.35:
        return
    for spec in scenario.dags.values():
        if "schedule" not in spec and rng.random() < 0.7:
            spec["schedule"] = rng.choice([{"every": "10s"}, {"every": "20s"}, "* * * * *"])
            spec["catchup"] = rng.random() < 0.5
        if spec.get("catchup") and rng.random() < 0.5:
            spec["startDate"] = rng.choice(["2026-03-01T05:58:30Z", "2026-03-01T06:00:20Z"])
        for limit in LIMITS.values():
            if rng.random() < 0.7:
                spec[limit] = rng.choice([0, 1, 2])
    for _ in range(rng.choice([1, 3, 6])):
        at, kind = round(rng.random() * LAST_FAULT, 2), rng.choice(sorted(TICK_FAULTS))
        faults.append(Fault(at, kind, rng.randrange(1_000_000)))
    faults.sort(key=lambda fault: fault.at)


def _replace(world: World, rng: random.Random) -> None:
    """`kubectl replace --force`: the Dag is recreated before its dependents are deleted."""
    dags = world.server.all(DAGS, "ns")
    if dags:
        dag = rng.choice(dags)
        world.request("DELETE", DAGS, "ns", dag["metadata"]["name"], {"propagationPolicy": "Background"})
        world.later(rng.choice([0.0, 0.2]), world.make_dag, dag["metadata"]["name"], dag["spec"])


def _held_dag(world: World, rng: random.Random) -> None:
    """A Dag is deleted, and another client's finalizer keeps it for a while; it is edited meanwhile."""
    dags = world.server.all(DAGS, "ns")
    if not dags:
        return
    dag = rng.choice(dags)
    name = dag["metadata"]["name"]
    world.request("PATCH", DAGS, "ns", name, {"metadata": {"finalizers": [HOLD]}})
    world.request("DELETE", DAGS, "ns", name, {"propagationPolicy": "Background"})
    if rng.random() < 0.5:
        world.request("PATCH", DAGS, "ns", name, {"spec": {"suspend": False, "maxActiveTasks": 3}})
    seconds = rng.choice([3.0, 15.0])
    world.later(seconds, world.request, "PATCH", DAGS, "ns", name, {"metadata": {"finalizers": None}})
    world.later(seconds + rng.choice([0.1, 3.0]), world.make_dag, name, dag["spec"])


def _held_run(world: World, rng: random.Random) -> None:
    """A run is held by another client's finalizer, and perhaps deleted; it is removed later."""
    runs = world.server.all(DAGRUNS, "ns")
    if not runs:
        return
    name = rng.choice(runs)["metadata"]["name"]
    world.request("PATCH", DAGRUNS, "ns", name, {"metadata": {"finalizers": [HOLD]}})
    if rng.random() < 0.5:
        world.request("DELETE", DAGRUNS, "ns", name)
    seconds = rng.choice([3.0, 15.0])
    world.later(seconds, world.request, "PATCH", DAGRUNS, "ns", name, {"metadata": {"finalizers": None}})


def _label_runs(world: World, rng: random.Random) -> None:
    """`kubectl label`, or another client that does the same: mostly old runs."""
    for run in world.server.all(DAGRUNS, "ns"):
        ended = (run.get("status") or {}).get("phase") in FINISHED
        if rng.random() < (0.6 if ended else 0.2):
            metadata = {"labels": {"example.dev/n": str(rng.randrange(1000))}}
            world.request("PATCH", DAGRUNS, "ns", run["metadata"]["name"], {"metadata": metadata})


def _plan(world: World, rng: random.Random) -> None:
    """A user changes the schedule of a Dag, or its history limits."""
    dags = world.server.all(DAGS, "ns")
    if not dags:
        return
    change: Json = rng.choice(
        [
            {LIMITS["Succeeded"]: rng.choice([0, 1, 2]), LIMITS["Failed"]: rng.choice([0, 1, 2])},
            {"startDate": world.server.timestamp(world.true_time() + timedelta(seconds=rng.choice([-90, 12])))},
            {"catchup": rng.random() < 0.5},
            {"suspend": rng.random() < 0.5},
        ]
    )
    world.request("PATCH", DAGS, "ns", rng.choice(dags)["metadata"]["name"], {"spec": change})


def _clocks(world: World, rng: random.Random) -> None:
    """All clocks are set, forward or back."""
    step = timedelta(seconds=rng.choice([-90, -15, 15, 90]))
    world.log(f"all clocks are set by {step.total_seconds():+.0f} s")
    for replica in world.replicas:
        replica.clock.skew += step


TICK_FAULTS = {
    "replace dag": _replace,
    "held dag": _held_dag,
    "held run": _held_run,
    "label runs": _label_runs,
    "plan": _plan,
    "clocks": _clocks,
}


# What has to hold ---------------------------------------------------------------------------------------------------


@dataclass
class _Dag:
    """The state of one Dag, by its UID."""

    made: dict[str, Json] = field(default_factory=dict)
    """Its runs by name, each as it was made last."""
    planned_at: float = 0.0
    """When a user last changed its schedule."""
    limits_until: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: {phase: [] for phase in FINISHED})
    """History limits by phase, with the times at which they were set."""
    suspended: bool = False


class TickInvariants:
    """Called with every commit, like the other invariants."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._dags: dict[str, _Dag] = {}
        self._deleted_by_people: dict[str, None] = {}
        """UIDs of runs whose deletion a user has requested."""
        self._taken: dict[str, None] = {}
        """Names of runs that users have created, or that existed while their Dag was recreated."""
        self._reopened: dict[str, tuple[float, Json]] = {}
        """When a rerun last took up a finished run, and how that had finished, by its UID."""
        world.server.store.on_commit.append(self._seen)

    def _seen(self, commit: Commit) -> None:
        if commit.kind is DAGS and commit.new is not None:
            self._dag_changed(commit.old.document if commit.old is not None else None, commit.new.document)
        elif commit.kind is DAGRUNS and commit.old is None:
            assert commit.new is not None
            self._run_made(commit.new.document)
        elif commit.kind is DAGRUNS and commit.old is not None:
            if _is_finished(commit.old.document) and commit.new is not None and not _is_finished(commit.new.document):
                self._reopened[commit.old.metadata["uid"]] = self.world.loop.time(), commit.old.document
            going = commit.new is None or "deletionTimestamp" in commit.new.metadata
            if going and "deletionTimestamp" not in commit.old.metadata:
                self._run_deleted(commit.old.document)

    def _client(self) -> str:
        request = self.world.server.request
        return request.client if request is not None else ""

    def _life(self) -> Life | None:
        """The replica whose request this is."""
        return next((life for life in self.world.lives() if life.name == self._client()), None)

    def _dag_changed(self, old: Json | None, new: Json) -> None:
        dag = self._dags.setdefault(new["metadata"]["uid"], _Dag())
        now, spec = self.world.loop.time(), new["spec"]
        before = old["spec"] if old is not None else {}
        if old is None or any(before.get(name) != spec.get(name) for name in _PLANNING):
            dag.planned_at = now
        for phase, name in LIMITS.items():
            if old is None or before.get(name) != spec.get(name):
                dag.limits_until[phase].append((now, spec.get(name, 25)))

    # Runs of ticks ------------------------------------------------------------------------------------------------

    def _run_made(self, run: Json) -> None:
        metadata, run_type = run["metadata"], run["spec"].get("type", "Manual")
        uid = _dag_uid(run)
        if uid is None or run_type == "Manual":
            self._taken[metadata["name"]] = None
            return
        life = self._life()
        if life is not None and self.world.loop.time() - life.deleting.get(uid, self.world.loop.time()) > REACTS_WITHIN:
            self.world.fail(f"{metadata['name']} was made though its maker knew that its Dag is being deleted")
        dag = self._dags.setdefault(uid, _Dag())
        before = dag.made.get(metadata["name"])
        dag.made[metadata["name"]] = run
        if before is None or before["metadata"]["uid"] in self._deleted_by_people:
            return
        made_by, makes = _backfill_uid(before), _backfill_uid(run)
        if run_type == "Backfill" and made_by != makes:
            return  # a person has asked for it, and the limits had left nothing of the one before
        if run_type == "Scheduled" and before["spec"]["type"] == "Backfill" and dag.planned_at > 0:
            return  # the schedule was changed so that it goes over what the Backfill had done
        self.world.fail(f"{metadata['name']} was made twice: as {before['metadata']['uid']} and {metadata['uid']}")

    def check_calm(self) -> None:
        """With nothing going wrong for a while: schedules have kept up. A list that hung just before that is given up
        so late that there may be no leader yet; missing runs are found at the end."""
        if not any(replica.leads for replica in self.world.replicas):
            return
        for dag in self.world.server.all(DAGS):
            status, spec, metadata = dag.get("status") or {}, dag["spec"], dag["metadata"]
            newest = _newest_tick(spec, metadata, self.world.true_time() - SINCE_CALM)
            accepted = any(
                condition["type"] == "Scheduled" and condition["status"] == "True"
                for condition in status.get("conditions") or ()
            )
            if newest is None or not accepted or "deletionTimestamp" in metadata:
                continue
            # The status may follow later: a clock that was set is noticed within half a minute, about now.
            runs = [run for run in self.world.server.all(DAGRUNS) if _dag_uid(run) == metadata["uid"]]
            active = max(status.get("activeRuns", 0), sum(not _is_finished(run) for run in runs))
            full = active >= spec.get("maxActiveRuns", 16)
            last = datetime.fromisoformat(status["lastScheduleTime"]) if "lastScheduleTime" in status else None
            known = self._dags[metadata["uid"]].made
            # Without catchup a later run does: a clock that was wrong had passed over the ticks before it.
            made = names.run_name(metadata["name"], newest) in known or any(
                run["spec"].get("type") == "Scheduled" and datetime.fromisoformat(run["spec"]["logicalDate"]) > newest
                for run in known.values()
            )
            if not full and not made and (last is None or last < newest):
                self.world.fail(f"Dag {metadata['name']} got as far as {last}, its last tick was {newest}")

    def check_end(self) -> None:
        for dag in self.world.server.all(DAGS):
            status, spec, metadata = dag.get("status") or {}, dag["spec"], dag["metadata"]
            known = self._dags[metadata["uid"]]
            if "lastScheduleTime" not in status:
                continue
            last = datetime.fromisoformat(status["lastScheduleTime"])
            if known.planned_at > self._made_at(metadata):
                continue  # the earlier ticks are unknown by now
            first = _first_moment(spec, metadata)
            expected = _ticks(spec, metadata, first, last) if spec.get("catchup") else [last]
            for tick in expected:
                name = names.run_name(metadata["name"], tick)
                if name not in known.made and name not in self._taken:
                    self.world.fail(f"the tick {tick} of Dag {metadata['name']} had no run")

    def _made_at(self, metadata: Json) -> float:
        made = datetime.fromisoformat(metadata["creationTimestamp"])
        return (made - self.world.true_time()).total_seconds() + self.world.loop.time() + 1.0

    # History ------------------------------------------------------------------------------------------------------

    def _run_deleted(self, run: Json) -> None:
        uid, metadata, status = _dag_uid(run), run["metadata"], run.get("status") or {}
        if self._client() in ("user", ""):
            self._deleted_by_people[metadata["uid"]] = None
            return
        if self._life() is None or uid is None or status.get("phase") not in FINISHED:
            return
        dag = next((each for each in self.world.server.all(DAGS) if each["metadata"]["uid"] == uid), None)
        if dag is None or "deletionTimestamp" in dag["metadata"]:
            return
        what = f"{metadata['name']} was deleted"
        if run["spec"].get("type") == "Scheduled":
            last = (dag.get("status") or {}).get("lastScheduleTime")
            if last is None or run["spec"]["logicalDate"] > last:
                self.world.fail(f"{what}, and the status of its Dag does not have its tick: it has {last}")
        backfill = self._backfill(run)
        if backfill and status["phase"] == "Failed":
            self.world.fail(f"{what}, a failed run of a Backfill that is there")
        # The rerun of another may have begun since the controller looked.
        since = self.world.loop.time() - REACTS_WITHIN
        reopened = [before for moment, before in self._reopened.values() if moment >= since]
        later = [
            other["metadata"]["name"]
            for other in [*self.world.invariants.runs.values(), *reopened]
            if _dag_uid(other) == uid
            and other["metadata"]["uid"] != metadata["uid"]
            and (other.get("status") or {}).get("phase") == status["phase"]
            and (other["status"].get("finishedAt") or "") >= (status.get("finishedAt") or "")
            and self._backfill(other) == backfill
        ]
        limit = self._lowest(self._dags[uid].limits_until[status["phase"]])
        if len(later) < limit:
            self.world.fail(f"{what}, of {limit} that are to be kept: only {later} finished later")

    def _lowest(self, limits: list[tuple[float, int]]) -> int:
        now = self.world.loop.time()
        ends = [moment for moment, _ in limits[1:]] + [now]
        return min(limit for (_, limit), end in zip(limits, ends, strict=True) if end >= now - RECENTLY)

    def _backfill(self, run: Json) -> str:
        uid = _backfill_uid(run)
        there = [each["metadata"]["uid"] for each in self.world.server.all(BACKFILLS)]
        return uid if uid in there else ""


def _is_finished(run: Json) -> bool:
    return (run.get("status") or {}).get("phase") in FINISHED


def _dag_uid(run: Json) -> str | None:
    owners = run["metadata"].get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner["kind"] == "Dag"), None)


def _backfill_uid(run: Json) -> str:
    return str((run["metadata"].get("annotations") or {}).get(names.ANNOTATION_BACKFILL_UID, ""))


def _first_moment(spec: Json, metadata: Json) -> datetime:
    """Ticks after this count."""
    if "startDate" in spec:
        return datetime.fromisoformat(spec["startDate"]) - timedelta(microseconds=1)
    return datetime.fromisoformat(metadata["creationTimestamp"])


def _step(spec: Json, metadata: Json) -> tuple[datetime, timedelta] | None:
    """A tick, and the time between two."""
    schedule = spec.get("schedule")
    if schedule == "* * * * *":
        return datetime(2026, 1, 1, tzinfo=UTC), timedelta(minutes=1)
    if not isinstance(schedule, dict):
        return None
    anchor = datetime.fromisoformat(spec.get("startDate") or metadata["creationTimestamp"])
    return anchor, timedelta(seconds=int(schedule["every"].removesuffix("s")))


def _ticks(spec: Json, metadata: Json, after: datetime, until: datetime) -> list[datetime]:
    step = _step(spec, metadata)
    if step is None:
        return []
    anchor, period = step
    tick = anchor + ((after - anchor) // period + 1) * period
    found = []
    while tick <= until:
        found.append(tick)
        tick += period
    return found


def _newest_tick(spec: Json, metadata: Json, until: datetime) -> datetime | None:
    ticks = _ticks(spec, metadata, _first_moment(spec, metadata), until)
    return ticks[-1] if ticks else None
