"""Backfills: which are at work, whose turn it is, and what becomes of the runs of one that is deleted.

worker.py         one Backfill at work
tick_runs.py      its DagRuns
status.py         its status
interruptions.py  what keeps it from going on

A Dag has one Backfill at a time; others wait until it has ended, the one that was made first being the next.
"""

import asyncio
import contextlib
from functools import partial

from tradewind.api import names
from tradewind.api.backfill import DEFAULT_MAX_ACTIVE_RUNS, UNFINISHED_PHASES, BackfillSpec
from tradewind.cache.resources import DAGRUNS, BackfillObject, DagRunObject
from tradewind.controller.backfills.interruptions import Gone
from tradewind.controller.backfills.worker import FindDag, Worker
from tradewind.controller.term import Term
from tradewind.engine.run.states import RunPhase
from tradewind.kube.backoff import Backoff
from tradewind.kube.errors import ApiError
from tradewind.kube.objects import Key
from tradewind.kube.persist import keep_trying


class Backfills:
    """The Backfills of the cluster that have not ended."""

    def __init__(self, term: Term, find_dag: FindDag) -> None:
        self.workers: dict[Key, Worker] = {}
        self._term, self._find_dag = term, find_dag
        self._cluster, self._scheduler, self._spawn, self._wake = term.cluster, term.scheduler, term.spawn, term.wake
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._turns: dict[Key, Worker] = {}
        """Whose turn it is, by the key of the Dag."""
        self._dags: dict[Key, Key] = {}
        """The Dag of each worker's Backfill."""
        self._dropping: set[Key] = set()
        """Backfills that are gone and whose queued runs are being deleted."""

    def take_over(self) -> None:
        """Begin with what there is: before any run is loaded, since they go by the limits of their Backfills."""
        for key in list(self._cluster.backfills):
            self.changed(key)

    def changed(self, key: Key) -> None:
        """A Backfill came, changed or went."""
        found = self._cluster.backfills.get(key)
        if found is not None and found.metadata.deletion_timestamp:
            found = None
        worker = self.workers.get(key)
        if worker is not None and (found is None or found.metadata.uid != worker.uid):
            task = self._tasks.get(key)
            self._forget(worker)
            if task is not None:
                task.cancel()
            worker = None
        if found is None:
            self._drop_queued(key)
        if found is None or not _unfinished(found):
            self._poke_others(key)
            return
        self._set_limit(key)
        if worker is not None:
            worker.news.set()
            return
        worker = self.workers[key] = Worker(key, found.metadata.uid, self._term, self._find_dag, self._take_turn)
        self._dags[key] = (key[0], _dag_of(found))
        again = partial(self._start_anew, worker)
        self._tasks[key] = self._spawn(self._work(worker), f"Backfill {key[0]}/{key[1]}", again)

    def dag_changed(self, dag: Key) -> None:
        """A Dag came or was accepted."""
        for key, worker in self.workers.items():
            if self._dags[key] == dag:
                worker.news.set()

    def run_left(self, key: Key) -> None:
        """A run has ended or was deleted."""
        # Ticks' runs are named after their Dag; others are none of ours.
        worker = self._turns.get((key[0], key[1][: -names.RUN_SUFFIX]))
        if worker is not None:
            worker.run_left(key[1])

    # Turns --------------------------------------------------------------------------------------------------------

    def _take_turn(self, worker: Worker, spec: BackfillSpec, begun: bool) -> str | None:
        """The turn of its Dag for a worker; the name of the Backfill that has it or comes first."""
        dag = (worker.key[0], spec.dag)
        holder = self._turns.get(dag)
        if holder is not None and holder is not worker and not begun:
            return holder.key[1]
        if holder is None and not begun and (first := self._first(worker.key, spec.dag)) is not None:
            return first
        self._turns[dag] = worker
        return None

    def _first(self, key: Key, dag: str) -> str | None:
        """The Backfill of the Dag that comes before this one, if any: one that has begun, or was made before."""
        own = self._cluster.backfills.get(key)
        for other_key, other in self._cluster.backfills.items():
            if other_key[0] != key[0] or other_key == key or _dag_of(other) != dag:
                continue
            if not _unfinished(other) or other.spec.get("dryRun") or other.metadata.deletion_timestamp:
                continue
            if other.status.get("startedAt"):
                return other_key[1]
            if own is not None and not other.spec.get("suspend") and _age(other) < _age(own):
                return other_key[1]
        return None

    def _poke_others(self, key: Key) -> None:
        """A Backfill has ended or gone: those of the same Dag may begin."""
        for other, worker in self.workers.items():
            if other[0] == key[0] and self._turns.get(self._dags[other]) is None:
                worker.news.set()

    # Workers ------------------------------------------------------------------------------------------------------

    async def _work(self, worker: Worker) -> None:
        with contextlib.suppress(Gone):
            await worker.work()
        self._forget(worker)

    def _start_anew(self, worker: Worker) -> None:
        """A worker has failed: until now it was kept, so that nothing it had written could start another one."""
        if self.workers.get(worker.key) is worker:
            self._forget(worker)
            self.changed(worker.key)

    def _forget(self, worker: Worker) -> None:
        if self.workers.get(worker.key) is not worker:
            return
        dag = self._dags.pop(worker.key)
        del self.workers[worker.key]
        self._tasks.pop(worker.key, None)
        if self._turns.get(dag) is worker:
            del self._turns[dag]
        self._scheduler.set_max_active_runs(*dag, None, backfill=worker.key[1])
        self._poke_others(worker.key)

    def _set_limit(self, key: Key) -> None:
        found = self._cluster.backfills.get(key)
        if found is not None and key not in self._dropping:
            limit = int(found.spec.get("maxActiveRuns", DEFAULT_MAX_ACTIVE_RUNS))
            self._scheduler.set_max_active_runs(key[0], _dag_of(found), limit, backfill=key[1])
            self._wake()

    # Runs without a Backfill --------------------------------------------------------------------------------------

    def drops(self, key: Key) -> bool:
        """Whether a run is to be deleted instead of scheduled: it was made by a Backfill that is gone."""
        run = self._cluster.runs.get(key)
        if run is None or not self._is_orphan(run):
            return False
        self._spawn(self._delete(key, run.metadata.uid), f"delete {key[1]}", partial(self.drops, key))
        return True

    def _is_orphan(self, run: DagRunObject) -> bool:
        """Whether a run was made by a Backfill that is gone, and has not begun."""
        if run.spec.get("type") != "Backfill" or not self._cluster.backfill_is_gone(run):
            return False
        state = self._scheduler.runs.get(run.metadata.uid)
        if state is not None and (state.phase is not RunPhase.QUEUED or state.started_at):
            return False
        status = run.decoded_status()
        # What has been run, or asked for since, is more than a place in the queue.
        ran = any(status.get(field) for field in ("startedAt", "tasks", "requests")) or run.spec.get("request")
        return not ran and not self._cluster.pods.get(run.metadata.uid)

    def _drop_queued(self, backfill: Key) -> None:
        """The Backfill is gone: delete those of its runs that have not begun."""
        queued = [
            (key, run)
            for key, run in self._cluster.runs.items()
            if key[0] == backfill[0] and run.metadata.labels.get(names.LABEL_BACKFILL) == backfill[1]
            if self._is_orphan(run)
        ]
        if not queued or backfill in self._dropping:
            return
        dags = {str(run.spec.get("dag")) for _, run in queued}
        for dag in dags:
            # Until they are deleted none of them is to begin.
            self._scheduler.set_max_active_runs(backfill[0], dag, 0, backfill=backfill[1])
        self._dropping.add(backfill)
        work = self._delete_queued(backfill, dags, {key: run.metadata.uid for key, run in queued})
        self._spawn(work, f"queued runs of Backfill {backfill[1]}", partial(self._drop_queued, backfill))

    async def _delete_queued(self, backfill: Key, dags: set[str], runs: dict[Key, str]) -> None:
        try:
            await asyncio.gather(*(self._delete(key, uid) for key, uid in runs.items()))
        finally:
            self._dropping.discard(backfill)
            for dag in dags:
                # Runs that were to run again are left of it. They go on without it.
                self._scheduler.set_max_active_runs(backfill[0], dag, DEFAULT_MAX_ACTIVE_RUNS, backfill=backfill[1])
                self._scheduler.set_max_active_runs(backfill[0], dag, None, backfill=backfill[1])
            self._set_limit(backfill)
            self._wake()

    async def _delete(self, key: Key, uid: str) -> None:
        async def attempt() -> None:
            try:
                await self._term.writer.delete(DAGRUNS, *key, uid=uid, propagation="Background")
            except ApiError as error:
                if not (error.is_not_found or error.is_conflict):
                    raise

        await keep_trying(attempt, f"delete DagRun {key[0]}/{key[1]} of a deleted Backfill", Backoff(0.5, 30.0))


def _unfinished(found: BackfillObject) -> bool:
    return found.status.get("phase") in (None, *UNFINISHED_PHASES)


def _dag_of(found: BackfillObject) -> str:
    return str(found.spec.get("dag"))


def _age(found: BackfillObject) -> tuple[str, str]:
    return found.metadata.creation_timestamp, found.metadata.name
