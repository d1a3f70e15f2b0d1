"""Tries in the cluster: creates their Pods, stops them, and removes their finalizer once their result is in status.

The try determines the name of its Pod, so creating it is idempotent: a second attempt finds the first one's Pod.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from tradewind.aio.fair_queue import FairQueue, Path, Permit
from tradewind.api import names
from tradewind.api.templates import TemplateError
from tradewind.api.variables import MissingVariableError
from tradewind.cache.observation import is_finished, observe, run_uid_of, try_of
from tradewind.cache.resources import PodObject
from tradewind.controller.pods.ends import SUPERSEDED, PodEnds, sidecars_run
from tradewind.controller.pods.manifest import pod_manifest, pod_name
from tradewind.controller.pods.quotas import Quotas
from tradewind.controller.pods.render_process import RenderProcess
from tradewind.controller.term import Term
from tradewind.engine.rules.rendering import OutOfFuel, RenderedTask, render_a_little, template_values
from tradewind.engine.run import known_tries
from tradewind.engine.run.run_info import RunInfo, Stop
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import HeldBy, TryEvent, TryKey, TryReport
from tradewind.engine.scheduler import Start
from tradewind.kube.errors import ApiError, KubeError, SteppedDown
from tradewind.kube.persist import keep_trying
from tradewind.kube.resources import PODS
from tradewind.kube.writer import NotWanted

log = logging.getLogger(__name__)

MADE_AT_ONCE = 16
"""Most Pods that are created at the same time."""
ADOPT_AGAIN = 1.0
"""Seconds between attempts to read a Pod that may exist."""
STOP_AGAIN = 5.0
"""Seconds between attempts to stop a Pod."""
EARLIER_ENDS_WITHIN = 60.0
"""Seconds that a rerun task keeps its slots while it waits for the Pod of an earlier try; then it releases them."""
SURPRISES_KEPT = 1000
LOOK_AGAIN = 0.2
SETTLE = 3.0
"""Seconds within which the watch delivers changes: the last state of a deleted Pod, or a new variable."""
WATCH_LAGS = 60.0
"""Seconds to wait for a watch that has not delivered the end of a Pod yet."""


class Tries:
    """Starts and stops tries. `report(run_uid, report)` is called with the results."""

    def __init__(self, term: Term, report: Callable[[str, TryReport], None]) -> None:
        self._client, self._writer, self._cluster, self._clock = term.client, term.writer, term.cluster, term.clock
        self._runs, self._report = term.scheduler.runs, report
        self._render_process = RenderProcess()
        # Half of the requests in flight are left to other writes: stopping Pods, statuses, cleaning up.
        self._queue = FairQueue(lambda: min(MADE_AT_ONCE, max(1, term.writer.slots // 2)))
        self._quotas = Quotas(term.clock)
        self._making: dict[tuple[str, str, int | None], tuple[RunState, TryKey, asyncio.Task[Any]]] = {}
        """The asyncio tasks that create Pods, by (run UID, task, index), with the run and the try."""
        self._surprises: set[tuple[str, str, str]] = set()
        """Unexpected errors that were logged: (namespace, Dag, message)."""
        self._unseen: dict[tuple[str, str], TryKey] = {}
        """Created Pods that the cache does not have yet, by (run UID, name)."""
        self.ends = PodEnds(term.writer, term.cluster)

    async def start(self, run: RunState, start: Start) -> None:
        """Create the Pod of a try, or report why that is impossible. Does nothing if it is already in progress."""
        place = (start.run.uid, start.key.task, start.key.index)
        # The Pod of an abandoned try may be in creation: wait for that before another one is created.
        while (before := self._making.get(place)) is not None:
            if before[0] is run and before[1] == start.key:
                return
            await asyncio.wait([before[2]])
        current = asyncio.current_task()
        assert current is not None
        self._making[place] = run, start.key, current
        try:
            await self._start(run, start)
        except Exception as error:
            # Its Pod may exist, so the try is not abandoned: it is retried until queuedTimeout.
            message = self._surprise(start, error)
            self._report(start.run.uid, _postponed(start.key, "InternalError", message, bounded=True))
        finally:
            del self._making[place]

    def _surprise(self, start: Start, error: Exception) -> str:
        """Log an unexpected error, with its traceback once for each Dag. Return the message for people."""
        info, message = start.run, f"{type(error).__name__}: {error}"
        known = (info.namespace, info.dag, message)
        new = known not in self._surprises
        if len(self._surprises) < SURPRISES_KEPT:
            self._surprises.add(known)
        log.error(
            *("cannot start %s of DagRun %s/%s: %s", start.key.instance, info.namespace, info.name, message),
            exc_info=error if new else None,
        )
        return f"the controller failed to create its Pod: {message}"

    async def _start(self, run: RunState, start: Start) -> None:
        info, key = start.run, start.key
        left = await self._wait_for_earlier(run, key)
        if left is not None:
            message = f"waiting for Pod {left!r} of an earlier try to finish"
            self._report(info.uid, _postponed(key, "EarlierTryRuns", message))
            return
        async with self._queue.acquire(_queue_path(info), run.node(key.task).weight) as permit:
            if not self._is_wanted(run, key):
                return
            if run.suspended and run.node(key.task).state_of(key.index) is TaskState.SCHEDULED:
                # The run was suspended after the task got its slots. A sensor that is already running continues.
                self._report(info.uid, _postponed(key, "Suspended", "the run is suspended"))
                return
            full = self._quotas.full(info.namespace)
            if full is None:
                await self._make(run, start, permit)
            else:
                self._report(info.uid, _postponed(key, "QuotaExceeded", full))

    async def _make(self, run: RunState, start: Start, permit: Permit) -> None:
        info, task, key = start.run, start.task, start.key
        try:
            rendered = await self._render(run, start, permit)
            if rendered is None:
                return
            manifest = pod_manifest(info, run.dag, task, key, rendered)
        except TemplateError as error:
            self._refuse(info.uid, key, "InvalidTemplate", str(error))
            return
        except ValueError as error:
            self._refuse(info.uid, key, "InvalidPodTemplate", str(error))
            return
        except Exception as error:
            self._refuse(info.uid, key, "InternalError", self._surprise(start, error))
            return
        name = manifest["metadata"]["name"]
        self._unseen[info.uid, name] = key
        try:
            await self._writer.create(
                PODS,
                info.namespace,
                manifest,
                wanted=lambda: self._is_wanted(run, key),
                delayed=permit.release,
                strict=True,
            )
        except ApiError as error:
            permit.release()
            # An earlier attempt that got no response may have succeeded all the same.
            refusal = None if error.is_already_exists else self._refusal(info.namespace, key, error)
            await self._adopt(run, name, key, otherwise=refusal)
            if not error.is_transient:
                self._unseen.pop((info.uid, name), None)
        except SteppedDown:
            return  # the next leader starts it, or finds its Pod
        except NotWanted:
            return  # an attempt without a response created it and it has finished since; or the run has
        except KubeError as error:
            permit.release()
            unknown = _postponed(key, "ApiUnavailable", str(error))
            await self._adopt(run, name, key, otherwise=unknown)
        else:
            self._quotas.created(info.namespace)
            # A watch event that arrived before this response says more: why the Pod waits, or that it runs.
            if self._cluster.pod(info.uid, name) is None:
                self._report(info.uid, _report(key, TryEvent.CREATED, held_by=HeldBy.CLUSTER))

    def _refusal(self, namespace: str, key: TryKey, error: ApiError) -> TryReport:
        if error.is_quota_exceeded:
            return _postponed(key, "QuotaExceeded", self._quotas.refused(namespace, error))
        return _refusal(key, error)

    async def _render(self, run: RunState, start: Start, permit: Permit) -> RenderedTask | None:
        """Render the try's templates; return None if the try was abandoned meanwhile. Raises TemplateError.

        A missing variable may have been created a moment ago, so the watch is given time to deliver it.
        """
        try:
            return await self._rendered(run, start, permit)
        except MissingVariableError:
            permit.release()
            await asyncio.sleep(SETTLE)
        if not self._is_wanted(run, start.key):
            return None
        return await self._rendered(run, start, permit)

    async def _rendered(self, run: RunState, start: Start, permit: Permit) -> RenderedTask | None:
        values = template_values(run, start.task, start.key.number, start.key.index)
        try:
            return render_a_little(start.task, values)
        except OutOfFuel:
            permit.release()
        rendered = await self._render_process.render(_queue_path(run.info), start.task, values)
        return rendered if self._is_wanted(run, start.key) else None

    def _is_wanted(self, run: RunState, key: TryKey) -> bool:
        """True if a try still has to be started for this state of its run: a reloaded run starts it again itself."""
        instance = run.instance(key.task, key.index) if self._runs.get(run.info.uid) is run else None
        return instance is not None and instance.key == key and not instance.finished and instance.stop is None

    # After a rerun ------------------------------------------------------------------------------------------------

    async def _wait_for_earlier(self, run: RunState, key: TryKey) -> str | None:
        """Wait until no Pod of tries before a rerun runs any more. Return the name of a Pod that does not finish in
        time."""
        instance = run.instance(key.task, key.index)
        if instance is None or not instance.tries_before:
            return None
        deadline = self._clock.monotonic() + EARLIER_ENDS_WITHIN
        while (name := await self._still_running(run, key)) is not None and self._is_wanted(run, key):
            if self._clock.monotonic() > deadline:
                return name
            await asyncio.sleep(LOOK_AGAIN)
        return None

    async def _still_running(self, run: RunState, key: TryKey) -> str | None:
        """Return the name of a Pod of an earlier try that is not finished, if any."""
        for name in self._earlier(run, key):
            pod = self._cluster.pod(run.info.uid, name)
            if pod is not None:
                if not is_finished(pod):
                    return name
            elif (run.info.uid, name) in self._unseen:
                try:
                    await self._client.get(PODS, run.info.namespace, name)
                except KubeError as error:
                    if isinstance(error, ApiError) and error.is_not_found:
                        self._unseen.pop((run.info.uid, name), None)
                        continue
                return name
        return None

    def _earlier(self, run: RunState, key: TryKey) -> list[str]:
        """Return the names that Pods of earlier tries of a task instance may have."""
        uid = run.info.uid
        if not run.node(key.task).task.kind.looks_again:
            return [pod_name(run.info, replace(key, number=number)) for number in range(1, key.number)]
        known = {name: try_of(pod) for name, pod in self._cluster.pods.get(uid, {}).items()}
        known |= {name: created for (run_uid, name), created in self._unseen.items() if run_uid == uid}
        return [
            name
            for name, other in known.items()
            if other is not None and (other.task, other.index) == (key.task, key.index) and other.number < key.number
        ]

    def pod_changed(self, run_uid: str, pod: PodObject) -> None:
        """Note that the cache has a Pod."""
        self._unseen.pop((run_uid, pod.metadata.name), None)

    def ending(self, run: RunState, pod: PodObject) -> Coroutine[Any, Any, None] | None:
        """Return the coroutine that stops a Pod whose try is not needed any more, or in which only sidecars run."""
        if _is_stray(run, pod):
            return self.ends.end(pod, _why_stray(run, pod))
        return self.ends.end_sidecars(pod) if sidecars_run(pod) else None

    async def stop(self, stop: Stop) -> None:
        """Stop a running try; its Pod then reports the result."""
        info = stop.run
        what = f"stop Pod {info.namespace}/{pod_name(info, stop.key)}"
        found = await keep_trying(partial(self._find_try, info, stop.key), what, STOP_AGAIN)
        if found is None or is_finished(found):
            # It has already finished: its result counts, not the time limit, since the cache lags behind.
            await self._report_end(info, stop.key, found)
            return
        await asyncio.gather(self.ends.end(found, stop.why.reason), self._follow_unseen(info, stop.key))

    async def _follow_unseen(self, info: RunInfo, key: TryKey) -> None:
        """Follow a Pod that the cache does not have: the watch may never deliver it if it is deleted soon."""
        if self._cluster.pod(info.uid, pod_name(info, key)) is None:
            await self.confirm_missing(info, key)

    async def confirm_missing(self, info: RunInfo, key: TryKey) -> None:
        """Read the Pod of a running try that the cache does not have, until the watch delivers it or it finishes;
        report the try lost if there is no Pod."""
        name = pod_name(info, key)

        def missing() -> bool:
            return self._cluster.pod(info.uid, name) is None

        what = f"read Pod {info.namespace}/{name}"
        while await keep_trying(partial(self._runs_unseen, info, key), what, STOP_AGAIN, wanted=missing):
            await asyncio.sleep(STOP_AGAIN)
            if not missing():
                return

    async def _runs_unseen(self, info: RunInfo, key: TryKey) -> bool:
        """Report the current state of a try; return True unless it is finished. Raises KubeError."""
        found = await self._find_try(info, key)
        if found is None or is_finished(found):
            await self._report_end(info, key, found)
            return False
        self._report_pod(info.uid, found)
        return True

    async def _find(self, namespace: str, name: str) -> PodObject | None:
        """Read a Pod from the API server. Raises KubeError."""
        try:
            found = msgspec.convert(await self._client.get(PODS, namespace, name), PodObject)
        except ApiError as error:
            if error.is_not_found:
                return None
            raise
        if is_finished(found):
            self._cluster.keep_result(found)
        return found

    async def _find_try(self, info: RunInfo, key: TryKey) -> PodObject | None:
        """Read the Pod of a try; None if there is none. Raises KubeError."""
        found = await self._find(info.namespace, pod_name(info, key))
        return found if found is not None and _is_of(found, info.uid, key) else None

    async def _report_end(self, info: RunInfo, key: TryKey, found: PodObject | None) -> None:
        """Report the result of a try: by its Pod or, if that is deleted, as the watch delivers it, else as lost."""
        if found is not None:
            self._report_pod(info.uid, found)
            return
        await self._give_up(info.uid, key, pod_name(info, key))

    async def _give_up(self, run_uid: str, key: TryKey, name: str) -> None:
        """Report a try as lost whose Pod is deleted, after the watch had time to deliver its last state. While the
        cache still has the Pod, the watch has not delivered the deletion."""
        deadline = self._clock.monotonic() + WATCH_LAGS
        await asyncio.sleep(SETTLE)
        while self._cluster.pod(run_uid, name) is not None:
            if self._clock.monotonic() > deadline:
                break
            await asyncio.sleep(LOOK_AGAIN)
        self._report(run_uid, _lost(key))

    def _report_pod(self, run_uid: str, pod: PodObject) -> None:
        report = observe(pod, gone=False)
        if report is not None:
            self._report(run_uid, report)

    async def release(self, pod: PodObject) -> None:
        """Remove our finalizer, with retries: the result is in status, or is not needed any more."""
        uid, namespace, name = pod.metadata.uid, pod.metadata.namespace, pod.metadata.name
        newest: PodObject | None = pod

        async def attempt() -> None:
            nonlocal newest
            while newest is not None and newest.metadata.uid == uid and not await self._remove_finalizer(newest):
                newest = await self._find(namespace, name)

        await keep_trying(attempt, f"remove the finalizer of Pod {namespace}/{name}", STOP_AGAIN)

    async def _remove_finalizer(self, pod: PodObject) -> bool:
        """Return False if the Pod was changed meanwhile. Raises KubeError."""
        metadata = pod.metadata
        if names.FINALIZER_RESULT not in metadata.finalizers:
            return True
        others = [finalizer for finalizer in metadata.finalizers if finalizer != names.FINALIZER_RESULT]
        # With its version, so that a finalizer that another client adds or removes meanwhile is respected.
        version = {"uid": metadata.uid, "resourceVersion": metadata.resource_version}
        body = {"metadata": {**version, "finalizers": others or None}}
        try:
            await self._writer.patch(PODS, metadata.namespace, metadata.name, body)
        except ApiError as error:
            if error.is_conflict:
                return False
            if not error.is_not_found:
                raise
        return True

    async def _adopt(self, run: RunState, name: str, key: TryKey, *, otherwise: TryReport | None = None) -> None:
        """Adopt an existing Pod: created by us without a response, or by an earlier controller. `otherwise` is reported
        if there is none. Until then the try keeps its slots."""
        attempt = partial(self._adopt_once, run, name, key, otherwise)
        what = f"read Pod {run.info.namespace}/{name}"
        await keep_trying(attempt, what, ADOPT_AGAIN, wanted=lambda: self._is_wanted(run, key))

    async def _adopt_once(self, run: RunState, name: str, key: TryKey, otherwise: TryReport | None) -> None:
        """Raises KubeError if a retry makes sense."""
        run_uid = run.info.uid
        try:
            found = await self._find(run.info.namespace, name)
        except KubeError as error:
            if error.is_transient:
                raise
            self._report(run_uid, _postponed(key, "ApiUnavailable", str(error)))
            return
        if found is None and otherwise is None:
            await self._give_up(run_uid, key, name)
        elif found is not None and _is_of(found, run_uid, key):
            self._report_pod(run_uid, found)
        elif otherwise is not None:
            self._report(run_uid, otherwise)
        else:
            message = f"its name is taken by Pod {name!r} of another owner; delete that Pod"
            self._report(run_uid, _postponed(key, "NameTaken", message, bounded=True))

    def _refuse(self, run_uid: str, key: TryKey, reason: str, message: str) -> None:
        self._report(run_uid, _report(key, TryEvent.REFUSED, reason=reason, message=message, retry=False))


def _is_stray(run: RunState, pod: PodObject) -> bool:
    """True if a Pod runs although its try is not needed any more: its task was rerun, or marked."""
    identity = try_of(pod)
    if identity is None or pod.metadata.deletion_timestamp is not None or is_finished(pod):
        return False
    return known_tries.is_obsolete(run, identity)


def _why_stray(run: RunState, pod: PodObject) -> str:
    """Return why a Pod's try is not needed any more: the reason of its finished task, or Superseded after a rerun."""
    identity = try_of(pod)
    instance = run.instance(identity.task, identity.index) if identity is not None else None
    if instance is None or identity is None or not instance.finished or instance.number != identity.number:
        return SUPERSEDED
    return instance.reason or run.reason or SUPERSEDED


