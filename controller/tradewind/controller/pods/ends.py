"""The ends of Pods: one that has begun is ended, not deleted, so that its log stays for as long as its Pod does.

The kubelet ends a Pod whose activeDeadlineSeconds are over, within its grace period, and keeps it. Why we wanted that
is in an annotation: whoever leads next must not take it for a time limit of the task. A Pod that never began has no
log, and is deleted; so is one that has not ended in time, for its node or its kubelet may be gone.
"""

import asyncio
import logging
from functools import partial

from tradewind.api import names
from tradewind.cache.caches import Caches
from tradewind.cache.observation import has_stopped
from tradewind.cache.resources import PodObject
from tradewind.kube.errors import ApiError
from tradewind.kube.persist import keep_trying
from tradewind.kube.resources import PODS
from tradewind.kube.writer import Priority, Writer

log = logging.getLogger(__name__)

ENDS_WITHIN = 30.0
"""Seconds beyond its grace period in which a kubelet that is alive has ended a Pod."""
AGAIN = 5.0
"""Seconds until what failed is tried again."""
SIDECARS_END_WITHIN = 5.0
"""Seconds in which containers beside the task's may end by themselves once that has."""

SUPERSEDED = "Superseded"
"""Why a Pod is ended whose task was run again, or marked."""
RUN_ENDED = "RunEnded"
"""Why one is whose run is over."""


class PodEnds:
    """Ends Pods, each once at a time however often it is asked for."""

    def __init__(self, writer: Writer, cluster: Caches) -> None:
        self._writer, self._cluster = writer, cluster
        self._ending: set[str] = set()
        """UIDs."""

    async def end(self, pod: PodObject, why: str) -> None:
        """See to it that nothing of a Pod runs any more, however long that takes."""
        uid = pod.metadata.uid
        if uid in self._ending:
            return
        self._ending.add(uid)
        try:
            what = f"end Pod {pod.metadata.namespace}/{pod.metadata.name}"
            await keep_trying(partial(self._try_to_end, pod, why), what, AGAIN)
        finally:
            self._ending.discard(uid)

    async def end_sidecars(self, pod: PodObject) -> None:
        """End a Pod whose task is over and whose other containers go on."""
        await asyncio.sleep(SIDECARS_END_WITHIN)
        now = self._now(pod)
        if now is not None and sidecars_run(now):
            await self.end(now, names.ENDED_FOR_SIDECARS)

    async def _try_to_end(self, pod: PodObject, why: str) -> None:
        """Raises KubeError."""
        metadata = pod.metadata
        try:
            if has_begun(pod) and await self._expire(pod, why):
                await asyncio.sleep((pod.spec.termination_grace_period_seconds or 0) + ENDS_WITHIN)
                now = self._now(pod)
                if now is None or has_stopped(now):
                    return
                log.warning("Pod %s/%s does not end: it is deleted", metadata.namespace, metadata.name)
            await self._writer.delete(PODS, metadata.namespace, metadata.name, uid=metadata.uid, priority=Priority.STOP)
        except ApiError as error:
            if not (error.is_not_found or error.is_conflict):
                raise

    async def _expire(self, pod: PodObject, why: str) -> bool:
        """Let the kubelet end a Pod. False where it may not be changed; KubeError."""
        metadata = pod.metadata
        if metadata.deletion_timestamp is not None or names.ANNOTATION_ENDED in metadata.annotations:
            return True
        body = {
            "metadata": {"uid": metadata.uid, "annotations": {names.ANNOTATION_ENDED: why}},
            "spec": {"activeDeadlineSeconds": 1},
        }
        try:
            await self._writer.patch(PODS, metadata.namespace, metadata.name, body, priority=Priority.STOP)
        except ApiError as error:
            if error.is_transient or error.is_not_found or error.is_conflict:
                raise
            log.warning("cannot end Pod %s/%s without deleting it: %s", metadata.namespace, metadata.name, error)
            return False
        return True

    def _now(self, pod: PodObject) -> PodObject | None:
        """A Pod as the cache has it; None if it is gone."""
        run_uid = next((owner.uid for owner in pod.metadata.owner_references if owner.kind == "DagRun"), "")
        now = self._cluster.pod(run_uid, pod.metadata.name)
        return now if now is not None and now.metadata.uid == pod.metadata.uid else None


def has_begun(pod: PodObject) -> bool:
    """Whether any container of a Pod has run, so that there is a log."""
    states = [each.state for each in (*pod.status.container_statuses, *pod.status.init_container_statuses)]
    return any(state.running is not None or state.terminated is not None for state in states)


def sidecars_run(pod: PodObject) -> bool:
    """Whether the task of a Pod is over and another container of it goes on."""
    containers = {each.name: each.state for each in pod.status.container_statuses}
    task = containers.get(names.TASK_CONTAINER)
    ended = task is not None and task.terminated is not None
    return ended and pod.metadata.deletion_timestamp is None and not has_stopped(pod)
