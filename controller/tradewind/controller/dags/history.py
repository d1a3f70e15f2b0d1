"""The finished runs of each Dag, and the deletion of those beyond its history limits.

Finished runs are not watched. They are listed once, when this replica becomes leader, and added as they finish, so that
pruning needs no request to read. They are listed again only if someone else turns out to delete runs of the Dag.
"""

import asyncio
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from tradewind.api import names
from tradewind.api.backfill import UNFINISHED_PHASES
from tradewind.api.dag import DagSpec
from tradewind.api.times import parse_time
from tradewind.cache.resources import DAGRUNS, BackfillObject, DagRunObject, backfill_of
from tradewind.controller.dags.revisions import Revisions
from tradewind.controller.term import Term
from tradewind.engine.run.states import RunPhase
from tradewind.engine.schedule.backfill import is_recorded
from tradewind.engine.schedule.finished_run import FinishedRun
from tradewind.engine.schedule.history import FinishedRuns, HistoryEntry
from tradewind.engine.status.check import usable_time
from tradewind.kube.errors import ApiError, KubeError
from tradewind.kube.objects import Key
from tradewind.kube.persist import keep_trying
from tradewind.kube.resources import CONTROLLERREVISIONS

log = logging.getLogger(__name__)

PHASES = ("Succeeded", "Failed")
REVISIONS_KEPT = 10
"""Revisions kept for each Dag; older ones are deleted unless a run uses them."""
TRY_AGAIN = 30.0
ROWS_IN_A_ROW = 500
"""Finished runs that are read (some 10 µs each) before the event loop gets a turn."""
_TICK = re.compile(r"\d{8}t\d{6}")
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Pruning:
    """The limits that decide which finished runs of a Dag are deleted."""

    spec: DagSpec
    settled: Mapping[str, datetime]
    """The last tick whose run is never created again, by type of run. Runs of later ticks stay whatever the limits
    say: if they were deleted, a new leader would create them a second time."""


