"""Requests on runs: rerun tasks, mark them, stop the run. Each request is executed exactly once.

One write of the run's status has the new states and the record of the request, so that a request is executed completely
or not at all. Then `spec.request` is removed. If the leader dies between the two, the next leader finds the request on
record and only removes it. Pods of tries that are not needed any more are stopped afterwards (runs.py, pod_gc.py).

Finished runs are not watched; a separate watch selects those with a request.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from tradewind import logs
from tradewind.aio.off_loop import off_loop
from tradewind.api.dagrun import DagRunSpec, DagRunStatus
from tradewind.api.run_request import RunRequest
from tradewind.api.validation import summary
from tradewind.api.validation.params import check_params
from tradewind.api.validation.shape import parse
from tradewind.cache.finished_runs import finished_run
from tradewind.cache.resources import DAGRUNS, DagRunObject
from tradewind.controller.dags.revisions import Revision
from tradewind.controller.runs.events import RunEvents
from tradewind.controller.runs.record import Record
from tradewind.controller.runs.runs import Runs
from tradewind.controller.runs.versions import WAITS_FOR_DAG, RunPending, RunVersions, parse_spec
from tradewind.controller.term import Term, regarding
from tradewind.engine.requests import Decision, Version, apply_request, is_known, refuse, stop_before_start
from tradewind.engine.requests.audit import with_record
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.states import FINISHED_PHASES, RunPhase
from tradewind.engine.status.run_status import run_status
from tradewind.engine.status.size import shorter, smallest
from tradewind.kube.backoff import Backoff
from tradewind.kube.clock import whole_second
from tradewind.kube.errors import ApiError, KubeError, SteppedDown
from tradewind.kube.objects import Key
from tradewind.kube.working_on import working_on

log = logging.getLogger(__name__)

LOOK_AGAIN = 0.1
"""First pause, in seconds, before a request that could not be executed is retried."""
SMALL_RUN = 500
"""Task instances up to which a request is computed on the event loop: for thousands it takes half a second, so that is
done in a thread."""
_EVENTS = {"Rerun": "Rerun", "Mark": "Marked", "Stop": "Stopped"}
_FIELDS = tuple(field.alias or name for name, field in DagRunStatus.model_fields.items())


@dataclass(frozen=True, slots=True)
class Asked:
    """A run as the API server has it, with its request."""

    key: Key
    found: DagRunObject
    status: dict[str, Any]
    request: RunRequest
    broken: str | None
    """The problems of the request, if it is invalid."""

    @property
    def finished(self) -> bool:
        """True if the run is finished."""
        return self.status.get("phase") in FINISHED_PHASES


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a request: the status to write, and the revision with which the run continues."""

    status: dict[str, Any]
    applied: bool
    message: str
    info: RunInfo | None = None
    revision: Revision | None = None

    @classmethod
    def of(cls, decision: Decision, *revisions: Revision) -> "Result":
        """`revisions` are those that the run may have afterwards."""
        info = decision.version.info
        revision = next(revision for revision in revisions if revision.name == info.revision)
        return cls(decision.status, decision.applied, decision.message, info, revision)


