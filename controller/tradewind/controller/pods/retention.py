"""Deletes the Pods of finished runs after podRetention.

There may be a hundred thousand such runs: each is an entry in a heap until then, whether this leader saw it finish or
found its Pods when it took over; one asyncio task follows the heap. A run without Pods is forgotten.
"""

import asyncio
import contextlib
import heapq
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from tradewind.api import names
from tradewind.api.duration import parse_duration
from tradewind.api.resolve import DEFAULT_POD_RETENTION
from tradewind.api.times import parse_time
from tradewind.cache.observation import observe
from tradewind.cache.resources import DAGRUNS, PodObject
from tradewind.controller.term import Term
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import FINISHED_PHASES
from tradewind.kube.errors import ApiError, KubeError, SteppedDown
from tradewind.kube.resources import PODS
from tradewind.kube.writer import NotWanted

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Runs whose Pods are deleted at the same time."""
TRY_AGAIN = timedelta(seconds=10)
LOOK_AGAIN = 30.0
"""Seconds after which the clock is read again, in case it was set."""


@dataclass(frozen=True, slots=True)
class _Appointment:
    """When the Pods of a run are to be deleted, as far as it is known."""

    due: datetime
    namespace: str
    run: str
    retention: timedelta


class Retention:
    """Deletes the Pods of finished runs when they are due."""

    def __init__(self, term: Term) -> None:
        self._client, self._writer, self._cluster = term.client, term.writer, term.cluster
        self._spawn, self._clock = term.spawn, term.clock
        self._known: dict[str, _Appointment] = {}
        self._heap: list[tuple[datetime, str]] = []
        self._news = asyncio.Event()
        self._slots = asyncio.Semaphore(AT_ONCE)

    def __len__(self) -> int:
        return len(self._known)

    def run_finished(self, run: RunState) -> None:
        """Schedule the deletion of a run's Pods."""
        retention = _duration(run.dag.spec.pod_retention)
        if retention is not None:
            due = (run.finished_at or self._clock.now()) + retention
            self._add(run.info.uid, _Appointment(due, run.info.namespace, run.info.name, retention))

    def found(self, run_uid: str, pods: list[PodObject]) -> None:
        """Schedule the deletion of Pods that this leader found at its takeover, of a run that is not active. The run's
        finish time is read when they may be due: podRetention after the last Pod finished, at the earliest."""
        labels, namespace = pods[0].metadata.labels, pods[0].metadata.namespace
        dag = self._cluster.dags.get((namespace, labels.get(names.LABEL_DAG, "")))
        retention = _duration(dag.facts.pod_retention) if dag is not None else None
        if retention is not None and run_uid not in self._known:
            last = max(filter(None, map(_ended, pods)), default=self._clock.now())
            name = labels.get(names.LABEL_RUN, "")
            self._add(run_uid, _Appointment(last + retention, namespace, name, retention))

    def pods_gone(self, run_uid: str) -> None:
        """Forget a run without Pods."""
        self._known.pop(run_uid, None)

    def run_reopened(self, run_uid: str) -> None:
        """Forget a run that was reopened: its Pods are kept until podRetention after it finishes again."""
        self._known.pop(run_uid, None)

    async def keep(self) -> None:
        """Delete Pods when they are due, until cancelled."""
        while True:
            now = self._clock.now()
            while self._heap and self._heap[0][0] <= now:
                due, uid = heapq.heappop(self._heap)
                appointment = self._known.get(uid)
                if appointment is not None and appointment.due == due:
                    await self._slots.acquire()
                    again = partial(self._add, uid, appointment)
                    self._spawn(self._delete_due(uid, appointment), f"Pods of {appointment.run}", again)
            self._news.clear()
            seconds = (self._heap[0][0] - now).total_seconds() if self._heap else LOOK_AGAIN
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(LOOK_AGAIN, max(0.0, seconds))):
                    await self._news.wait()

    def _add(self, uid: str, appointment: _Appointment) -> None:
        self._known[uid] = appointment
        heapq.heappush(self._heap, (appointment.due, uid))
        if len(self._heap) > 2 * len(self._known) + 16:
            self._heap = [(known.due, uid) for uid, known in self._known.items()]
            heapq.heapify(self._heap)
        self._news.set()

    async def _delete_due(self, uid: str, appointment: _Appointment) -> None:
        try:
            due = await self._delete_pods(uid, appointment)
        except SteppedDown:
            return
        except KubeError as error:  # no keep_trying: it would hold one of few slots; the heap retries
            message = "cannot delete the Pods of DagRun %s/%s: %s; retrying in %g s"
            log.warning(message, appointment.namespace, appointment.run, error, TRY_AGAIN.total_seconds())
            due = self._clock.now() + TRY_AGAIN
        finally:
            self._slots.release()
        if self._known.get(uid) is not appointment:
            return  # it was rerun and finished again meanwhile
        if due is None:
            del self._known[uid]
        else:
            self._add(uid, _Appointment(due, appointment.namespace, appointment.run, appointment.retention))

    async def _delete_pods(self, uid: str, appointment: _Appointment) -> datetime | None:
        """Delete the Pods of a run if they are due. Return the time of the next attempt; None if none is needed."""
        namespace, name = appointment.namespace, appointment.run
        if uid not in self._cluster.pods:
            return None
        later = self._clock.now() + TRY_AGAIN
        if self._cluster.is_active(uid):
            # Its final status is written, but the watch has not delivered it yet.
            return later
        try:
            found = await self._client.get(DAGRUNS, namespace, name)
        except ApiError as error:
            if error.is_not_found:
                return None  # its Pods are deleted with it
            raise
        finished_at = _finished_at(found)
        if found["metadata"]["uid"] != uid or finished_at is None:
            return None
        due = finished_at + appointment.retention
        if due > self._clock.now():
            return due
        # It may be rerun at any moment: then its new Pods must not be deleted.
        try:
            await self._writer.delete_collection(
                PODS,
                namespace,
                label_selector=f"{names.LABEL_RUN}={name}",
                wanted=lambda: not self._cluster.is_active(uid),
            )
        except NotWanted:
            return later
        return None


def _duration(text: Any) -> timedelta | None:
    """Parse podRetention; None if the Dag's value is invalid."""
    try:
        return parse_duration(DEFAULT_POD_RETENTION if text is None else str(text))
    except ValueError:
        return None


def _ended(pod: PodObject) -> datetime | None:
    report = observe(pod, gone=False)
    return (report.finished_at if report is not None else None) or pod.status.start_time


def _finished_at(run: dict[str, Any]) -> datetime | None:
    status = run.get("status") or {}
    if status.get("phase") not in FINISHED_PHASES:
        return None
    try:
        return parse_time(status.get("finishedAt"))
    except (TypeError, ValueError):
        return None
