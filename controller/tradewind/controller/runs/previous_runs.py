"""The runs before a run: found when it is loaded, and followed while one of its tasks waits for them.

engine/past_index.py decides; this module supplies it with the runs of the cluster.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from tradewind.cache.finished_runs import FinishedRow, list_finished_runs, past_run, place_of_object, read_finished_run
from tradewind.cache.object_watches import ObjectWatches, Seen
from tradewind.cache.resources import DAGRUNS, DagRunObject
from tradewind.controller.term import Term
from tradewind.engine.past_index import ActiveRun, Follow, PastIndex
from tradewind.engine.rules.previous_runs import PastRun
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.scheduler import Plan
from tradewind.kube.backoff import Backoff
from tradewind.kube.informer import Change, ChangeKind
from tradewind.kube.objects import Key
from tradewind.kube.persist import keep_trying

NOTED_AT_ONCE = 1000
"""Runs that are noted in one turn of the event loop."""


class Past:
    """Supplies a PastIndex with the runs of the cluster."""

    def __init__(self, term: Term, index: PastIndex, objects: ObjectWatches) -> None:
        self._client, self._cluster, self._runs = term.client, term.cluster, term.scheduler.runs
        self._spawn, self._wake = term.spawn, term.wake
        self._index, self._objects = index, objects
        self._in_lookup: set[str] = set()
        """UIDs of runs whose previous runs are being read."""
        self._noting: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._followed: dict[str, Callable[[], None]] = {}
        """Functions that end the subscription of a run, by its UID."""

    async def prepare(self, info: RunInfo) -> None:
        """Find the runs before a run that is about to be scheduled. Raises KubeError."""
        run = ActiveRun.of(info)
        self._index.track(run)
        await self._find(run)

    async def _note_all(self, dag: Key) -> None:
        """Note the existing runs of a Dag once: later ones are noted as the watch delivers them."""
        async with self._noting.setdefault(dag, asyncio.Lock()):
            while (line := self._index.incomplete(dag)) is not None:
                await self._note_each(dag)
                self._index.completed(dag, line)

    async def _note_each(self, dag: Key) -> None:
        for number, other in enumerate(list(self._cluster.runs_of(dag).values())):
            if number % NOTED_AT_ONCE == NOTED_AT_ONCE - 1:
                await asyncio.sleep(0)
            known = self._runs.get(other.metadata.uid)
            if known is None:
                if self._cluster.is_active(other.metadata.uid):
                    self._note(other)
            elif known.finished:
                # Its status may not be written yet.
                self._index.run_finished(dag, PastRun.of(known))
            else:
                # When it was loaded, no run depended on previous ones.
                self._index.attach(known)

    def run_changed(self, key: Key, change: Change[DagRunObject]) -> None:
        """Handle a DagRun that was added, changed, finished or deleted."""
        if change.kind is ChangeKind.ADDED:
            self._note(change.object)
        elif change.kind is ChangeKind.DELETED:
            self._index.drop(key)
        if self._index.touched or self._index.lookups:
            self._wake()

    def run_marked(self, run: DagRunObject, status: Mapping[str, Any]) -> None:
        """Handle a finished run that was marked: its final state is a different one."""
        dag = run.metadata.namespace, run.dag
        if self._index.tracks(dag):
            metadata = {
                "name": run.metadata.name,
                "uid": run.metadata.uid,
                "creationTimestamp": run.metadata.creation_timestamp,
            }
            past = past_run({"metadata": metadata, "spec": run.spec, "status": status})
            if past is not None:
                self._index.run_finished(dag, past)
                self._wake()

    def execute(self, plan: Plan) -> None:
        """Execute a plan's lookups and subscriptions."""
        for info in plan.lookups:
            self._start_lookup(info)
        for follow in plan.follows:
            self._follow(follow)

    def _start_lookup(self, info: RunInfo) -> None:
        run = ActiveRun.of(info)
        if run.uid not in self._in_lookup:
            self._in_lookup.add(run.uid)
            again = partial(self._start_lookup, info)
            self._spawn(self._look_up(run), f"look up the runs before {info.name}", again)

    def _note(self, run: DagRunObject) -> None:
        dag, place = (run.metadata.namespace, run.dag), place_of_object(run)
        if place is not None and self._index.tracks(dag):
            self._index.note(ActiveRun(dag, run.metadata.uid, place))

    # Finding ------------------------------------------------------------------------------------------------------

    async def _look_up(self, run: ActiveRun) -> None:
        what = f"read the runs before DagRun {run.key[0]}/{run.key[1]}"
        try:
            await keep_trying(partial(self._find, run), what, Backoff(0.5, 30.0))
        finally:
            self._in_lookup.discard(run.uid)
            self._wake()

    async def _find(self, run: ActiveRun) -> None:
        """Read until the result is up to date: runs may finish, be rerun or be deleted meanwhile."""
        await self._note_all(run.dag)
        while (question := self._index.open_question(run)) is not None:
            before = [row for row in await list_finished_runs(self._client, run.dag) if row.place[0] < run.place[0]]
            last = before[-1] if before else None
            success = next((row for row in reversed(before) if row.phase == "Succeeded"), None)
            read: dict[str, PastRun | None] = {}
            for row in {row.name: row for row in (last, success) if row is not None}.values():
                read[row.name] = await read_finished_run(self._client, row, run.key[0])
            if None not in read.values():
                self._index.answer(run, question, _of(read, last), _of(read, success))

    # Following ----------------------------------------------------------------------------------------------------

    def _follow(self, follow: Follow) -> None:
        run, past = follow.run, follow.past
        unsubscribe = self._followed.pop(run.uid, None)
        if unsubscribe is not None:
            unsubscribe()
        if past is None:
            return
        dag = run.namespace, run.dag

        def on_change(seen: Seen) -> None:
            if seen.error is not None:
                return
            if seen.found is None or seen.found["metadata"]["uid"] != past.uid:
                self._index.run_deleted(dag, past.uid)
            elif (now := past_run(seen.found)) is not None:
                self._index.run_finished(dag, now)
            self._wake()

        self._followed[run.uid] = self._objects.subscribe(DAGRUNS, run.namespace, past.name, on_change)


def _of(read: dict[str, PastRun | None], row: FinishedRow | None) -> PastRun | None:
    return read[row.name] if row is not None else None
