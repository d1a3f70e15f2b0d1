"""Tries in the cluster: making their Pods, stopping them, and letting go of them once their result is safe.

A Pod's name is fixed by the try, so making it twice is harmless: the second attempt finds the first one's Pod.
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
"""Pods that are being made at the same time, at most."""
ADOPT_AGAIN = 1.0
"""Seconds until a Pod that may be there is asked for again."""
STOP_AGAIN = 5.0
"""Seconds until a stop that failed is tried again."""
EARLIER_ENDS_WITHIN = 60.0
"""Seconds that a task which is run again waits, with its slots, for the Pod of an earlier try; then without them."""
SURPRISES_KEPT = 1000
LOOK_AGAIN = 0.2
SETTLE = 3.0
"""Seconds in which news arrive by watch: the last words of a Pod which the API server no longer has, a variable."""
WATCH_LAGS = 60.0
"""Seconds for which a watch that has not told of a Pod's end yet is waited for."""


class Tries:
    """Carries out starts and stops. `report(run_uid, report)` is called with what comes of them."""

    def __init__(self, term: Term, report: Callable[[str, TryReport], None]) -> None:
        self._client, self._writer, self._cluster, self._clock = term.client, term.writer, term.cluster, term.clock
        self._runs, self._report = term.scheduler.runs, report
        self._render_process = RenderProcess()
        # Half of what may be in flight is left to all else: what stops Pods, tells how they ended, clears up.
        self._queue = FairQueue(lambda: min(MADE_AT_ONCE, max(1, term.writer.slots // 2)))
        self._quotas = Quotas(term.clock)
        self._making: dict[tuple[str, str, int | None], tuple[RunState, TryKey, asyncio.Task[Any]]] = {}
        """Who makes a Pod of which (run UID, task, index), and of which try."""
        self._surprises: set[tuple[str, str, str]] = set()
        """Errors that nobody foresaw and that were logged, by namespace and Dag."""
        self._unseen: dict[tuple[str, str], TryKey] = {}
        """Pods that were made, by (run UID, name), and that the cache does not have yet."""
        self.ends = PodEnds(term.writer, term.cluster)

    async def start(self, run: RunState, start: Start) -> None:
        """Make the Pod of a try, or find out why there will be none. To start what is being started does nothing."""
        place = (start.run.uid, start.key.task, start.key.index)
        # The Pod of a try that was given up may just be being made: it must be known before another is.
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
            # Its Pod may be there, so it is not given up: it is asked for again, as long as queuedTimeout.
            message = self._surprise(start, error)
            self._report(start.run.uid, _postponed(start.key, "InternalError", message, bounded=True))
        finally:
            del self._making[place]

    def _surprise(self, start: Start, error: Exception) -> str:
        """Log an error that nobody foresaw, in full once for each Dag; the message for people."""
        info, message = start.run, f"{type(error).__name__}: {error}"
        known = (info.namespace, info.dag, message)
        new = known not in self._surprises
        if len(self._surprises) < SURPRISES_KEPT:
            self._surprises.add(known)
        log.error(
            *("cannot start %s of DagRun %s/%s: %s", start.key.instance, info.namespace, info.name, message),
            exc_info=error if new else None,
        )
        return f"the controller failed to make its Pod: {message}"

    async def _start(self, run: RunState, start: Start) -> None:
        info, key = start.run, start.key
        left = await self._wait_for_earlier(run, key)
        if left is not None:
            message = f"waits for the end of Pod {left!r}, which an earlier try left"
            self._report(info.uid, _postponed(key, "EarlierTryRuns", message))
            return
        async with self._queue.acquire(_whose(info), run.node(key.task).weight) as permit:
            if not self._is_wanted(run, key):
                return
            if run.suspended and run.node(key.task).state_of(key.index) is TaskState.SCHEDULED:
                # Since it got its slots. A sensor that runs goes on looking.
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
            # What refuses it need not have refused an earlier attempt that was not answered.
            refusal = None if error.is_already_exists else self._refusal(info.namespace, key, error)
            await self._adopt(run, name, key, otherwise=refusal)
            if not error.is_transient:
                self._unseen.pop((info.uid, name), None)
        except SteppedDown:
            return  # the next leader starts it, or finds its Pod
        except NotWanted:
            return  # an attempt that was not answered made it, and it has ended since; or the run has
        except KubeError as error:
            permit.release()
            unknown = _postponed(key, "ApiUnavailable", str(error))
            await self._adopt(run, name, key, otherwise=unknown)
        else:
            self._quotas.made(info.namespace)
            # A watch event that was faster than this answer says more: why the Pod waits, or that it runs.
            if self._cluster.pod(info.uid, name) is None:
                self._report(info.uid, _report(key, TryEvent.CREATED, held_by=HeldBy.CLUSTER))

    def _refusal(self, namespace: str, key: TryKey, error: ApiError) -> TryReport:
        if error.is_quota_exceeded:
            return _postponed(key, "QuotaExceeded", self._quotas.refused(namespace, error))
        return _refusal(key, error)

    async def _render(self, run: RunState, start: Start, permit: Permit) -> RenderedTask | None:
        """The try's templates filled in, or None if the try was given up meanwhile. Raises TemplateError.

        A variable that is missing may have been made a moment ago, and is given time to arrive by watch.
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
        rendered = await self._render_process.render(_whose(run.info), start.task, values)
        return rendered if self._is_wanted(run, start.key) else None

    def _is_wanted(self, run: RunState, key: TryKey) -> bool:
        """Whether a try has still to be started, and by this state of its run: one that is loaded anew does so by
        itself, when it has slots for it."""
        instance = run.instance(key.task, key.index) if self._runs.get(run.info.uid) is run else None
        return instance is not None and instance.key == key and not instance.finished and instance.stop is None

    # After a rerun ------------------------------------------------------------------------------------------------

    async def _wait_for_earlier(self, run: RunState, key: TryKey) -> str | None:
        """Return once no container of a try runs that was made before the task was asked to run again; the name of a
        Pod that does not end."""
        instance = run.instance(key.task, key.index)
        if instance is None or not instance.tries_before:
            return None
        deadline = self._clock.monotonic() + EARLIER_ENDS_WITHIN
        while (name := await self._runs_still(run, key)) is not None and self._is_wanted(run, key):
            if self._clock.monotonic() > deadline:
                return name
            await asyncio.sleep(LOOK_AGAIN)
        return None

    async def _runs_still(self, run: RunState, key: TryKey) -> str | None:
        """The Pod of an earlier try of a task instance, if one has not ended."""
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
        """Names that Pods of earlier tries of a task instance may have."""
        uid = run.info.uid
        if not run.node(key.task).task.kind.looks_again:
            return [pod_name(run.info, replace(key, number=number)) for number in range(1, key.number)]
        known = {name: try_of(pod) for name, pod in self._cluster.pods.get(uid, {}).items()}
        known |= {name: made for (run_uid, name), made in self._unseen.items() if run_uid == uid}
        return [
            name
            for name, other in known.items()
            if other is not None and (other.task, other.index) == (key.task, key.index) and other.number < key.number
        ]

    def pod_changed(self, run_uid: str, pod: PodObject) -> None:
        """The cache knows of a Pod."""
        self._unseen.pop((run_uid, pod.metadata.name), None)

    def ending(self, run: RunState, pod: PodObject) -> Coroutine[Any, Any, None] | None:
        """What ends a Pod that goes on though nobody waits for its try any more, or only what is beside its task."""
        if _is_stray(run, pod):
            return self.ends.end(pod, _why_stray(run, pod))
        return self.ends.end_sidecars(pod) if sidecars_run(pod) else None

    async def stop(self, stop: Stop) -> None:
        """End a try that is under way; its end is then reported by its Pod."""
        info = stop.run
        what = f"stop Pod {info.namespace}/{pod_name(info, stop.key)}"
        found = await keep_trying(partial(self._find_try, info, stop.key), what, STOP_AGAIN)
        if found is None or is_finished(found):
            # It is too late. What it says is worth more than that its time was up, by a cache that lags behind.
            await self._report_end(info, stop.key, found)
            return
        await asyncio.gather(self.ends.end(found, stop.why.reason), self._hear_of_end(info, stop.key))

    async def _hear_of_end(self, info: RunInfo, key: TryKey) -> None:
        """The watch may never show a Pod that goes before it is caught up."""
        if self._cluster.pod(info.uid, pod_name(info, key)) is None:
            await self.confirm_missing(info, key)

    async def confirm_missing(self, info: RunInfo, key: TryKey) -> None:
        """A try is under way by status and has no Pod in our cache: ask, until the watch has it or it has ended, and
        report it lost if there is none."""
        name = pod_name(info, key)

        def missing() -> bool:
            return self._cluster.pod(info.uid, name) is None

        what = f"read Pod {info.namespace}/{name}"
        while await keep_trying(partial(self._runs_unseen, info, key), what, STOP_AGAIN, wanted=missing):
            await asyncio.sleep(STOP_AGAIN)
            if not missing():
                return

    async def _runs_unseen(self, info: RunInfo, key: TryKey) -> bool:
        """Report a try as it is now; return true unless it has ended. Raises KubeError."""
        found = await self._find_try(info, key)
        if found is None or is_finished(found):
            await self._report_end(info, key, found)
            return False
        self._report_pod(info.uid, found)
        return True

    async def _find(self, namespace: str, name: str) -> PodObject | None:
        """A Pod as the API server has it now. KubeError if that cannot be asked."""
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
        """The Pod of a try, as it is now."""
        found = await self._find(info.namespace, pod_name(info, key))
        return found if found is not None and _is_of(found, info.uid, key) else None

    async def _report_end(self, info: RunInfo, key: TryKey, found: PodObject | None) -> None:
        """Report the end of a try: as its Pod says, or as lost if that is gone and the watch does not say more."""
        if found is not None:
            self._report_pod(info.uid, found)
            return
        await self._give_up(info.uid, key, pod_name(info, key))

    async def _give_up(self, run_uid: str, key: TryKey, name: str) -> None:
        """Report a try lost whose Pod is gone. Its last state may be on its way: what was seen, here or by watch,
        counts before what is missing; and of a Pod that the cache still has the watch has not told yet."""
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
        """Remove our finalizer, however long that takes: the result is in status, or nobody wants it any more."""
        uid, namespace, name = pod.metadata.uid, pod.metadata.namespace, pod.metadata.name
        newest: PodObject | None = pod

        async def attempt() -> None:
            nonlocal newest
            while newest is not None and newest.metadata.uid == uid and not await self._remove_finalizer(newest):
                newest = await self._find(namespace, name)

        await keep_trying(attempt, f"release Pod {namespace}/{name}", STOP_AGAIN)

    async def _remove_finalizer(self, pod: PodObject) -> bool:
        """Return false if the Pod was changed meanwhile. Raises KubeError."""
        metadata = pod.metadata
        if names.FINALIZER_RESULT not in metadata.finalizers:
            return True
        others = [finalizer for finalizer in metadata.finalizers if finalizer != names.FINALIZER_RESULT]
        # By its version, lest a finalizer that somebody else adds or removes meanwhile is lost or comes back.
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
        """The Pod was there already: made by us and unanswered, or by a controller before us. `otherwise` is what holds
        where there is none. Until that is known the try keeps its slots."""
        attempt = partial(self._adopt_once, run, name, key, otherwise)
        what = f"read Pod {run.info.namespace}/{name}"
        await keep_trying(attempt, what, ADOPT_AGAIN, wanted=lambda: self._is_wanted(run, key))

    async def _adopt_once(self, run: RunState, name: str, key: TryKey, otherwise: TryReport | None) -> None:
        """Raises KubeError where that may be otherwise in a moment."""
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
            message = f"there is a Pod {name!r} that is not of this try; delete it"
            self._report(run_uid, _postponed(key, "NameTaken", message, bounded=True))

    def _refuse(self, run_uid: str, key: TryKey, reason: str, message: str) -> None:
        self._report(run_uid, _report(key, TryEvent.REFUSED, reason=reason, message=message, retry=False))


def _is_stray(run: RunState, pod: PodObject) -> bool:
    """Whether a Pod goes on though nobody waits for its try any more: its task was run again, or marked."""
    identity = try_of(pod)
    if identity is None or pod.metadata.deletion_timestamp is not None or is_finished(pod):
        return False
    return known_tries.is_obsolete(run, identity)


def _why_stray(run: RunState, pod: PodObject) -> str:
    """Why nobody waits for the try of a Pod any more: how its task ended, unless that was run again."""
    identity = try_of(pod)
    instance = run.instance(identity.task, identity.index) if identity is not None else None
    if instance is None or identity is None or not instance.finished or instance.number != identity.number:
        return SUPERSEDED
    return instance.reason or run.reason or SUPERSEDED


def _whose(info: RunInfo) -> Path:
    """Who takes turns with others: each namespace, in it each Dag, and of that each run."""
    return info.namespace, info.dag, info.uid


def _is_of(pod: PodObject, run_uid: str, key: TryKey) -> bool:
    return run_uid_of(pod) == run_uid and try_of(pod) == key


def _report(key: TryKey, event: TryEvent, **facts: Any) -> TryReport:
    return TryReport(key.task, key.number, event, index=key.index, poke=key.poke, **facts)


def _refusal(key: TryKey, error: ApiError) -> TryReport:
    """What it means that the API server would not make the Pod: only what says that it is the Pod's fault is final."""
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
    message = "its Pod vanished while no controller watched, so its result is unknown"
    return _report(key, TryEvent.LOST, reason="PodVanished", message=message)
