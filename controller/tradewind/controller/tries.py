"""Tries in the cluster: making their Pods, stopping them, and letting go of them once their result is safe.

A Pod's name is fixed by the try, so making it twice is harmless: the second attempt finds the first one's Pod.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

import msgspec

from tradewind.api import names
from tradewind.api.templates import TemplateError
from tradewind.api.variables import MissingVariableError
from tradewind.controller.cluster import Cluster
from tradewind.controller.pods.manifest import pod_manifest, pod_name
from tradewind.controller.pods.observation import observe, run_uid_of, try_of
from tradewind.controller.resources import PodObject
from tradewind.engine.rendering import RenderedTask, render_task
from tradewind.engine.run import RunState
from tradewind.engine.run_info import RunInfo, Stop
from tradewind.engine.scheduler import Start
from tradewind.engine.tries import TryEvent, TryKey, TryReport
from tradewind.kube.client import KubeClient
from tradewind.kube.clock import Clock
from tradewind.kube.errors import ApiError, KubeError, Unreachable
from tradewind.kube.lease import NotLeader
from tradewind.kube.resources import PODS
from tradewind.kube.writer import Writer, WriterStopped

log = logging.getLogger(__name__)

STOP_AGAIN = 5.0
"""Seconds until a stop that failed is tried again."""
SETTLE = 3.0
"""Seconds in which news arrive by watch: the last words of a Pod which the API server no longer has, a variable."""


class Tries:
    """Carries out starts and stops. `report(run_uid, report)` is called with what comes of them."""

    def __init__(
        self,
        client: KubeClient,
        writer: Writer,
        cluster: Cluster,
        report: Callable[[str, TryReport], None],
        clock: Clock,
    ) -> None:
        self._client = client
        self._writer = writer
        self._cluster = cluster
        self._report = report
        self._clock = clock

    async def start(self, run: RunState, start: Start) -> None:
        """Make the Pod of a try, or find out why there will be none."""
        info, task, key = start.run, start.task, start.key
        try:
            rendered = await self._render(run, start)
            if rendered is None:
                return
            manifest = pod_manifest(info, run.dag, task, key, rendered)
        except TemplateError as error:
            self._refuse(info.uid, key, "InvalidTemplate", str(error))
            return
        except ValueError as error:
            self._refuse(info.uid, key, "InvalidPodTemplate", str(error))
            return
        try:
            await self._writer.create(PODS, info.namespace, manifest)
        except ApiError as error:
            if error.is_already_exists:
                await self._adopt(info.uid, info.namespace, manifest["metadata"]["name"], key)
            else:
                self._report(info.uid, _refusal(key, error))
        except (NotLeader, WriterStopped):
            return  # the next leader starts it, or finds its Pod
        except KubeError as error:
            self._report(info.uid, _postponed(key, "ApiUnavailable", str(error)))
        else:
            # A watch event that was faster than this answer says more: why the Pod waits, or that it runs.
            if self._cluster.pod(info.uid, manifest["metadata"]["name"]) is None:
                self._report(info.uid, _report(key, TryEvent.CREATED))

    async def _render(self, run: RunState, start: Start) -> RenderedTask | None:
        """The try's templates filled in, or None if the try was given up meanwhile. Raises TemplateError.

        A variable that is missing may have been made a moment ago, and is given time to arrive by watch.
        """
        task, key = start.task, start.key
        try:
            return render_task(run, task, key.number, key.index)
        except MissingVariableError:
            await asyncio.sleep(SETTLE)
        instance = run.instance(key.task, key.index)
        if instance is None or instance.key != key or instance.finished or instance.stop is not None:
            return None
        return render_task(run, task, key.number, key.index)

    async def stop(self, stop: Stop) -> None:
        """End a try that is under way; its end is then reported by its Pod."""
        info, name = stop.run, pod_name(stop.run, stop.key)
        while True:
            try:
                if stop.why.reason == "Timeout" and await self._expire(info.uid, info.namespace, name):
                    return
                await self._writer.delete(PODS, info.namespace, name)
                return
            except ApiError as error:
                if error.is_not_found:
                    await asyncio.sleep(SETTLE)
                    self._report(info.uid, _lost(stop.key))
                    return
                log.warning("cannot stop Pod %s/%s: %s", info.namespace, name, error)
            except (NotLeader, WriterStopped):
                return
            except Unreachable as error:
                log.warning("cannot stop Pod %s/%s: %s", info.namespace, name, error)
            await asyncio.sleep(STOP_AGAIN)

    async def confirm_missing(self, info: RunInfo, key: TryKey) -> None:
        """A try is under way by status and has no Pod in our cache: ask, and report it lost if there is none."""
        namespace, name = info.namespace, pod_name(info, key)
        while True:
            try:
                await self._client.get(PODS, namespace, name)
                return  # the watch is about to deliver it
            except ApiError as error:
                if error.is_not_found:
                    break
                log.warning("cannot read Pod %s/%s: %s", namespace, name, error)
            except Unreachable as error:
                log.warning("cannot read Pod %s/%s: %s", namespace, name, error)
            await asyncio.sleep(STOP_AGAIN)
        # Its last state may be on its way: what was seen, here or by watch, counts before what is missing.
        await asyncio.sleep(SETTLE)
        self._report(info.uid, _lost(key))

    async def let_go(self, pod: PodObject) -> None:
        """Remove our finalizer: the result is in status, or nobody wants it any more."""
        metadata = pod.metadata
        if names.FINALIZER_RESULT not in metadata.finalizers:
            return
        others = [finalizer for finalizer in metadata.finalizers if finalizer != names.FINALIZER_RESULT]
        body = {"metadata": {"uid": metadata.uid, "finalizers": others or None}}
        try:
            await self._writer.patch(PODS, metadata.namespace, metadata.name, body)
        except ApiError as error:
            if not (error.is_not_found or error.is_conflict or error.is_invalid):
                log.warning("cannot release Pod %s/%s: %s", metadata.namespace, metadata.name, error)
        except KubeError as error:
            log.warning("cannot release Pod %s/%s: %s", metadata.namespace, metadata.name, error)

    async def _adopt(self, run_uid: str, namespace: str, name: str, key: TryKey) -> None:
        """The Pod was there already: made by us and unanswered, or by a controller before us."""
        try:
            found = msgspec.convert(await self._client.get(PODS, namespace, name), PodObject)
        except ApiError as error:
            if error.is_not_found:
                await asyncio.sleep(SETTLE)
                self._report(run_uid, _lost(key))
            else:
                self._report(run_uid, _postponed(key, "ApiUnavailable", str(error)))
            return
        except Unreachable as error:
            self._report(run_uid, _postponed(key, "ApiUnavailable", str(error)))
            return
        if run_uid_of(found) != run_uid or try_of(found) != key:
            message = f"there is a Pod {name!r} that is not of this try; delete it"
            self._report(run_uid, _postponed(key, "NameTaken", message, bounded=True))
            return
        report = observe(found, gone=False)
        if report is not None:
            self._report(run_uid, report)

    async def _expire(self, run_uid: str, namespace: str, name: str) -> bool:
        """Let the kubelet end the Pod, which keeps its logs. False where that cannot be done."""
        pod = self._cluster.pod(run_uid, name)
        if pod is None or pod.status.start_time is None:
            return False
        elapsed = (self._clock.now() - pod.status.start_time).total_seconds()
        await self._writer.patch(
            PODS, namespace, name, {"spec": {"activeDeadlineSeconds": max(1, math.floor(elapsed))}}
        )
        return True

    def _refuse(self, run_uid: str, key: TryKey, reason: str, message: str) -> None:
        self._report(run_uid, _report(key, TryEvent.REFUSED, reason=reason, message=message, retry=False))


def _report(key: TryKey, event: TryEvent, **facts: Any) -> TryReport:
    return TryReport(key.task, key.number, event, index=key.index, poke=key.poke, **facts)


def _refusal(key: TryKey, error: ApiError) -> TryReport:
    """What it means that the API server would not make the Pod."""
    if error.is_quota_exceeded:
        return _postponed(key, "QuotaExceeded", error.message)
    if error.is_namespace_terminating or error.is_not_found:
        return _postponed(key, "NamespaceTerminating", error.message)
    if error.is_forbidden and "violates PodSecurity" not in error.message:
        return _postponed(key, "Forbidden", error.message, bounded=True)
    if error.is_transient:
        return _postponed(key, "ApiUnavailable", error.message)
    reason = "Forbidden" if error.is_forbidden else "InvalidPod"
    return _report(key, TryEvent.REFUSED, reason=reason, message=error.message, retry=False)


def _postponed(key: TryKey, reason: str, message: str, *, bounded: bool = False) -> TryReport:
    return _report(key, TryEvent.POSTPONED, reason=reason, message=message, retry=not bounded)


def _lost(key: TryKey) -> TryReport:
    message = "its Pod vanished while no controller watched, so its result is unknown"
    return _report(key, TryEvent.LOST, reason="PodVanished", message=message)