def _queue_path(info: RunInfo) -> Path:
    """Return the place of a run in fair queues: turns alternate between namespaces, their Dags and their runs."""
    return info.namespace, info.dag, info.uid


def _is_of(pod: PodObject, run_uid: str, key: TryKey) -> bool:
    return run_uid_of(pod) == run_uid and try_of(pod) == key


def _report(key: TryKey, event: TryEvent, **facts: Any) -> TryReport:
    return TryReport(key.task, key.number, event, index=key.index, poke=key.poke, **facts)


def _refusal(key: TryKey, error: ApiError) -> TryReport:
    """Return the report for a Pod that the API server refused: only errors in the Pod itself are final."""
    insecure = error.is_forbidden and "violates PodSecurity" in error.message
    if insecure or error.is_bad_request or error.is_invalid or error.is_too_large:
        reason = "Forbidden" if insecure else "InvalidPod"
        return _report(key, TryEvent.REFUSED, reason=reason, message=error.message, retry=False)
    if error.is_namespace_terminating or error.is_not_found:
        return _postponed(key, "NamespaceTerminating", error.message)
    if error.is_forbidden:
        return _postponed(key, "Forbidden", error.message, bounded=True)
    return _postponed(key, "Unauthorized" if error.is_unauthorized else "ApiUnavailable", error.message)


def _postponed(key: TryKey, reason: str, message: str, *, bounded: bool = False) -> TryReport:
    return _report(key, TryEvent.POSTPONED, reason=reason, message=message, retry=not bounded)


def _lost(key: TryKey) -> TryReport:
    message = "its Pod was deleted while no controller was watching; its result is unknown"
    return _report(key, TryEvent.LOST, reason="PodVanished", message=message)
