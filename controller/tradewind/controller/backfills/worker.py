"""Runs one Backfill: creates runs up to its limit, follows them until they finish, and writes its status.

A run is created first and written to the status after. If the controller dies between the two, the run carries the UID
of its Backfill: the next leader finds the name taken and adopts the run. The schedule is written to the status before
the first run is created, and after a takeover the status is written once before any further run: a conflict then
(optimistic lock) means that another controller has continued, and everything is read again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from tradewind import logs
from tradewind.aio.off_loop import off_loop
from tradewind.api import API_VERSION
from tradewind.api.backfill import UNFINISHED_PHASES, BackfillSpec, BackfillTimetable
from tradewind.api.dag import DagSpec
from tradewind.api.ownership import adoption
from tradewind.api.times import format_time, parse_time
from tradewind.api.validation import summary, validate_backfill
from tradewind.cache.resources import BackfillObject, DagObject
from tradewind.controller.backfills.interruptions import Gone, Invalid, Outdated, Requeue
from tradewind.controller.backfills.status import StatusKeeper
from tradewind.controller.backfills.tick_runs import TickRuns
from tradewind.controller.dags.entry import Entry as DagEntry
from tradewind.controller.term import Term, regarding
from tradewind.engine.schedule.backfill import (
    Action,
    BackfillState,
    Step,
    check_ticks,
    dry_run_status,
    outline,
    pinned,
    ticks_in,
    unpinned,
)
from tradewind.engine.timetables import Tick
from tradewind.kube.backoff import Backoff
from tradewind.kube.errors import ApiError, KubeError
from tradewind.kube.objects import Key
from tradewind.kube.persist import keep_trying

log = logging.getLogger(__name__)

GATHER = 0.1
"""Seconds for which changes are collected before they are handled."""
RESYNC_EVERY = 30.0
"""Seconds after which runs are read even without an event."""
RETRY_DAG = 5.0
"""The same for the Dag, while it does not exist or is not accepted."""
TICKS_IN_A_ROW = 30
"""Ticks that are computed (some 0.3 ms each) before the event loop gets a turn."""


FindDag = Callable[[Key], DagEntry | None]
"""Returns the known state of a Dag."""
TakeTurn = Callable[["Worker", BackfillSpec, bool], str | None]
"""Takes the Dag's turn for a worker whose Backfill has started or not; returns the name of the Backfill that has it."""


