"""Stops Pods: a Pod that has started is stopped but not deleted, so that its log is kept as long as the Pod.

The kubelet stops a Pod whose activeDeadlineSeconds have expired, within its grace period, and keeps it. An annotation
has the reason: the next leader must not take it for a time limit of the task. A Pod that never started has no log and
is deleted; so is one that does not stop in time, since its node or kubelet may be gone.
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
"""Seconds after the grace period within which a working kubelet has stopped a Pod."""
AGAIN = 5.0
"""Seconds between attempts."""
SIDECARS_END_WITHIN = 5.0
"""Seconds in which sidecars may exit after the task's container has."""

SUPERSEDED = "Superseded"
"""The Pod's task was rerun, or marked."""
RUN_ENDED = "RunEnded"
"""The Pod's run is finished."""


class PodEnds:
    """Stops Pods, each at most once at a time."""

    def __init__(self, writer: Writer, cluster: Caches) -> None:
        self._writer, self._cluster = writer, cluster
        self._ending: set[str] = set()
        """UIDs of Pods that are being stopped."""

    async def end(self, pod: PodObject, why: str) -> None:
        """Stop a Pod; return when it has stopped or is deleted."""
        uid = pod.metadata.uid
        if uid in self._ending:
            return
        self._ending.add(uid)
        try:
            what = f"stop Pod {pod.metadata.namespace}/{pod.metadata.name}"
            await keep_trying(partial(self._try_to_end, pod, why), what, AGAIN)
        finally:
            self._ending.discard(uid)

    async def end_sidecars(self, pod: PodObject) -> None:
        """Stop a Pod whose task has exited while other containers still run."""
        await asyncio.sleep(SIDECARS_END_WITHIN)
        now = self._now(pod)
        if now is not None and sidecars_run(now):
            await self.end(now, names.ENDED_FOR_SIDECARS)

    async def _try_to_end(self, pod: PodObject, why: str) -> None:
        metadata = pod.metadata
        try:
            if has_started(pod) and await self._expire(pod, why):
                await asyncio.sleep((pod.spec.termination_grace_period_seconds or 0) + ENDS_WITHIN)
                now = self._now(pod)
                if now is None or has_stopped(now):
                    return
                log.warning("Pod %s/%s does not stop in time: deleting it", metadata.namespace, metadata.name)
            await self._writer.delete(PODS, metadata.namespace, metadata.name, uid=metadata.uid, priority=Priority.STOP)
        except ApiError as error:
            if not (error.is_not_found or error.is_conflict):
                raise

    async def _expire(self, pod: PodObject, why: str) -> bool:
        """Let the kubelet stop a Pod; return False if the Pod may not be changed. Raises KubeError."""
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
            log.warning("cannot stop Pod %s/%s: %s; deleting it", metadata.namespace, metadata.name, error)
            return False
        return True

    def _now(self, pod: PodObject) -> PodObject | None:
        """Return a Pod as the cache has it; None if it is deleted."""
        run_uid = next((owner.uid for owner in pod.metadata.owner_references if owner.kind == "DagRun"), "")
        now = self._cluster.pod(run_uid, pod.metadata.name)
        return now if now is not None and now.metadata.uid == pod.metadata.uid else None


def has_started(pod: PodObject) -> bool:
    """True if any container of a Pod has run, so that there is a log."""
    states = [each.state for each in (*pod.status.container_statuses, *pod.status.init_container_statuses)]
    return any(state.running is not None or state.terminated is not None for state in states)


def sidecars_run(pod: PodObject) -> bool:
    """True if the task's container has exited and another container of the Pod still runs."""
    containers = {each.name: each.state for each in pod.status.container_statuses}
    task = containers.get(names.TASK_CONTAINER)
    ended = task is not None and task.terminated is not None
    return ended and pod.metadata.deletion_timestamp is None and not has_stopped(pod)
