"""Writes to runs that are not scheduled yet: their labels and owner, why they wait, or that they cannot start."""

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from tradewind import logs
from tradewind.api.ownership import adoption
from tradewind.api.validation import Problem, summary
from tradewind.cache.finished_runs import finished_run
from tradewind.cache.resources import DAGRUNS, DagRunObject
from tradewind.controller.runs.events import RunEvents
from tradewind.controller.runs.versions import RunPending
from tradewind.controller.term import Term, regarding
from tradewind.engine.run.states import RunPhase
from tradewind.engine.status.run_status import INTERNAL_ERROR, failed_before_start
from tradewind.kube.clock import whole_second
from tradewind.kube.errors import ApiError
from tradewind.kube.objects import Key

log = logging.getLogger(__name__)


class UnscheduledRuns:
    """Writes to runs that are not scheduled, with the resourceVersion that was read."""

    def __init__(
        self,
        term: Term,
        events: RunEvents,
        *,
        in_turn: Callable[[Key], AbstractAsyncContextManager[Any]],
    ) -> None:
        self._client, self._writer, self._cluster = term.client, term.writer, term.cluster
        self._recorder, self._clock = term.recorder, term.clock
        self._events, self._in_turn = events, in_turn

    async def claim(self, key: Key, found: DagRunObject, dag_name: str) -> None:
        """Add the labels and the owner that runs of schedules have from the start to a run that a user created."""
        dag = self._cluster.dags.get((key[0], dag_name))
        if dag is None:
            return
        metadata = found.metadata
        owned = bool(metadata.owner_references)
        patch = adoption(metadata.labels, owned=owned, dag=dag_name, dag_uid=dag.metadata.uid)
        if not patch:
            return
        # With the version that was read, since the status that was read with it is written later.
        body = {"metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version, **patch}}
        try:
            answer = await self._writer.patch(DAGRUNS, key[0], key[1], body)
        except ApiError as error:
            if not (error.is_not_found or error.is_invalid):
                raise
        else:
            metadata.resource_version = answer["metadata"]["resourceVersion"]

    async def say_waiting(self, key: Key, found: DagRunObject, waiting: RunPending) -> None:
        status = found.decoded_status()
        if (status.get("reason"), status.get("message")) == (waiting.reason, str(waiting)):
            return
        body = {"phase": status.get("phase", "Queued"), "reason": waiting.reason, "message": str(waiting)}
        await self._patch_status(key, found, body)

    async def say_failed(self, key: Key, found: DagRunObject, error: Exception) -> None:
        """Write that a run cannot be loaded because of an internal error; loading it is retried."""
        waiting = RunPending(INTERNAL_ERROR, f"waiting: the run cannot be loaded: {type(error).__name__}: {error}")
        self._recorder.record(regarding("DagRun", *key, found.metadata.uid), "Warning", waiting.reason, str(waiting))
        await self.say_waiting(key, found, waiting)

    async def reject(self, key: Key, found: DagRunObject, problems: list[Problem]) -> None:
        """Finish a run that can never start as Failed; it counts as a failed run."""
        ended_at = whole_second(self._clock.now())
        reason, message = problems[0].reason, summary(problems)
        async with self._in_turn((key[0], found.dag)):
            version = await self._patch_status(key, found, failed_before_start(reason, message, ended_at))
        if version is not None:
            log.info("DagRun %s/%s is refused: %s", *key, message, extra=logs.about(key[0], dag=found.dag, run=key[1]))
            self._recorder.record(regarding("DagRun", *key, found.metadata.uid), "Warning", reason, message)
            self._events.run_refused(finished_run(found, RunPhase.FAILED, ended_at, version, started=False))

    async def _patch_status(self, key: Key, found: DagRunObject, status: dict[str, Any]) -> int | None:
        """Write the status and return the resourceVersion; None if the run was deleted. Raises KubeError, after a
        conflict too: the run must be read again."""
        status = {"observedGeneration": found.metadata.generation, **status}
        body = {"metadata": {"resourceVersion": found.metadata.resource_version}, "status": status}
        try:
            answer = await self._writer.patch(DAGRUNS, key[0], key[1], body, subresource="status")
        except ApiError as error:
            if error.is_not_found:
                return None
            if not error.is_conflict:
                raise
            # The first of several attempts may have succeeded although its response was lost.
            answer = await self._client.get(DAGRUNS, *key)
            if not status.items() <= (answer.get("status") or {}).items():
                raise
        return int(answer["metadata"]["resourceVersion"])