class History:
    """Finished runs, by Dag."""

    def __init__(
        self,
        term: Term,
        revisions: Revisions,
        *,
        scopes: Sequence[str | None],
        revisions_in_use: Callable[[Key], set[str | None]],
    ) -> None:
        """`revisions_in_use(dag)` are the revisions of a Dag and its runs, even if not written to a status yet."""
        self.counts: Counter[tuple[Key, str]] = Counter()
        """Finished runs by Dag and phase."""
        self._runs: defaultdict[Key, FinishedRuns] = defaultdict(FinishedRuns)
        self._listed = False
        self._changed: list[set[tuple[Key, str]]] = []
        """For each list request in progress, the runs that changed since it was sent."""
        self._client, self._writer, self._spawn = term.client, term.writer, term.spawn
        self._part, self._backfills = term.cluster.part, term.cluster.backfills
        self._requested = term.cluster.requested
        """Runs with a request: they are kept until it is executed."""
        self._scopes, self._revisions, self._revisions_in_use = scopes, revisions, revisions_in_use
        self._pruning: dict[Key, Pruning | None] = {}
        """Dags that are being pruned, each with the pruning to do next, if any."""
        self._dags = term.cluster.dags
        self._left_out: set[Key] = set()
        """Dags with runs that are not counted because a Dag with another UID owns them."""
        self._revised: set[Key] = set()
        """Dags that may have revisions to delete."""

    # Finished runs ------------------------------------------------------------------------------------------------

    async def load(self, versions: Mapping[Key, int]) -> tuple[list[Key], dict[Key, list[str]]]:
        """List finished runs. Return the Dags that have some and, for each Dag in `versions`, the names of its runs
        with a later resourceVersion: all runs that finished since then are among them."""
        later: dict[Key, list[str]] = {}
        with self._listing() as changed:
            rows: list[dict[str, Any]] = []
            for scope in self._scopes:
                for phase in PHASES:
                    rows += await self._finished(scope, phase)
            for number, row in enumerate(rows, 1):
                metadata = row["metadata"]
                key = (metadata["namespace"], (metadata.get("labels") or {}).get(names.LABEL_DAG, ""))
                if key[1] and (key, metadata["name"]) not in changed:
                    if self._is_of_another_dag(key, _dag_uid(metadata)):
                        self._left_out.add(key)
                    else:
                        self._add(key, self._row(row))
                if key in versions and int(metadata["resourceVersion"]) > versions[key]:
                    later.setdefault(key, []).append(metadata["name"])
                if number % ROWS_IN_A_ROW == 0:
                    await asyncio.sleep(0)
        self._listed = True
        return [key for key, runs in self._runs.items() if runs], later

    async def _finished(self, scope: str | None, phase: str) -> list[dict[str, Any]]:
        """List the runs with that phase, as printer columns: a run's status may be a megabyte."""
        rows: list[dict[str, Any]] = []
        try:
            for labels in self._part.selectors() if scope is None else ("",):
                rows += await self._client.list(
                    DAGRUNS, scope, label_selector=labels, field_selector=f"status.phase={phase}", partial="table"
                )
        except ApiError as error:
            if scope is None or not error.is_forbidden:
                raise
            # When a namespace is deleted, so are our rights in it; the runs of the others still count.
            log.warning("cannot list the finished runs in namespace %s: %s; they are not pruned", scope, error)
            return []
        return [
            row
            for row in rows
            if self._part.owns(row["metadata"]["namespace"]) and "deletionTimestamp" not in row["metadata"]
        ]

    async def read_finished(self, dag: Key, run_names: Iterable[str]) -> list[FinishedRun]:
        """Read runs of a Dag; leave out those that are deleted or not finished."""
        finished = []
        for name in run_names:
            try:
                run = await self._client.get(DAGRUNS, dag[0], name)
            except ApiError as error:
                if not error.is_not_found:
                    raise
                continue
            status, finished_at = run.get("status") or {}, parse_time((run.get("status") or {}).get("finishedAt"))
            if status.get("phase") in PHASES and finished_at is not None:
                phase, run_type = RunPhase(status["phase"]), run["spec"].get("type", "Manual")
                version, started = int(run["metadata"]["resourceVersion"]), bool(status.get("startedAt"))
                finished.append(FinishedRun(*dag, name, run_type, phase, finished_at, version, started=started))
        return finished

    def finished(self, run: FinishedRun) -> None:
        """Add a run that finished."""
        dag = (run.namespace, run.dag)
        found = self._backfills.get((run.namespace, run.backfill or ""))
        backfill = run.backfill if found is not None and found.metadata.uid == run.backfill_uid else None
        succeeded = run.phase is RunPhase.SUCCEEDED
        self._note_change(dag, run.name)
        if self._is_of_another_dag(dag, run.dag_uid):
            self._left_out.add(dag)
            return
        self._add(dag, HistoryEntry(run.finished_at, run.version, run.name, succeeded, backfill or "", run.type))

    def reopened(self, dag: Key, run: str) -> None:
        """Remove a finished run that runs again."""
        self._note_change(dag, run)
        self._remove(dag, run)

    def requested(self, dag: Key, run: DagRunObject) -> None:
        """Note a request about a run, which may be finished: a Backfill that reruns it becomes its Backfill, even if
        the request is refused."""
        runs, metadata = self._runs.get(dag), run.metadata
        known = runs.get(metadata.name) if runs else None
        found = backfill_of(self._backfills, metadata.namespace, metadata.labels, metadata.annotations)
        if known is not None and found is not None and known.backfill != found.metadata.name:
            self._add(dag, known._replace(backfill=found.metadata.name))

    def dag_added(self, dag: Key) -> None:
        """List the runs of a new Dag if some were left out: they may be its own, listed before it was in the cache."""
        if dag in self._left_out:
            self._left_out.discard(dag)
            what = f"list the runs of Dag {dag[0]}/{dag[1]}"
            self._spawn(keep_trying(partial(self._relist, dag), what, TRY_AGAIN), what, None)

    def forget(self, dag: Key) -> None:
        """Forget the runs of a Dag that was deleted or recreated."""
        for name in self._runs[dag].names():
            self._note_change(dag, name)
        self._runs.pop(dag, None)
        self._revised.discard(dag)
        self._count(dag)

    def backfill_gone(self, backfill: Key) -> None:
        """Count the remaining runs of a deleted Backfill as runs of its Dag."""
        for dag, runs in self._runs.items():
            if dag[0] == backfill[0]:
                runs.dissolve(backfill[1])

    def revised(self, dag: Key) -> None:
        """Note that a Dag has a new revision."""
        self._revised.add(dag)

    def _add(self, dag: Key, run: HistoryEntry) -> None:
        self._runs[dag].add(run)
        self._count(dag)

    def _remove(self, dag: Key, name: str) -> None:
        self._runs[dag].remove(name)
        self._count(dag)

    def _count(self, dag: Key) -> None:
        runs = self._runs.get(dag)
        for phase in PHASES:
            number = runs.count(succeeded=phase == "Succeeded") if runs else 0
            if number:
                self.counts[dag, phase] = number
            else:
                self.counts.pop((dag, phase), None)

    @contextmanager
    def _listing(self) -> Iterator[set[tuple[Key, str]]]:
        """Hold this while runs are listed. Yields the runs that change meanwhile: their listed state may be old."""
        changed: set[tuple[Key, str]] = set()
        self._changed.append(changed)
        try:
            yield changed
        finally:
            self._changed.remove(changed)

    def _note_change(self, dag: Key, run: str) -> None:
        for changed in self._changed:
            changed.add((dag, run))

    def _row(self, found: Mapping[str, Any]) -> HistoryEntry:
        """Read a row of a table, or a whole object."""
        metadata, cells, status = found["metadata"], found.get("cells") or {}, found.get("status") or {}
        finished_at = usable_time(cells.get("Finished") or status.get("finishedAt"))
        finished_at = finished_at or usable_time(metadata["creationTimestamp"]) or _EPOCH
        succeeded = (cells.get("Phase") or status.get("phase")) == "Succeeded"
        found_backfill = self._backfill_of(metadata)
        backfill = found_backfill.metadata.name if found_backfill else ""
        run_type = cells.get("Type") or (found.get("spec") or {}).get("type") or "Manual"
        version = int(metadata["resourceVersion"])
        return HistoryEntry(finished_at, version, metadata["name"], succeeded, backfill, run_type)

    def _is_of_another_dag(self, dag: Key, owner: str | None) -> bool:
        """True if the owner, a UID, is not the current Dag: the garbage collector is about to delete the run."""
        found = self._dags.get(dag)
        return owner is not None and (found is None or found.metadata.uid != owner)

    def _backfill_of(self, metadata: Mapping[str, Any]) -> BackfillObject | None:
        """Return the Backfill that a run belongs to; None if it does not exist."""
        labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
        return backfill_of(self._backfills, metadata["namespace"], labels, annotations)

    # Pruning ------------------------------------------------------------------------------------------------------

    def has_surplus(self, dag: Key, spec: DagSpec) -> bool:
        """True if the Dag has more finished runs than its limits keep."""
        runs = self._runs.get(dag)
        return self._listed and runs is not None and bool(runs.surplus(spec))

    def prune(self, dag: Key, pruning: Pruning) -> None:
        """Delete the runs beyond the Dag's limits."""
        if not self._listed or not self._surplus(dag, pruning):
            return
        if dag in self._pruning:
            self._pruning[dag] = pruning
            return
        self._pruning[dag] = pruning
        self._spawn(self._keep_pruned(dag), f"prune {dag[1]}", partial(self.prune, dag, pruning))

    def _surplus(self, dag: Key, pruning: Pruning) -> list[HistoryEntry]:
        runs = self._runs.get(dag)
        surplus = runs.surplus(pruning.spec) if runs else []
        return [run for run in surplus if not self._is_held(dag, run, pruning.settled.get(run.type))]

    def _is_held(self, dag: Key, run: HistoryEntry, settled: datetime | None) -> bool:
        """True if a run must be kept for now: it has a request, the schedule would create it again, or its Backfill has
        not recorded its result yet."""
        if (dag[0], run.name) in self._requested:
            return True
        is_tick = settled is not None and _TICK.fullmatch(run.name.removeprefix(f"{dag[1]}-"))
        if settled is not None and is_tick and run.name > names.run_name(dag[1], settled):
            return True
        backfill = self._backfills.get((dag[0], run.backfill)) if run.backfill else None
        if backfill is None or backfill.status.get("phase") not in UNFINISHED_PHASES:
            return False
        return not is_recorded(backfill.spec, backfill.status, run.name)

    async def _keep_pruned(self, dag: Key) -> None:
        what = f"prune the runs of Dag {dag[0]}/{dag[1]}"
        try:
            while await keep_trying(partial(self._prune_requested, dag), what, TRY_AGAIN):
                pass
        finally:
            del self._pruning[dag]

    async def _prune_requested(self, dag: Key) -> bool:
        """Return True if another pruning was requested meanwhile."""
        pruning, self._pruning[dag] = self._pruning[dag], None
        assert pruning is not None
        try:
            await self._prune(dag, pruning)
        except KubeError:
            self._pruning[dag] = self._pruning[dag] or pruning
            raise
        return self._pruning[dag] is not None

    async def _prune(self, dag: Key, pruning: Pruning) -> None:
        surplus = self._surplus(dag, pruning)
        found = await asyncio.gather(*(self._delete(dag, run, pruning) for run in surplus))
        if not all(found):
            # Someone else deletes runs too: some of the cached ones may not exist any more.
            await self._relist(dag)
            self._pruning[dag] = self._pruning[dag] or pruning
        if surplus and dag in self._revised:
            self._revised.discard(dag)
            await self._prune_revisions(dag)

    async def _delete(self, dag: Key, run: HistoryEntry, pruning: Pruning) -> bool:
        """Delete the known version of a run. Return False if it does not exist or was replaced."""
        try:
            version = str(run.version)
            await self._writer.delete(DAGRUNS, dag[0], run.name, resource_version=version, propagation="Background")
        except ApiError as error:
            if error.is_conflict:
                return await self._delete_newest(dag, run, pruning)
            if not error.is_not_found:
                raise
            self._remove(dag, run.name)
            return False
        self._remove(dag, run.name)
        return True

    async def _delete_newest(self, dag: Key, known: HistoryEntry, pruning: Pruning) -> bool:
        """Read a run that was written since we last saw it, and delete it unless it has a request. If it counts
        differently now, prune again instead: it may not be beyond the limits any more."""
        name = known.name
        try:
            found = await self._client.get(DAGRUNS, dag[0], name)
            metadata = found["metadata"]
            if (found.get("status") or {}).get("phase") not in PHASES or metadata.get("deletionTimestamp"):
                self._remove(dag, name)
                return True
            if found["spec"].get("request"):
                return True  # the watch delivers it soon
            newest, version = self._row(found), metadata["resourceVersion"]
            self._add(dag, newest)
            if newest != known._replace(version=newest.version):
                self._pruning[dag] = self._pruning[dag] or pruning
                return True
            await self._writer.delete(DAGRUNS, dag[0], name, resource_version=version, propagation="Background")
        except ApiError as error:
            if not (error.is_conflict or error.is_not_found):
                raise
            return False
        self._remove(dag, name)
        return True

    async def _relist(self, dag: Key) -> None:
        """List the finished runs of a Dag again."""
        with self._listing() as changed:
            listed = await self._client.list(DAGRUNS, dag[0], field_selector=f"spec.dag={dag[1]}", partial="table")
            rows = {row["metadata"]["name"]: row for row in listed if "deletionTimestamp" not in row["metadata"]}
            for name in self._runs[dag].names():
                if name not in rows and (dag, name) not in changed:
                    self._remove(dag, name)
            for name, row in rows.items():
                phase = (row.get("cells") or {}).get("Phase") or (row.get("status") or {}).get("phase")
                other = self._is_of_another_dag(dag, _dag_uid(row["metadata"]))
                if phase in PHASES and (dag, name) not in changed and not other:
                    self._add(dag, self._row(row))

    async def _prune_revisions(self, dag: Key) -> None:
        selector = f"{names.LABEL_DAG}={dag[1]}"
        stored = await self._client.list(CONTROLLERREVISIONS, dag[0], label_selector=selector, partial=True)
        if len(stored) <= REVISIONS_KEPT:
            return
        runs = await self._client.list(DAGRUNS, dag[0], field_selector=f"spec.dag={dag[1]}", partial="table")
        used = {(run.get("cells") or run.get("status") or {}).get(field) for run in runs for field in _REVISION}
        stored.sort(key=lambda revision: (revision["metadata"]["creationTimestamp"], _version(revision)))
        for revision in stored[:-REVISIONS_KEPT]:
            name = revision["metadata"]["name"]
            # Checked for each one: a Dag may return to an earlier spec, and a run may start with it, at any moment.
            if name not in used and name not in self._revisions_in_use(dag):
                self._revisions.forget(dag[0], name)
                try:
                    await self._writer.delete(CONTROLLERREVISIONS, dag[0], name)
                except ApiError as error:
                    if not error.is_not_found:
                        raise


def _version(found: Mapping[str, Any]) -> int:
    return int(found["metadata"]["resourceVersion"])


_REVISION = ("Revision", "revision")
"""The names of the printer column and of the status field."""


def _dag_uid(metadata: Mapping[str, Any]) -> str | None:
    return next((owner["uid"] for owner in metadata.get("ownerReferences") or () if owner["kind"] == "Dag"), None)
