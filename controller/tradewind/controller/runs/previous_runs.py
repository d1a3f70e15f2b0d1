"""The runs before a run: found in the cluster when it is loaded, and followed while a task waits for one of them.

What decides is engine/past_index.py; here it is told which runs there are.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from tradewind.cache.ended_runs import EndedRow, list_ended, past_run, place_of_object, read_ended
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
"""Runs, in one turn of the event loop."""


class Past:
    """Tells a PastIndex which runs there are."""

    def __init__(self, term: Term, index: PastIndex, objects: ObjectWatches) -> None:
        self._client, self._cluster, self._runs = term.client, term.cluster, term.scheduler.runs
        self._spawn, self._wake = term.spawn, term.wake
        self._index, self._objects = index, objects
        self._looking: set[str] = set()
        """UIDs of runs."""
        self._noting: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._followed: dict[str, Callable[[], None]] = {}
        """How to end what was begun for a run, by its UID."""

    async def prepare(self, info: RunInfo) -> None:
        """Find out which runs come before one that is about to be scheduled. Raises KubeError."""
        run = ActiveRun.of(info)
        self._index.track(run)
        await self._find(run)

    async def _note_all(self, dag: Key) -> None:
        """Note the runs that there are, unless they were: what comes later is noted as it comes."""
        async with self._noting.setdefault(dag, asyncio.Lock()):
            while (line := self._index.incomplete(dag)) is not None:
                await self._note_each(dag)
                self._index.completed(dag, line)

    async def _note_each(self, dag: Key) -> None:
        """There may be thousands."""
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
                # No run asked when it was loaded.
                self._index.attach(known)

    def run_changed(self, key: Key, change: Change[DagRunObject]) -> None:
        """A DagRun came, changed, finished or went."""
        if change.kind is ChangeKind.ADDED:
            self._note(change.object)
        elif change.kind is ChangeKind.DELETED:
            self._index.drop(key)
        if self._index.touched or self._index.lookups:
            self._wake()

    def run_marked(self, run: DagRunObject, status: Mapping[str, Any]) -> None:
        """A run that had ended has another end."""
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

    def carry_out(self, plan: Plan) -> None:
        """Find out and follow what the engine asks for."""
        for info in plan.lookups:
            self._look(info)
        for follow in plan.follows:
            self._follow(follow)

    def _look(self, info: RunInfo) -> None:
        run = ActiveRun.of(info)
        if run.uid not in self._looking:
            self._looking.add(run.uid)
            self._spawn(self._look_up(run), f"look up the runs before {info.name}", partial(self._look, info))

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
            self._looking.discard(run.uid)
            self._wake()

    async def _find(self, run: ActiveRun) -> None:
        """Read until the answer holds: runs may end, come back or go meanwhile."""
        await self._note_all(run.dag)
        while (question := self._index.open_question(run)) is not None:
            before = [row for row in await list_ended(self._client, run.dag) if row.place[0] < run.place[0]]
            last = before[-1] if before else None
            success = next((row for row in reversed(before) if row.phase == "Succeeded"), None)
            read: dict[str, PastRun | None] = {}
            for row in {row.name: row for row in (last, success) if row is not None}.values():
                read[row.name] = await read_ended(self._client, row, run.key[0])
            if None not in read.values():
                self._index.answer(run, question, _of(read, last), _of(read, success))

    # Following ----------------------------------------------------------------------------------------------------

    def _follow(self, follow: Follow) -> None:
        run, past = follow.run, follow.past
        end = self._followed.pop(run.uid, None)
        if end is not None:
            end()
        if past is None:
            return
        dag = run.namespace, run.dag

        def tell(seen: Seen) -> None:
            if seen.error is not None:
                return
            if seen.found is None or seen.found["metadata"]["uid"] != past.uid:
                self._index.run_deleted(dag, past.uid)
            elif (now := past_run(seen.found)) is not None:
                self._index.run_finished(dag, now)
            self._wake()

        self._followed[run.uid] = self._objects.subscribe(DAGRUNS, run.namespace, past.name, tell)


def _of(read: dict[str, PastRun | None], row: EndedRow | None) -> PastRun | None:
    return read[row.name] if row is not None else None