class Worker:
    """Runs one Backfill, in one asyncio task."""

    def __init__(self, key: Key, uid: str, term: Term, find_dag: FindDag, take_turn: TakeTurn) -> None:
        self.key, self.uid = key, uid
        self.news = asyncio.Event()
        self._cluster, self._recorder, self._clock = term.cluster, term.recorder, term.clock
        self._find_dag, self._take_turn = find_dag, take_turn
        self._status = StatusKeeper(key, uid, term)
        self._runs = TickRuns(key, uid, term)
        self._state: BackfillState | None = None
        self._is_ours = False
        """Whether the status was written since it was read: that succeeds only if no other controller continues it."""
        self._to_check: set[str] = set()
        """Active runs that may have finished."""
        self._all_checked_at = term.clock.monotonic()
        self._ticks: tuple[BackfillTimetable, list[Tick]] | None = None

    async def work(self) -> None:
        """Work until the Backfill is finished. Raises Gone."""
        what, backoff = f"reconcile Backfill {self.key[0]}/{self.key[1]}", Backoff(0.5, 30.0)
        while True:
            try:
                pause = await keep_trying(self._round, what, backoff)
            except Outdated:
                log.info("reloading Backfill %s/%s: another controller has changed its status", *self.key)
                self._state = None
                continue
            if pause is None:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self.news.wait()
            await asyncio.sleep(GATHER)

    def run_left(self, run: str) -> None:
        """Handle a run that finished or was deleted."""
        if self._state is not None and run in self._state.active:
            self._to_check.add(run)
            self.news.set()

    async def _round(self) -> float | None:
        """Reconcile the Backfill; return the seconds until the next time, None once it is finished."""
        self.news.clear()
        try:
            if self._state is None and not await self._load():
                return None
            return await self._continue()
        except Requeue as waits:
            if str(waits):
                await self._write({"phase": waits.phase, "reason": waits.reason, "message": str(waits)})
            return waits.retry_after
        except Invalid as refused:
            reason, message = refused.problems[0].reason, summary(refused.problems)
            self._status.accepted = ("False", reason, message)
            await self._finish({"phase": "Failed", "reason": reason, "message": message})
            return None

    # Start --------------------------------------------------------------------------------------------------------

    async def _load(self) -> bool:
        """Load a started Backfill, or start it; return False if it is finished."""
        stored = await self._status.read()
        status = stored.get("status") or {}
        if status.get("phase") not in (None, *UNFINISHED_PHASES):
            return False
        manifest = {
            "apiVersion": API_VERSION,
            "kind": "Backfill",
            "metadata": {"name": self.key[1]},
            "spec": stored["spec"],
        }
        backfill, problems = validate_backfill(manifest, now=parse_time(stored["metadata"]["creationTimestamp"]))
        if backfill is None or problems:
            raise Invalid(problems)
        spec = backfill.spec
        if status.get("startedAt") and status.get("timetable"):
            await self._resume(spec, status)
            return True
        dag, found = self._dag(spec.dag)
        dag_spec = DagSpec.model_validate(found.spec)
        problems = (await off_loop(self.key[0], partial(validate_backfill, manifest, dag_spec)))[1]
        timetable = pinned(dag_spec, dag.created_at)
        ticks = [] if problems else await self._ticks_of(timetable, spec)
        problems = problems or check_ticks(ticks, spec, timetable)
        if problems:
            raise Invalid(problems)
        self._accept(ticks)
        if spec.dry_run:
            await self._dry_run(spec, ticks, dag)
            return False
        await self._claim(stored["metadata"], dag)
        await self._start(spec, ticks, timetable)
        return True

    async def _resume(self, spec: BackfillSpec, status: dict[str, Any]) -> None:
        ticks = await self._ticks_of(BackfillTimetable.model_validate(status["timetable"]), spec)
        self._take_turn(self, spec, True)
        self._runs.forget()
        self._accept(ticks)
        self._status.fixed = {name: status[name] for name in ("startedAt", "timetable")}
        state = BackfillState(spec, ticks, status=status)
        self._to_check.update(state.active)
        self._state, self._is_ours = state, False

    async def _start(self, spec: BackfillSpec, ticks: list[Tick], timetable: BackfillTimetable) -> None:
        if self._found().spec.get("suspend"):
            message = "paused before it started; set spec.suspend to false to start it"
            raise Requeue("Paused", message, retry_after=RESYNC_EVERY, phase="Paused")
        other = self._take_turn(self, spec, False)
        if other is not None:
            message = f"waiting for Backfill {other}: a Dag runs one at a time"
            raise Requeue("AnotherBackfill", message, retry_after=RESYNC_EVERY)
        self._status.fixed = {
            "startedAt": format_time(self._clock.now()),
            "timetable": timetable.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
        state = BackfillState(spec, ticks)
        await self._write(state.status())
        self._state, self._is_ours = state, True
        message = f"creating runs for {len(ticks)} ticks, at most {spec.max_active_runs} at a time"
        self._report("Normal", "Started", message)

    async def _dry_run(self, spec: BackfillSpec, ticks: list[Tick], dag: DagEntry) -> None:
        await self._runs.list_finished(spec.dag, dag.uid)
        await self._finish(dry_run_status(outline(spec.dag, spec, ticks, self._runs.existing)))

    async def _ticks_of(self, timetable: BackfillTimetable, spec: BackfillSpec) -> list[Tick]:
        if self._ticks is None or self._ticks[0] != timetable:
            ticks = []
            for tick in ticks_in(unpinned(timetable), spec):
                ticks.append(tick)
                if len(ticks) % TICKS_IN_A_ROW == 0:
                    await asyncio.sleep(0)
            self._ticks = (timetable, ticks)
        return self._ticks[1]

    def _accept(self, ticks: list[Tick]) -> None:
        self._status.accepted = ("True", "Valid", f"{len(ticks)} tick{'' if len(ticks) == 1 else 's'} in the span")

    def _dag(self, name: str) -> tuple[DagEntry, DagObject]:
        """Return the Dag. Raises Requeue if it is not accepted."""
        key = (self.key[0], name)
        found, entry = self._cluster.dags.get(key), self._find_dag(key)
        if found is not None and found.metadata.deletion_timestamp:
            raise Requeue("DagDeleting", f"waiting: Dag {name!r} is being deleted", retry_after=RETRY_DAG)
        if found is None:
            message = f"waiting: no Dag named {name!r} in namespace {key[0]!r}"
            raise Requeue("DagNotFound", message, retry_after=RETRY_DAG)
        if entry is None or (entry.uid, entry.generation) != (found.metadata.uid, found.metadata.generation):
            raise Requeue("DagNotSeen", "", retry_after=0.5)
        if entry.spec is None:
            message = f"waiting: Dag {name!r} is not accepted; see its condition Accepted"
            raise Requeue("DagNotAccepted", message, retry_after=RETRY_DAG)
        return entry, found

    async def _claim(self, metadata: dict[str, Any], dag: DagEntry) -> None:
        """Make the Dag the owner of the Backfill, so that it is deleted with the Dag, as runs are."""
        labels, owned = metadata.get("labels") or {}, bool(metadata.get("ownerReferences"))
        if patch := adoption(labels, owned=owned, dag=dag.key[1], dag_uid=dag.uid):
            await self._status.patch_metadata(patch)

    # Runs ---------------------------------------------------------------------------------------------------------

    async def _continue(self) -> float | None:
        state = self._state
        assert state is not None
        self._update(state)
        await self._record_finished(state)
        held: dict[str, Any] = {}
        trouble: ApiError | None = None
        pause = RESYNC_EVERY
        try:
            if await self._create_runs(state):
                pause = 0.0
        except Requeue as waits:
            if not str(waits):
                return waits.retry_after
            pause = waits.retry_after
            held = {"reason": waits.reason, "message": str(waits)}
        except ApiError as error:
            trouble = error
            held = {"reason": "CreateFailed", "message": f"cannot create a run: {error}"}
            self._report("Warning", held["reason"], held["message"])
        if state.finished:
            await self._finish(state.status())
            return None
        await self._write(state.status() | held, always=not self._is_ours)
        if not self._is_ours:
            self._is_ours, pause = True, 0.0
        if trouble is not None:
            raise trouble
        return pause

    def _found(self) -> BackfillObject:
        """Return the cached Backfill. Raises Gone."""
        found = self._cluster.backfills.get(self.key)
        if found is None or found.metadata.uid != self.uid or found.metadata.deletion_timestamp:
            raise Gone
        return found

    def _update(self, state: BackfillState) -> None:
        """Apply the fields of spec that users may change at any time."""
        spec = self._found().spec
        limit = spec.get("maxActiveRuns", state.spec.max_active_runs)
        changes = {"suspend": bool(spec.get("suspend")), "max_active_runs": int(limit)}
        state.spec = state.spec.model_copy(update=changes)

    async def _record_finished(self, state: BackfillState) -> None:
        """Find out which active runs finished, and record them."""
        now = self._clock.monotonic()
        if now - self._all_checked_at >= RESYNC_EVERY:
            self._to_check.update(state.active)
            self._all_checked_at = now
        checked = {name for name in self._to_check if name in state.active and not self._runs.is_active(name)}
        self._to_check -= checked
        try:
            phases = await self._runs.final_phases(checked)
        except KubeError:
            self._to_check |= checked
            raise
        for name in list(state.active):
            if name in phases:
                state.run_finished(name, phases[name])

    async def _create_runs(self, state: BackfillState) -> bool:
        """Execute the next steps; return True if more may be due at once."""
        if state.exhausted:
            return False
        dag, _ = self._dag(state.spec.dag)
        await self._runs.list_finished(state.spec.dag, dag.uid)
        steps = state.steps(self._runs.existing)
        for step in steps:
            if not self._is_ours and step.action is not Action.ADOPT:
                return True
            # Each step may send a request: the Backfill may have been suspended or deleted since the last one.
            suspended = bool(self._found().spec.get("suspend"))
            if suspended != state.spec.suspend or not await self._do(step, state.spec, dag.uid):
                return True
            state.complete(step)
        return bool(steps)

    async def _do(self, step: Step, spec: BackfillSpec, dag_uid: str) -> bool:
        """Execute one step; return False if the run has changed since the step was decided."""
        if step.action is Action.CREATE:
            return await self._runs.create(step, spec, dag_uid)
        if step.action is Action.RERUN:
            return await self._runs.rerun(step, spec)
        if step.action is Action.ADOPT:
            self._to_check.add(step.run)
        return True

    # Status -------------------------------------------------------------------------------------------------------

    async def _write(self, status: dict[str, Any], *, always: bool = False) -> None:
        await self._status.write(status, self._found().metadata.generation, always=always)

    async def _finish(self, status: dict[str, Any]) -> None:
        await self._write({**status, "finishedAt": format_time(self._clock.now())})
        kind: Literal["Normal", "Warning"] = "Warning" if status["phase"] == "Failed" else "Normal"
        self._report(kind, status["reason"], status["message"])

    def _report(self, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        log.info("Backfill %s/%s: %s: %s", *self.key, reason, message, extra=logs.about(self.key[0]))
        self._recorder.record(regarding("Backfill", *self.key, self.uid), kind, reason, message)
