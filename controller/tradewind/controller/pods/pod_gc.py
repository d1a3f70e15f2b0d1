"""Cleans up Pods whose run is not scheduled any more: stops running ones, and removes Tradewind's finalizer."""

import asyncio
from functools import partial

from tradewind.api import names
from tradewind.cache.observation import has_stopped
from tradewind.cache.resources import DAGRUNS, PodObject
from tradewind.controller.pods.ends import RUN_ENDED, sidecars_run
from tradewind.controller.pods.tries import Tries
from tradewind.controller.term import Term
from tradewind.engine.run.state import RunState
from tradewind.kube.errors import ApiError
from tradewind.kube.persist import keep_trying

LOOK_AFTER = 2.0
"""Seconds before a Pod of an unknown run is handled: the run may be about to be loaded."""
AT_ONCE = 8
"""Runs that are handled at the same time."""


class PodGC:
    """Cleans up the Pods of finished runs."""

    def __init__(self, term: Term, tries: Tries) -> None:
        self._client, self._cluster, self._tries, self._spawn = term.client, term.cluster, tries, term.spawn
        self._looking: set[str] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)

    def consider(self, run_uid: str, pod: PodObject) -> None:
        """Handle a Pod of a run that is not loaded, if it runs or has our finalizer."""
        if _is_left(pod) and run_uid not in self._looking:
            self._looking.add(run_uid)
            again = partial(self._consider_all, run_uid)
            self._spawn(self._look(run_uid, pod), f"garbage Pods of {pod.metadata.labels.get(names.LABEL_RUN)}", again)

    def _consider_all(self, run_uid: str) -> None:
        for pod in list(self._cluster.pods.get(run_uid, {}).values()):
            self.consider(run_uid, pod)

    def run_finished(self, run: RunState) -> None:
        """Clean up the Pods of a run that finished."""
        self._consider_all(run.info.uid)

    async def _look(self, run_uid: str, pod: PodObject) -> None:
        name = pod.metadata.labels.get(names.LABEL_RUN, "")
        namespace = pod.metadata.namespace
        attempt, what = (
            partial(self._clear_up, namespace, name, run_uid),
            f"clean up the Pods of DagRun {namespace}/{name}",
        )
        pause, more = LOOK_AFTER, True
        try:
            while more:
                await asyncio.sleep(pause)
                pause = LOOK_AFTER * 5
                more = bool(await keep_trying(attempt, what, pause))
        finally:
            self._looking.discard(run_uid)

    async def _clear_up(self, namespace: str, name: str, run_uid: str) -> bool:
        """Return True if Pods are left to clean up later. Raises KubeError."""
        async with self._slots:
            if not await self._is_finished(namespace, name, run_uid):
                return False
            await self._clear_up_pods(run_uid)
        # More Pods may have appeared meanwhile.
        return any(_is_left(left) for left in self._cluster.pods.get(run_uid, {}).values())

    async def _clear_up_pods(self, run_uid: str) -> None:
        for left in list(self._cluster.pods.get(run_uid, {}).values()):
            if self._cluster.is_active(run_uid):
                return  # it runs again
            if not has_stopped(left) and left.metadata.deletion_timestamp is None:
                why = names.ENDED_FOR_SIDECARS if sidecars_run(left) else RUN_ENDED
                self._spawn(self._tries.ends.end(left, why), f"end {left.metadata.name}")
            await self._tries.release(left)

    async def _is_finished(self, namespace: str, name: str, uid: str) -> bool:
        try:
            run = await self._client.get(DAGRUNS, namespace, name)
        except ApiError as error:
            if error.is_not_found:
                return True
            raise
        return run["metadata"]["uid"] != uid or run.get("status", {}).get("phase") in ("Succeeded", "Failed")


def _is_left(pod: PodObject) -> bool:
    """True if a Pod of a finished run must be cleaned up: it runs, or it has our finalizer."""
    runs = not has_stopped(pod) and pod.metadata.deletion_timestamp is None
    return runs or names.FINALIZER_RESULT in pod.metadata.finalizers