class Requests:
    """Executes pending requests."""

    def __init__(
        self,
        term: Term,
        runs: Runs,
        versions: RunVersions,
        events: RunEvents,
        *,
        in_turn: Callable[[Key], AbstractAsyncContextManager[Any]],
    ) -> None:
        self._client, self._writer, self._cluster = term.client, term.writer, term.cluster
        self._recorder, self._clock, self._spawn = term.recorder, term.clock, term.spawn
        self._runs, self._versions, self._events, self._in_turn = runs, versions, events, in_turn
        self._working: set[Key] = set()
        self._large = asyncio.Lock()
        """Held while a request on a large run is computed: one at a time."""

    def changed(self, key: Key) -> None:
        """Enqueue a run that may have a request, or whose request may be executable now."""
        if key in self._cluster.requested and key not in self._working:
            self._working.add(key)
            self._spawn(self._work(key), f"request on {key[0]}/{key[1]}", partial(self.changed, key))

    async def _work(self, key: Key) -> None:
        backoff, asked = Backoff(LOOK_AGAIN, 15.0), None
        try:
            while (found := self._cluster.requested.get(key)) is not None:
                if asked != found.spec.get("request"):
                    asked = found.spec.get("request")
                    backoff.reset()
                try:
                    await self._handle(key, found)
                except SteppedDown:
                    return
                except RunPending:
                    if found.metadata.uid not in self._runs.records:
                        return  # it is enqueued again when the run is loaded
                except KubeError as error:  # no keep_trying: the pause is the same while the run is not ready
                    log.warning("cannot execute the request on DagRun %s/%s: %s; retrying", *key, error)
                await asyncio.sleep(backoff.next())
        finally:
            self._working.discard(key)

    async def _handle(self, key: Key, cached: DagRunObject) -> None:
        """Take the next step of a request. Raises RunPending if the run must be loaded first, and KubeError."""
        record = self._runs.records.get(cached.metadata.uid)
        async with self._in_turn((key[0], cached.dag)), record.turn if record else contextlib.nullcontext():
            if record is not None and self._runs.records.get(cached.metadata.uid) is not record:
                return
            asked = await self._read(key)
            if asked is None or asked.found.metadata.uid != cached.metadata.uid:
                return
            if record is not None and asked.status not in record.ours:
                await self._catch_up(asked, record)
            if is_known(asked.status, asked.request.id):
                await self._remove(asked)
            elif record is not None and self._runs.records.get(cached.metadata.uid) is not record:
                return
            elif record is None and not asked.finished:
                await self._not_loaded(asked)
            elif record is None or not record.state.finished:
                await self._execute(asked, record)

    async def _read(self, key: Key) -> Asked | None:
        """Read the run; return None if it is deleted or has no request any more."""
        try:
            stored = await self._client.request_bytes("GET", DAGRUNS.path(*key))
        except ApiError as error:
            if error.is_not_found:
                return None
            raise
        found = msgspec.json.decode(stored, type=DagRunObject)
        raw = found.spec.get("request")
        if not raw or found.metadata.deletion_timestamp:
            return None
        request, problems = parse(RunRequest, raw)
        broken = None
        if request is None:
            broken = summary(problems)
            kind: Any = raw.get("type") if raw.get("type") in _EVENTS else "Rerun"
            request = RunRequest.model_construct(id=str(raw.get("id"))[:63], type=kind)
        return Asked(key, found, found.decoded_status(), request, broken)

    async def _catch_up(self, asked: Asked, record: Record) -> None:
        """Continue from the stored status: another controller has written it, or our write got no response."""
        spec, _ = parse_spec(asked.found)
        if asked.finished or spec is None:
            self._runs.reload(record, asked.found)
            return
        revision = await self._versions.of(asked.found, spec, asked.status)
        info = self._versions.info(asked.found, spec, asked.status, revision, self._clock.now())
        self._runs.replace(record, asked.found, info, revision, asked.status)

    # Execution ----------------------------------------------------------------------------------------------------

    async def _execute(self, asked: Asked, record: Record | None) -> None:
        """Execute a request. The turn of `record` is held if the run is scheduled; its state is newer than status."""
        spec, problems = parse_spec(asked.found)
        try:
            if spec is None:
                outcome = self._refuse(asked, f"the spec of the run is not valid: {summary(problems)}")
            else:
                outcome = await self._decide(asked, spec, record)
            outcome = _with_generation(asked, outcome)
            if record is not None:
                self._runs.freeze(record, True)
            version, outcome = await self._write_what_fits(asked, outcome)
        finally:
            if record is not None:
                self._runs.freeze(record, False)
        if version is None:
            return
        asked.found.metadata.resource_version = version
        if record is not None and outcome.info is not None and outcome.revision is not None:
            self._runs.replace(record, asked.found, outcome.info, outcome.revision, outcome.status)
        elif asked.finished and outcome.status["phase"] not in FINISHED_PHASES:
            self._events.run_reopened(asked.found)
        elif asked.finished and outcome.applied:
            self._events.run_marked(asked.found, outcome.status)
        self._report(asked, outcome)
        await self._remove(asked)

    async def _decide(self, asked: Asked, spec: DagRunSpec, record: Record | None) -> Result:
        """Compute the result of a request. Once the state of the run is read, nothing may be awaited before the write,
        unless the run is frozen."""
        request, now = asked.request, whole_second(self._clock.now())
        latest, why = None, asked.broken
        try:
            revision = await self._versions.of(asked.found, spec, asked.status)
        except RunPending as waiting:
            return self._refuse(asked, f"the run cannot continue: {waiting}")
        try:
            if request.type == "Rerun" and request.revision == "Latest" and not why:
                latest = await self._versions.latest(asked.key[0], spec.dag)
        except RunPending as waiting:
            why = f"the run cannot use the latest Dag: {waiting}"
        newest = latest or revision
        if request.type == "Rerun" and not why:
            check = partial(check_params, newest.spec.params or {}, spec.params or {})
            why = summary(await off_loop(asked.key[0], check)) or None

        version, newer = (
            Version(self._versions.info(asked.found, spec, asked.status, each, now), each.dag, each.graph)
            for each in (revision, newest)
        )
        if why:
            status = run_status(record.state) if record is not None else asked.status
            return Result.of(refuse(request, status, version, why, now), revision)
        if max(_instances(asked.status), len(version.dag.tasks), record.state.total if record else 0) <= SMALL_RUN:
            with working_on("DagRun", asked.key):
                decision = self._work_on(asked, record, version, newer if latest else None, now)()
            return Result.of(decision, revision, newest)
        async with self._large:
            with working_on("DagRun", asked.key):
                work = self._work_on(asked, record, version, newer if latest else None, now)
                if record is not None:
                    self._runs.freeze(record, True)
            decision = await asyncio.to_thread(work)
        return Result.of(decision, revision, newest)

    def _work_on(
        self, asked: Asked, record: Record | None, version: Version, latest: Version | None, now: datetime
    ) -> Callable[[], Decision]:
        """Return a function that computes a request on the current state of the run, in any thread."""
        status = run_status(record.state) if record is not None else asked.status
        created: dict[tuple[str, int | None], int] = {}
        for report in self._cluster.reports(asked.found.metadata.uid):
            place = report.task, report.index
            created[place] = max(report.number, created.get(place, 0))
        return partial(apply_request, asked.request, status, version, latest, made=created, now=now)

    def _refuse(self, asked: Asked, why: str) -> Result:
        """Return the outcome of a request that can never be executed: only its record is written."""
        now = whole_second(self._clock.now())
        record = with_record(asked.status.get("requests", ()), asked.request, applied=False, message=why, now=now)
        return Result({**asked.status, "requests": record}, False, why)

    async def _not_loaded(self, asked: Asked) -> None:
        """Handle a request on a run that is not loaded: while it waits for its Dag it can only be stopped. Raises
        RunPending."""
        if asked.status.get("reason") not in WAITS_FOR_DAG:
            return
        if asked.request.type != "Stop" or asked.broken:
            raise RunPending("NotLoaded", str(asked.status.get("message")))
        now = whole_second(self._clock.now())
        outcome = Result(stop_before_start(asked.request, asked.status, now), True, "stopped")
        version = await self._write(asked, _with_generation(asked, outcome))
        if version is None:
            return
        self._events.run_refused(finished_run(asked.found, RunPhase.FAILED, now, int(version), started=False))
        self._report(asked, outcome)

    # Writes -------------------------------------------------------------------------------------------------------

    async def _write_what_fits(self, asked: Asked, outcome: Result) -> tuple[str | None, Result]:
        """Write the full status, or as much as fits into etcd; refuse a request whose status does not fit at all."""
        try:
            return await self._write(asked, outcome), outcome
        except ApiError as error:
            if not error.is_too_large or outcome.revision is None:
                raise
        finished = outcome.status["phase"] in FINISHED_PHASES
        outcome = replace(outcome, status=shorter(outcome.status, outcome.revision.graph))
        try:
            return await self._write(asked, outcome), outcome
        except ApiError as error:
            if not error.is_too_large:
                raise
        if finished:
            outcome = replace(outcome, status=smallest(outcome.status))
        else:
            refusal = self._refuse(asked, "the new status of the run would be too large for etcd")
            outcome = _with_generation(asked, refusal)
        return await self._write(asked, outcome), outcome

    async def _write(self, asked: Asked, outcome: Result) -> str | None:
        """Write and return the resourceVersion; None if the run was changed meanwhile and must be read again."""
        body = {
            "metadata": {"resourceVersion": asked.found.metadata.resource_version},
            "status": _patch(asked.status, outcome.status),
        }
        try:
            answer = await self._writer.patch(DAGRUNS, *asked.key, body, subresource="status")
        except ApiError as error:
            if error.is_not_found:
                return None
            if not error.is_conflict:
                raise
            # The first of several attempts may have succeeded although its response was lost.
            answer = await self._client.get(DAGRUNS, *asked.key)
            if not is_known(answer.get("status") or {}, asked.request.id):
                return None
        return str(answer["metadata"]["resourceVersion"])

    async def _remove(self, asked: Asked) -> None:
        """Remove a request that is on record from spec, unless another one has replaced it."""
        version: str | None = asked.found.metadata.resource_version
        while version is not None:
            body = {"metadata": {"resourceVersion": version}, "spec": {"request": None}}
            try:
                await self._writer.patch(DAGRUNS, *asked.key, body)
                return
            except ApiError as error:
                if error.is_not_found:
                    return
                if not error.is_conflict:
                    raise
            now = await self._read(asked.key)
            same = now is not None and now.request.id == asked.request.id
            version = now.found.metadata.resource_version if now is not None and same else None

    def _report(self, asked: Asked, outcome: Result) -> None:
        request, about = asked.request, regarding("DagRun", *asked.key, asked.found.metadata.uid)
        by = f" (requested by {request.requested_by})" if request.requested_by else ""
        log.info(
            "DagRun %s/%s: %s %s%s: %s",
            *asked.key,
            request.type,
            "was applied" if outcome.applied else "was rejected",
            by,
            outcome.message,
            extra=logs.about(asked.key[0], dag=asked.found.dag, run=asked.key[1]),
        )
        if outcome.applied:
            self._recorder.record(about, "Normal", _EVENTS[request.type], f"{outcome.message}{by}")
        else:
            self._recorder.record(
                about, "Warning", "RequestRejected", f"{request.type} was rejected{by}: {outcome.message}"
            )


def _instances(status: Mapping[str, Any]) -> int:
    """Count the task instances in a status."""
    return sum(entry.get("count", 1) for entry in status.get("tasks") or ())


def _with_generation(asked: Asked, outcome: Result) -> Result:
    """Set observedGeneration to the generation of the spec after the request is removed, which is the next one."""
    return replace(outcome, status={**outcome.status, "observedGeneration": asked.found.metadata.generation + 1})


def _patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch from one status to another. It removes all fields that the second does not have, since the
    stored status may be newer than the first."""
    patch = {**dict.fromkeys(_FIELDS), **after}
    gone = dict.fromkeys(name for name in before.get("params") or {} if name not in (after.get("params") or {}))
    if gone and patch["params"] is not None:
        patch["params"] = {**gone, **patch["params"]}
    return patch
