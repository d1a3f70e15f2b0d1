"""Pods whose run is not scheduled here any more: still running after their run ended, held by our finalizer though
nobody waits for their result, or kept longer than podRetention."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tradewind.api import names
from tradewind.api.duration import parse_duration
from tradewind.controller.cluster import Cluster
from tradewind.controller.pods.observation import has_stopped
from tradewind.controller.resources import DAGRUNS, PodObject
from tradewind.controller.tries import Tries
from tradewind.engine.run import RunState
from tradewind.engine.task_instance import format_time, parse_time
from tradewind.kube.client import KubeClient
from tradewind.kube.clock import Clock
from tradewind.kube.errors import ApiError, KubeError
from tradewind.kube.lease import NotLeader
from tradewind.kube.resources import PODS
from tradewind.kube.writer import Writer, WriterStopped

log = logging.getLogger(__name__)

LOOK_AFTER = 2.0
"""Seconds until a Pod of an unknown run is looked into: the run itself may be about to be loaded."""


class Leftovers:
    """Clears up after runs."""

    def __init__(
        self,
        client: KubeClient,
        writer: Writer,
        cluster: Cluster,
        tries: Tries,
        *,
        spawn: Callable[[Any, str], asyncio.Task[None]],
        clock: Clock,
    ) -> None:
        self._client, self._writer, self._cluster, self._tries, self._spawn = client, writer, cluster, tries, spawn
        self._clock = clock
        self._looking: set[str] = set()

    def consider(self, run_uid: str, pod: PodObject) -> None:
        """A Pod of a run that is not loaded: look into it if it runs, or is held by our finalizer."""
        if _is_left(pod) and run_uid not in self._looking:
            self._looking.add(run_uid)
            self._spawn(self._look(run_uid, pod), f"leftovers of {pod.metadata.labels.get(names.LABEL_RUN)}")

    def run_finished(self, run: RunState) -> None:
        """Clear up what the end of a run leaves, and its Pods after podRetention."""
        for pod in list(self._cluster.pods.get(run.info.uid, {}).values()):
            self.consider(run.info.uid, pod)
        retention = run.dag.spec.pod_retention
        if retention is not None:
            ended = run.finished_at or self._clock.now()
            work = self._expire(run.info.namespace, run.info.name, run.info.uid, ended, parse_duration(retention))
            self._spawn(work, f"Pods of {run.info.name}")

    async def _look(self, run_uid: str, pod: PodObject) -> None:
        name = pod.metadata.labels.get(names.LABEL_RUN, "")
        namespace = pod.metadata.namespace
        wait = LOOK_AFTER
        try:
            while True:
                await asyncio.sleep(wait)
                try:
                    if not await self._has_ended(namespace, name, run_uid):
                        return
                    await self._clear_up(run_uid)
                    # Others may have come meanwhile.
                    if not any(_is_left(left) for left in self._cluster.pods.get(run_uid, {}).values()):
                        return
                    wait = LOOK_AFTER
                except (NotLeader, WriterStopped):
                    return
                except KubeError as error:
                    log.warning("cannot clear up after DagRun %s/%s: %s", namespace, name, error)
                    wait = LOOK_AFTER * 5
        finally:
            self._looking.discard(run_uid)

    async def _clear_up(self, run_uid: str) -> None:
        for left in list(self._cluster.pods.get(run_uid, {}).values()):
            if self._cluster.is_active(run_uid):
                return  # it runs again
            if not has_stopped(left) and left.metadata.deletion_timestamp is None:
                await self._delete(left)
            await self._tries.let_go(left)

    async def _has_ended(self, namespace: str, name: str, uid: str) -> bool:
        try:
            run = await self._client.get(DAGRUNS, namespace, name)
        except ApiError as error:
            if error.is_not_found:
                return True
            raise
        return run["metadata"]["uid"] != uid or run.get("status", {}).get("phase") in ("Succeeded", "Failed")

    async def _delete(self, pod: PodObject) -> None:
        try:
            await self._writer.delete(PODS, pod.metadata.namespace, pod.metadata.name, uid=pod.metadata.uid)
        except ApiError as error:
            if not (error.is_not_found or error.is_conflict):
                raise

    async def _expire(self, namespace: str, run: str, uid: str, ended: datetime, retention: timedelta) -> None:
        await asyncio.sleep(max(0.0, (ended + retention - self._clock.now()).total_seconds()))
        while True:
            try:
                found = await self._client.get(DAGRUNS, namespace, run)
                if found["metadata"]["uid"] != uid or not _ended_at(found, ended):
                    return  # it was run again: its Pods stay for as long after its next end
                await self._writer.delete_collection(PODS, namespace, label_selector=f"{names.LABEL_RUN}={run}")
                return
            except (NotLeader, WriterStopped):
                return
            except KubeError as error:
                if isinstance(error, ApiError) and error.is_not_found:
                    return  # the run is gone, and its Pods with it
                log.warning("cannot delete the Pods of DagRun %s/%s: %s", namespace, run, error)
            await asyncio.sleep(LOOK_AFTER * 5)

    async def take_over(self) -> None:
        """Keep the appointments that an earlier leader made for podRetention."""
        for run_uid, pods in list(self._cluster.pods.items()):
            first = next(iter(pods.values()))
            labels, namespace = first.metadata.labels, first.metadata.namespace
            dag = self._cluster.dags.get((namespace, labels.get(names.LABEL_DAG, "")))
            retention = dag.facts.pod_retention if dag else None
            if not retention or self._cluster.is_active(run_uid):
                continue
            work = self._keep_appointment(namespace, labels.get(names.LABEL_RUN, ""), run_uid, retention)
            self._spawn(work, f"Pods of {labels.get(names.LABEL_RUN)}")

    async def _keep_appointment(self, namespace: str, name: str, run_uid: str, retention: str) -> None:
        while True:
            try:
                run = await self._client.get(DAGRUNS, namespace, name)
                break
            except KubeError as error:
                if isinstance(error, ApiError) and error.is_not_found:
                    return
                log.info("cannot look after the Pods of DagRun %s/%s: %s", namespace, name, error)
            await asyncio.sleep(LOOK_AFTER * 5)
        ended = parse_time(run.get("status", {}).get("finishedAt"))
        if run["metadata"]["uid"] == run_uid and ended:
            with contextlib.suppress(ValueError):
                await self._expire(namespace, name, run_uid, ended, parse_duration(retention))


def _ended_at(run: dict[str, Any], moment: datetime) -> bool:
    """Whether a run has ended, and last at that time."""
    ended = parse_time((run.get("status") or {}).get("finishedAt"))
    return ended is not None and format_time(ended) == format_time(moment)


def _is_left(pod: PodObject) -> bool:
    """Whether a Pod of a run that has ended is to be seen to: it runs, or our finalizer holds it."""
    runs = not has_stopped(pod) and pod.metadata.deletion_timestamp is None
    return runs or names.FINALIZER_RESULT in pod.metadata.finalizers
