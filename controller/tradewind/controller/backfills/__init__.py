"""Backfills: which of them run, in which order, and the deletion of queued runs of a deleted Backfill.

worker.py         runs one Backfill
tick_runs.py      its DagRuns
status.py         its status
interruptions.py  exceptions that interrupt it

A Dag has one Backfill at a time; the others wait until it finishes, in the order of their creation.
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
    """The Backfills of the cluster that are not finished."""

    def __init__(self, term: Term, find_dag: FindDag) -> None:
        self.workers: dict[Key, Worker] = {}
        self._term, self._find_dag = term, find_dag
        self._cluster, self._scheduler, self._spawn, self._wake = term.cluster, term.scheduler, term.spawn, term.wake
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._turns: dict[Key, Worker] = {}
        """The worker that may create runs, by the key of the Dag."""
        self._dags: dict[Key, Key] = {}
        """The Dag of each worker's Backfill."""
        self._dropping: set[Key] = set()
        """Deleted Backfills whose queued runs are being deleted."""

    def take_over(self) -> None:
        """Start a worker for each cached Backfill; call this before runs are loaded, since Backfills limit them."""
        for key in list(self._cluster.backfills):
            self.changed(key)

    def changed(self, key: Key) -> None:
        """Handle a Backfill that was added, changed or deleted."""
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
            self._notify_others(key)
            return
        self._set_limit(key)
        if worker is not None:
            worker.news.set()
            return
        worker = self.workers[key] = Worker(key, found.metadata.uid, self._term, self._find_dag, self._take_turn)
        self._dags[key] = (key[0], _dag_of(found))
        again = partial(self._restart, worker)
        self._tasks[key] = self._spawn(self._work(worker), f"Backfill {key[0]}/{key[1]}", again)

    def dag_changed(self, dag: Key) -> None:
        """Notify workers that their Dag was added or accepted."""
        for key, worker in self.workers.items():
            if self._dags[key] == dag:
                worker.news.set()

    def run_left(self, key: Key) -> None:
        """Notify the worker of a run that finished or was deleted."""
        # Runs of ticks are named after their Dag; other runs belong to no Backfill.
        worker = self._turns.get((key[0], key[1][: -names.RUN_SUFFIX]))
        if worker is not None:
            worker.run_left(key[1])

    # Turns --------------------------------------------------------------------------------------------------------

    def _take_turn(self, worker: Worker, spec: BackfillSpec, started: bool) -> str | None:
        """Take the Dag's turn for a worker; return the name of the Backfill that has the turn or is before it."""
        dag = (worker.key[0], spec.dag)
        holder = self._turns.get(dag)
        if holder is not None and holder is not worker and not started:
            return holder.key[1]
        if holder is None and not started and (first := self._first(worker.key, spec.dag)) is not None:
            return first
        self._turns[dag] = worker
        return None

    def _first(self, key: Key, dag: str) -> str | None:
        """Return the Backfill of the Dag that runs before this one, if any: one that has started or is older."""
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

    def _notify_others(self, key: Key) -> None:
        """Notify the workers of the same Dag after a Backfill finished or was deleted: one of them may start."""
        for other, worker in self.workers.items():
            if other[0] == key[0] and self._turns.get(self._dags[other]) is None:
                worker.news.set()

    # Workers ------------------------------------------------------------------------------------------------------

    async def _work(self, worker: Worker) -> None:
        with contextlib.suppress(Gone):
            await worker.work()
        self._forget(worker)

    def _restart(self, worker: Worker) -> None:
        """Replace a worker that failed. It was kept until now, so that its own writes could not start another one."""
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
        self._notify_others(worker.key)

    def _set_limit(self, key: Key) -> None:
        found = self._cluster.backfills.get(key)
        if found is not None and key not in self._dropping:
            limit = int(found.spec.get("maxActiveRuns", DEFAULT_MAX_ACTIVE_RUNS))
            self._scheduler.set_max_active_runs(key[0], _dag_of(found), limit, backfill=key[1])
            self._wake()

    # Runs without a Backfill --------------------------------------------------------------------------------------

    def drops(self, key: Key) -> bool:
        """Delete the run if a Backfill that is deleted now created it and it has not started; return True if so."""
        run = self._cluster.runs.get(key)
        if run is None or not self._is_orphan(run):
            return False
        self._spawn(self._delete(key, run.metadata.uid), f"delete {key[1]}", partial(self.drops, key))
        return True

    def _is_orphan(self, run: DagRunObject) -> bool:
        """True if a Backfill that is deleted now created the run, and the run has not started."""
        if run.spec.get("type") != "Backfill" or not self._cluster.backfill_is_deleted(run):
            return False
        state = self._scheduler.runs.get(run.metadata.uid)
        if state is not None and (state.phase is not RunPhase.QUEUED or state.started_at):
            return False
        status = run.decoded_status()
        # A run with tasks that ran, or with a request, is kept.
        ran = any(status.get(field) for field in ("startedAt", "tasks", "requests")) or run.spec.get("request")
        return not ran and not self._cluster.pods.get(run.metadata.uid)

    def _drop_queued(self, backfill: Key) -> None:
        """Delete the runs of a deleted Backfill that have not started."""
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
            # None of them may start before they are deleted.
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
                # Runs that it was rerunning stay. They continue without it.
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
