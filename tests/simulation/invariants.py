"""Invariants after every step and in the end; they see only Kubernetes objects and the truth."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.apiserver import Commit
from tests.apiserver.kinds import DAGRUNS, DAGS, PODS, POOLS
from tests.simulation.backfills import BackfillInvariants
from tests.simulation.failure_limits import FailureLimitInvariant
from tests.simulation.finality import FinalityInvariant, tells_little, was_to_go
from tests.simulation.instances import instances_of
from tests.simulation.kubelet import Truth, TryId
from tests.simulation.ticks import TickInvariants
from tradewind.api import names
from tradewind.api.shards import ONLY_SHARD

if TYPE_CHECKING:
    from tests.simulation.replica import Life
    from tests.simulation.world import World

Json = dict[str, Any]

FINISHED = ("Succeeded", "Failed")
_PHASES = {None: 0, "Queued": 1, "Running": 2, "Succeeded": 3, "Failed": 3}
_ENDS = ("Succeeded", "Failed", "Skipped", "UpstreamFailed", "Removed")
_ORDER = {"None": 0, "Scheduled": 1, "Queued": 2, "Running": 3, "UpForRetry": 4, "UpForReschedule": 4}
_ORDER |= dict.fromkeys(_ENDS, 5)
_BY_REQUEST = ("Stopped", "Marked", "Cleared")
"""Reasons of tasks that finished because of a request."""
LARGEST_STATUS = 1_000_000
UNLIMITED = 1_000_000
STOPPED_WITHIN = 70.0
"""Seconds within which a Pod ends of which that was asked: a request may have to be repeated for a minute."""
RECENTLY = 60.0
"""Seconds for which a limit that was lowered may still be followed as it was."""


WRITTEN_WITHIN = 20.0
"""Seconds until a status that could not be written is tried again."""


class Invariants:
    """Called with every commit; calls `world.fail(…)` on a violation."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.started: dict[TryId, Truth] = {}
        self.lost_to_standby = 0
        """Results that only a replica which did not lead had seen."""
        self.runs: dict[str, Json] = {}
        """Every run there ever was, by UID, as it was last."""
        self._contested: dict[str, None] = {}
        """UIDs of Pods created while two replicas were leader: a user had deleted the Lease."""
        self._limits: dict[str, list[tuple[float, int]]] = {}
        """Limits by name, with the times at which they were set."""
        self._asked_to_end: dict[str, None] = {}
        """UIDs of Pods whose stop was requested."""
        self._said_by: dict[tuple[str, str, str, int], Life] = {}
        """The writer of a try's result: (UID of the run, task, index, number), of tries in status."""
        self._without_tasks: dict[str, None] = {}
        """UIDs of runs whose status was written without their tasks, once."""
        self._cut_short: dict[str, float] = {}
        """When a run was last ended whatever its tasks were at, by its UID. The first requests to end its Pods may have
        failed."""
        self._timed_out: dict[str, list[str]] = {}
        """When a run took too long, as its status said, by its UID; more than once if it was run again."""
        self._excesses: deque[Callable[[], None]] = deque()
        """Limits that seem to be exceeded, the oldest first."""
        self.backfills = BackfillInvariants(world)
        self.ticks = TickInvariants(world)
        self.finality = FinalityInvariant(world)
        FailureLimitInvariant(world)
        world.server.store.on_commit.append(self._seen)
        world.kubelet.on_start.append(self._pod_starts)

    # Every step ---------------------------------------------------------------------------------------------------

    def _seen(self, commit: Commit) -> None:
        if commit.kind is PODS and commit.old is None:
            assert commit.new is not None
            self._pod_made(commit.new.document)
        elif commit.kind is PODS and commit.new is not None and _is_to_end(commit.new.metadata):
            self._asked_to_end[commit.new.metadata["uid"]] = None
        elif commit.kind is DAGRUNS and commit.new is not None:
            before = commit.old.document if commit.old is not None else {}
            self.runs[commit.new.metadata["uid"]] = commit.new.document
            self._run_changed(before.get("status") or {}, commit.new.document)
        elif commit.kind is DAGRUNS:
            assert commit.old is not None
            ended = {"deletionTimestamp": self.world.server.timestamp(), **commit.old.metadata}
            self.runs[commit.old.metadata["uid"]] = {**commit.old.document, "metadata": ended}
        elif commit.kind is POOLS:
            stored = commit.new or commit.old
            assert stored is not None
            slots = stored.document["spec"]["slots"] if commit.new is not None else 0
            self._note_limit(f"pool {stored.metadata['name']}", UNLIMITED if slots < 0 else slots)
        elif commit.kind is DAGS and commit.new is not None:
            spec, name = commit.new.document["spec"], commit.new.metadata["name"]
            self._note_limit(f"runs {name}", spec.get("maxActiveRuns", 16))

    def _note_limit(self, name: str, limit: int) -> None:
        self._limits.setdefault(name, []).append((self.world.loop.time(), limit))

    def _limit(self, name: str) -> int | None:
        """The highest that a limit has been lately; None if it was never set."""
        known = self._limits.get(name)
        if not known:
            return None
        now = self.world.loop.time()
        ends = [moment for moment, _ in known[1:]] + [now]
        return max(limit for (_, limit), end in zip(known, ends, strict=True) if end >= now - RECENTLY)

    def _pod_starts(self, truth: Truth) -> None:
        other = self.started.setdefault(truth.id, truth)
        if other is not truth and not self._is_unknowable(other) and truth.id.run_uid not in self._without_tasks:
            self.world.fail(f"two Pods ran for {truth.id}: {other.uid} and {truth.uid}")
        for earlier in self.started.values():
            same = _same_instance(earlier.id, truth.id)
            if same and earlier.id.order < truth.id.order and earlier.ended_by == "" and not earlier.vanished:
                self.world.fail(f"{truth.id} runs while {earlier.id} still does")
        self._result_was_not_lost(truth)

    def _is_unknowable(self, truth: Truth) -> bool:
        """Whether a Pod came and went without a trace that whoever leads now could have seen. The finalizer is what
        keeps that from happening."""
        leaders = [replica.life for replica in self.world.replicas if replica.life is not None and replica.leads]
        return truth.vanished and not truth.protected and not any(truth.uid in life.known for life in leaders)

    def _result_was_not_lost(self, truth: Truth) -> None:
        """A try runs: no earlier one had succeeded, as far as anybody could know."""
        for earlier in self.started.values():
            if not _same_instance(earlier.id, truth.id) or earlier.id.order >= truth.id.order:
                continue
            if earlier.id.number <= self._entry(truth.id).get("triesBefore", 0):
                continue  # it was asked to run again
            if truth.id.run_uid in self._without_tasks:
                continue
            if earlier.ended_by == "itself" and earlier.reported and earlier.exit_code == 0 and not was_to_go(earlier):
                self._lost(earlier, f"{earlier.id} succeeded, and yet {truth.id} runs")

    def _lost(self, truth: Truth, what: str) -> None:
        """A result was lost: always wrong with the finalizer, else if whoever decided had seen it. Two who lead at once
        may come to different conclusions; what the one starts then, the other does not know."""
        if truth.uid in self._contested:
            return
        if truth.protected:
            self.world.fail(f"{what}; its Pod had the finalizer")
            return
        if truth.uid in self._writers_seen(truth):
            self.world.fail(f"{what}; the replica that leads had seen it")
        elif any(truth.uid in life.seen for life in self.world.lives()):
            self.lost_to_standby += 1

    def _writers_seen(self, truth: Truth) -> dict[str, None]:
        said_by = self._said_by.get((truth.id.run_uid, truth.id.task, truth.id.index, truth.id.number))
        life = said_by or self.world.last_writer.get(truth.id.run_uid)
        return life.seen if life is not None and not life.ended else {}

    def _entry(self, try_id: TryId) -> Json:
        """Return a task instance in the status of a run; {} if it is not there."""
        entries: list[Json] = (self.runs.get(try_id.run_uid, {}).get("status") or {}).get("tasks") or []
        found = next((instances_of(entry) for entry in entries if entry["name"] == try_id.task), {})
        return found.get(try_id.index, {})

    def _is_unexpected(self, try_id: TryId) -> bool:
        """Whether the task of a try was run again since, or marked, or its run stopped."""
        entry = self._entry(try_id)
        # Instances of mapped tasks have no reason.
        asked = bool(try_id.index and (self.runs[try_id.run_uid].get("status") or {}).get("requests"))
        over = try_id.number <= entry.get("triesBefore", 0)
        return over or (entry.get("state") in _ENDS and (asked or entry.get("reason") in _BY_REQUEST))

    def _pod_made(self, document: Json) -> None:
        try_id = TryId.of(document["metadata"])
        if try_id is None or self._is_unexpected(try_id):
            return
        namespace = document["metadata"]["namespace"]
        leaders = [each for each in self.world.replicas if each.leads and each.part.owns(namespace)]
        if len({each.part for each in leaders}) > 1:
            self.world.fail(f"{[f'{each.name}, {each.part}' for each in leaders]} lead namespace {namespace}")
        if len(leaders) > 1:
            # Neither can know what the other starts at this moment.
            self._contested[_uid(document)] = None
            return
        if self.world.loop.time() < self.world.little_fits_until + WRITTEN_WITHIN:
            # A run whose status etcd never takes has finished and holds nothing, and no client can write that until
            # some time after.
            return
        if int(try_id.poke or 1) > 1 and self.world.task_of(document).get("sensor", {}).get("mode") != "Reschedule":
            return  # it has held its slots since its first look, and a pool may have become smaller since
        active = [pod for pod in self.world.server.all(PODS, document["metadata"]["namespace"]) if self._counts(pod)]
        parallelism = self.world.scenario.parallelism
        if parallelism:
            self._check_limit("parallelism", parallelism, document, dict.fromkeys(map(_uid, active), 1))
        in_run = [_uid(pod) for pod in active if _run_uid(pod) == try_id.run_uid]
        most = self.world.spec_of(document).get("maxActiveTasks", 16)
        self._check_limit("maxActiveTasks", most, document, dict.fromkeys(in_run, 1))
        dag = document["metadata"]["labels"][names.LABEL_DAG]
        of_dag = [pod for pod in active if pod["metadata"]["labels"][names.LABEL_DAG] == dag]
        runs = {_run_uid(pod): _uid(pod) for pod in [*of_dag, document] if not self._is_of_backfill(pod)}
        begun = (self.runs.get(try_id.run_uid, {}).get("status") or {}).get("startedAt")
        # A running one continues, however low the limit is set meanwhile.
        if not begun and not self._is_of_backfill(document):
            self._check_limit("maxActiveRuns", self._limit(f"runs {dag}"), document, dict.fromkeys(runs.values(), 1))
        pool, _ = self.world.pool_of(document)
        slots = {_uid(pod): self.world.pool_of(pod)[1] for pod in active if self.world.pool_of(pod)[0] == pool}
        self._check_limit(f"pool {pool}", self._limit(f"pool {pool}"), document, slots)

    def _check_limit(self, what: str, limit: int | None, made: Json, slots: dict[str, int]) -> None:
        """`slots` of Pods by UID, the one just made among them."""
        if limit is None or sum(slots.values()) <= limit:
            return
        now = self.world.loop.time()
        when = f"{what} of {limit} exceeded at {now:.3f} by {made['metadata']['name']}"
        self._excesses.append(partial(self._confirm_excess, when, limit, _uid(made), slots, now))
        self.world.later(STOPPED_WITHIN, self._confirm_oldest_excess)

    def _confirm_oldest_excess(self) -> None:
        if self._excesses:
            self._excesses.popleft()()

    def _confirm_excess(self, when: str, limit: int, newest: str, slots: dict[str, int], since: float) -> None:
        """A step that frees slots by finishing a run or a try stops its Pod at the same time: those do not count."""
        counted = {uid: number for uid, number in slots.items() if uid == newest or not self._was_stopped(uid, since)}
        if sum(counted.values()) > limit:
            self.world.fail(f"{when}: {', '.join(self.world.kubelet.truths[uid].name for uid in counted)}")

    def _was_stopped(self, uid: str, since: float) -> bool:
        truth = self.world.kubelet.truths[uid]
        if uid in self._asked_to_end or (truth.ended_by and truth.ended_by != "itself"):
            return True
        run = self.runs.get(truth.id.run_uid, {})
        return "deletionTimestamp" in run["metadata"] or self._cut_short.get(truth.id.run_uid, -1.0) >= since

    def _counts(self, pod: Json) -> bool:
        """True if a Pod takes slots: not a finished or stopped one, nor one of a finished run."""
        if pod["status"].get("phase") in FINISHED or _is_to_end(pod["metadata"]):
            return False
        statuses = pod["status"].get("containerStatuses") or ()
        if any("terminated" in status["state"] for status in statuses if status["name"] == names.TASK_CONTAINER):
            return False
        try_id = TryId.of(pod["metadata"])
        if try_id is not None and self._is_unexpected(try_id):
            return False
        run = self.world.server.find(DAGRUNS, pod["metadata"]["namespace"], pod["metadata"]["labels"][names.LABEL_RUN])
        alive = (
            run is not None and run["metadata"]["uid"] == _run_uid(pod) and "deletionTimestamp" not in run["metadata"]
        )
        return alive and run is not None and (run.get("status") or {}).get("phase") not in FINISHED

    def _is_of_backfill(self, pod: Json) -> bool:
        """Whether its run counts in the limit of a Backfill, not in that of the Dag."""
        metadata = self.runs.get(_run_uid(pod) or "", {}).get("metadata") or {}
        return names.LABEL_BACKFILL in (metadata.get("labels") or {})

    def _run_changed(self, before: Json, document: Json) -> None:
        status, metadata = document.get("status") or {}, document["metadata"]
        if status == before:
            return
        what = f"status of {metadata['name']}"
        # Of a status that does not fit only the last request is left.
        known = [] if tells_little(before) or tells_little(status) else before.get("requests") or []
        if self._requests_changed(what, known, status.get("requests") or []):
            self._only_advances(what, before, status)
            return
        old, new = before.get("phase"), status.get("phase")
        if tells_little(status):
            self._without_tasks[metadata["uid"]] = None
        if new in FINISHED and status.get("reason") in ("RunTimeout", "StatusTooLarge"):
            self._cut_short[metadata["uid"]] = self.world.loop.time()
            self._timed_out.setdefault(metadata["uid"], []).append(status["finishedAt"])
        if _PHASES[new] < _PHASES[old] or (old in FINISHED and new != old):
            self.world.fail(f"{what}: phase from {old} to {new}")
        for name in ("startedAt", "finishedAt", "revision") if before.get("startedAt") else ():
            if before.get(name) and before[name] != status.get(name):
                self.world.fail(f"{what}: {name} from {before[name]} to {status.get(name)}")
        tasks = {entry["name"]: entry for entry in status.get("tasks") or ()}
        for entry in before.get("tasks") or () if not tells_little(status) else ():
            self._task_changed(what, entry, tasks.get(entry["name"]))
        self._note_who_says_so(metadata["uid"], tasks)
        if len(str(status)) > LARGEST_STATUS:
            self.world.fail(f"{what} has {len(str(status))} bytes")

    def _note_who_says_so(self, run_uid: str, tasks: dict[str, Json]) -> None:
        writer = self.world.last_writer.get(run_uid)
        if writer is None:
            return
        for name, entry in tasks.items():
            for index, instance in instances_of(entry).items():
                for past in instance.get("tries") or ():
                    self._said_by.setdefault((run_uid, name, index, past["number"]), writer)

    def _requests_changed(self, what: str, old: list[Json], new: list[Json]) -> bool:
        """Check that a request was applied; each is on record once, and stays there."""
        ids = [record["id"] for record in new]
        if len(set(ids)) < len(ids):
            self.world.fail(f"{what}: a request is on record twice: {ids}")
        if new[: len(old)] != old:
            self.world.fail(f"{what}: the record of requests was {old}, is {new}")
        return any(record["state"] == "Applied" for record in new[len(old) :])

    def _only_advances(self, what: str, before: Json, status: Json) -> None:
        """A request may change anything, but no number of a try is given out twice while its Pod may be there."""
        if before.get("revision") != status.get("revision") or tells_little(status):
            return  # a task that is mapped differently now has no history in status; its Pods have
        tasks = {entry["name"]: entry for entry in status.get("tasks") or ()}
        for entry in before.get("tasks") or ():
            after = instances_of(tasks[entry["name"]]) if entry["name"] in tasks else {}
            for index, old in instances_of(entry).items():
                now = after.get(index, {})
                last = max(now.get("try", 0), now.get("triesBefore", 0))
                if max(old.get("try", 0), old.get("triesBefore", 0)) > last:
                    self.world.fail(f"{what}: task {old['name']} from {_summary(old)} to {now}: tries are forgotten")

    def _task_changed(self, what: str, old: Json, new: Json | None) -> None:
        if new is None:
            self.world.fail(f"{what}: task {old['name']} ({old['state']}) is gone")
            return
        before, after = instances_of(old), instances_of(new)
        for index in before if before.keys() <= after.keys() else ():
            self._instance_changed(what, before[index], after[index])
        if not before.keys() <= after.keys() and (_summary(old) != "None try 0" or "count" in old):
            self.world.fail(f"{what}: task {old['name']} from {_summary(old)} to {_summary(new)}: other instances")

    def _instance_changed(self, what: str, old: Json, new: Json) -> None:
        then, now = (old.get("try", 0), old.get("lost", 0)), (new.get("try", 0), new.get("lost", 0))
        same_attempt = now[0] == then[0] and new.get("pokes", 0) == old.get("pokes", 0)
        summary = f"{what}: task {old['name']} from {_summary(old)} to {_summary(new)}"
        if now[0] < then[0] or now[1] < then[1]:
            self.world.fail(f"{summary}: tries are forgotten")
        elif old["state"] in _ENDS and (old["state"], old.get("exitCode")) != (new["state"], new.get("exitCode")):
            self.world.fail(f"{summary}: it was finished")
        elif same_attempt and _goes_back(old["state"], new["state"]):
            self.world.fail(f"{summary}: backwards")
        known = {past["number"]: past for past in new.get("tries") or ()}
        for past in old.get("tries") or ():
            if past["number"] in known and known[past["number"]] != past:
                self.world.fail(f"{summary}: try {past['number']} was {past}, is {known[past['number']]}")

    # The end ------------------------------------------------------------------------------------------------------

    def unfinished(self) -> list[str]:
        """Runs that have not ended, and Backfills."""
        runs = self.world.server.all(DAGRUNS)
        left = [run["metadata"]["name"] for run in runs if (run.get("status") or {}).get("phase") not in FINISHED]
        return left + self.backfills.unfinished()

    def check_end(self) -> None:
        """Called a while after the last run ended, with nothing going wrong any more."""
        runs = {run["metadata"]["uid"]: run for run in self.world.server.all(DAGRUNS)}
        for run in runs.values():
            self._check_results(run)
            if "request" in run["spec"]:
                self.world.fail(f"{run['metadata']['name']} still has the request {run['spec']['request']}")
        while self._excesses:
            self._confirm_oldest_excess()
        for pod in self.world.server.all(PODS):
            metadata, run_uid = pod["metadata"], _run_uid(pod)
            if run_uid is None:
                continue
            if run_uid not in runs:
                self.world.fail(f"Pod {metadata['name']} is left of a run that is gone")
            if pod["status"].get("phase") not in FINISHED:
                self.world.fail(f"Pod {metadata['name']} still is {pod['status'].get('phase')}, its run has finished")
            if names.FINALIZER_RESULT in (metadata.get("finalizers") or ()):
                self.world.fail(f"Pod {metadata['name']} still has the finalizer")
        for kind in (DAGS, DAGRUNS, PODS):
            for document in self.world.server.all(kind):
                if "deletionTimestamp" in document["metadata"]:
                    self.world.fail(f"{kind.name} {document['metadata']['name']} is deleted and does not go")
        self.backfills.check_end()
        self.ticks.check_end()
        self.finality.check_end()
        self._check_dags()
        self._check_replicas()

    def _check_dags(self) -> None:
        for dag in self.world.server.all(DAGS):
            name, status, spec = dag["metadata"]["name"], dag.get("status") or {}, dag["spec"]
            if status.get("activeRuns") != 0:
                self.world.fail(f"Dag {name} says it has {status.get('activeRuns')} active runs")
            if status.get("observedGeneration") != dag["metadata"]["generation"]:
                self.world.fail(f"the status of Dag {name} is of generation {status.get('observedGeneration')}")
            runs = [run for run in self.world.server.all(DAGRUNS) if run["spec"]["dag"] == name]
            # Those of each Backfill count apart, while it is there; its failed ones have no limit, nor have those of
            # ticks that would be made again: by catchup, or since the Dag is suspended, or loses its schedule, before
            # its status has them.
            again = spec.get("catchup") or spec.get("suspend") or not (spec.get("schedule") or spec.get("schedules"))
            ahead = status.get("lastScheduleTime", "") if again else "9999"
            counts = Counter(
                (self.backfills.of_run(run), run["status"]["phase"])
                for run in runs
                if run["spec"].get("type", "Manual") == "Manual" or run["spec"]["logicalDate"] <= ahead
            )
            limits = {"Succeeded": "successfulRunsHistoryLimit", "Failed": "failedRunsHistoryLimit"}
            for (backfill, phase), number in counts.items():
                if not (backfill and phase == "Failed") and number > spec.get(limits[phase], UNLIMITED):
                    self.world.fail(f"Dag {name} has {number} {phase} runs, its {limits[phase]} is less")

    def _check_replicas(self) -> None:
        leaders = {replica.name: str(replica.part) for replica in self.world.replicas if replica.leads}
        parts = {str(replica.part) for replica in self.world.replicas if replica.life} or {str(ONLY_SHARD)}
        if sorted(leaders.values()) != sorted(parts):
            self.world.fail(f"there are {len(leaders)} leaders: {leaders}")
        for replica in self.world.replicas:
            life = replica.life
            if life is not None and life.controller is not None and (trouble := life.controller.unready()):
                self.world.fail(f"{life.name} is not ready: {trouble}")

    def _check_results(self, run: Json) -> None:
        """Status says of each try what its Pod said."""
        status, uid = run["status"], run["metadata"]["uid"]
        if uid in self._without_tasks:
            return
        entries = {entry["name"]: entry for entry in status.get("tasks") or ()}
        for truth in self.started.values():
            if truth.id.run_uid != uid or not truth.reported or truth.ended_by != "itself" or was_to_go(truth):
                continue
            if truth.id.poke and truth.exit_code != 0:
                continue  # not yet, most often
            entry = instances_of(entries[truth.id.task]).get(truth.id.index) if truth.id.task in entries else None
            what = f"{run['metadata']['name']}: {truth.id} ended by itself with {truth.exit_code}"
            if entry is None or entry.get("try", 0) < truth.id.number:
                if status.get("reason") != "RunTimeout" and not status.get("requests"):
                    self._lost(truth, f"{what}, status says {_summary(entry) if entry else 'nothing'}")
                continue
            if entry["try"] == truth.id.number and entry.get("triesBefore", 0) < truth.id.number:
                said = entry
            else:
                past = [each for each in entry.get("tries") or () if each["number"] == truth.id.number]
                if not past:
                    continue
                said = past[0]
            reason = said.get("reason")
            timed_out = reason == "RunTimeout" and (status["reason"] == reason or "requests" in status)
            if timed_out or reason in _BY_REQUEST or self._ended_with_run(uid, said):
                continue
            if "exitCode" not in said and truth.id.index:
                # Of a mapped task, status has only how its instances finished, not why.
                right = (said["state"] == "Succeeded") == (truth.exit_code == 0)
                if not right and status.get("reason") != "RunTimeout" and "requests" not in status:
                    self._lost(truth, f"{what}, status says {_summary(said)}")
            elif said.get("exitCode") != truth.exit_code:
                self._lost(truth, f"{what}, status says {_summary(said)}")
            elif truth.exit_code == 0 and said["state"] != "Succeeded":
                self.world.fail(f"{what}, status says {_summary(said)}")

    def _ended_with_run(self, run_uid: str, said: Json) -> bool:
        """Whether a try was being stopped, for a reason of its own, when its run took too long: its end is not waited
        for then."""
        return "exitCode" not in said and said.get("finishedAt") in self._timed_out.get(run_uid, ())


def _is_to_end(metadata: Json) -> bool:
    return "deletionTimestamp" in metadata or names.ANNOTATION_ENDED in (metadata.get("annotations") or {})


def _same_instance(one: TryId, other: TryId) -> bool:
    return (one.run_uid, one.task, one.index) == (other.run_uid, other.task, other.index)


def _run_uid(pod: Json) -> str | None:
    owners = [owner for owner in pod["metadata"].get("ownerReferences") or () if owner["kind"] == "DagRun"]
    return owners[0]["uid"] if owners else None


def _uid(document: Json) -> str:
    return str(document["metadata"]["uid"])


def _goes_back(old: str, new: str) -> bool:
    """Within one try; a Pod that cannot be created after all, or has to be looked up again, is Scheduled again."""
    if new == "Scheduled":
        return old in ("Running", "UpForRetry", *_ENDS)
    return _ORDER[new] < _ORDER[old]


def _summary(entry: Json) -> str:
    facts = [entry["state"], f"try {entry.get('try', entry.get('number', 0))}"]
    facts += [f"{name} {entry[name]}" for name in ("lost", "reason", "exitCode") if name in entry]
    return " ".join(facts)
