"""Which revision of its Dag a run goes by, and what the engine is told of the run."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from tradewind.api import names
from tradewind.api.backfill import BackfillTimetable
from tradewind.api.dagrun import DagRunSpec
from tradewind.api.times import parse_time
from tradewind.api.validation.params import with_defaults
from tradewind.api.validation.problem import Problem
from tradewind.api.validation.shape import parse
from tradewind.cache.cluster import Cluster
from tradewind.cache.resources import DagObject, DagRunObject
from tradewind.controller.dags.revisions import BadRevision, Revision, Revisions
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.schedule.data_interval import inferred_interval
from tradewind.engine.status.check import UnusableStatus, check_status
from tradewind.engine.timetables import Timetable, joined_timetable
from tradewind.kube.objects import Key


class Waiting(Exception):  # noqa: N818 - not an error: the run waits
    """The run cannot start yet; the message goes into its status."""

    def __init__(self, reason: str, message: str, dag: Key | None = None) -> None:
        """`dag` is what it waits for, if that may come."""
        super().__init__(message)
        self.reason, self.dag = reason, dag


class RunVersions:
    """Finds the revision of a run."""

    def __init__(
        self, cluster: Cluster, revisions: Revisions, *, accepted_hash: Callable[[DagObject], Awaitable[str]]
    ) -> None:
        self._cluster, self._revisions, self._accepted_hash = cluster, revisions, accepted_hash

    async def of(self, found: DagRunObject, spec: DagRunSpec, status: Mapping[str, Any]) -> Revision:
        """The revision that the run is pinned to: by status, by its Pods, by its spec, or the Dag as it is now. Raises
        Waiting, also for a status that nobody can go on from."""
        try:
            check_status(status)
        except UnusableStatus as error:
            fix = "put right what was edited, or delete the run"
            raise Waiting("StatusUnusable", f"waits: its status cannot be used: {error}; {fix}") from error
        pinned = _pinned(status)
        if not pinned:
            for pod in self._cluster.pods.get(found.metadata.uid, {}).values():
                pinned = pod.metadata.annotations.get(names.ANNOTATION_REVISION) or pinned
        pinned = pinned or spec.revision
        if not pinned:
            return await self.latest(found.metadata.namespace, spec.dag)
        try:
            return await self._revisions.get(found.metadata.namespace, pinned, spec.dag)
        except BadRevision as error:
            raise Waiting("RevisionUnusable", str(error)) from error

    async def latest(self, namespace: str, name: str) -> Revision:
        """The Dag as it is now. Raises Waiting."""
        dag = self._cluster.dags.get((namespace, name))
        if dag is None:
            message = f"waits: there is no Dag {name!r} in namespace {namespace!r}"
            raise Waiting("DagNotFound", message, (namespace, name))
        if dag.metadata.deletion_timestamp:
            raise Waiting("DagDeleting", f"waits: Dag {name!r} is being deleted", (namespace, name))
        message = f"waits: Dag {name!r} is not accepted; see its condition Accepted"
        # By all of it, as the condition says: not only by what its runs depend on.
        if not (content := await self._accepted_hash(dag)):
            raise Waiting("DagNotAccepted", message, (namespace, name))
        try:
            return await self._revisions.keep(dag, content)
        except BadRevision as error:
            raise Waiting("DagNotAccepted", message, (namespace, name)) from error

    def info(
        self, found: DagRunObject, spec: DagRunSpec, status: Mapping[str, Any], revision: Revision, now: datetime
    ) -> RunInfo:
        """What does not change about a run while it goes by this revision."""
        metadata = found.metadata
        created = parse_time(metadata.creation_timestamp) or now
        logical = spec.logical_date or created
        start, end = self._interval(metadata.namespace, spec, status, logical)
        return RunInfo(
            namespace=metadata.namespace,
            name=metadata.name,
            uid=metadata.uid,
            dag=spec.dag,
            type=spec.type,
            logical_date=logical,
            interval_start=start,
            interval_end=end,
            params=with_defaults(revision.spec.params or {}, spec.params or {}),
            revision=revision.name,
            created_at=created,
            backfill=metadata.labels.get(names.LABEL_BACKFILL),
            backfill_uid=metadata.annotations.get(names.ANNOTATION_BACKFILL_UID),
        )

    def _interval(
        self, namespace: str, spec: DagRunSpec, status: Mapping[str, Any], logical: datetime
    ) -> tuple[datetime, datetime]:
        """What the run says, or what was inferred when it was first looked at: the Dag may have another schedule by
        now."""
        if spec.data_interval:
            return spec.data_interval.start, spec.data_interval.end
        kept = status.get("dataInterval") or {}
        start, end = parse_time(kept.get("start")), parse_time(kept.get("end"))
        if start and end:
            return start, end
        return inferred_interval(_timetable(self._cluster.dags.get((namespace, spec.dag))), logical)


def parse_spec(found: DagRunObject) -> tuple[DagRunSpec | None, list[Problem]]:
    """What a run says of itself, what is asked of it left out: a broken request must not stop the run."""
    return parse(DagRunSpec, {name: value for name, value in found.spec.items() if name != "request"})


def _timetable(dag: DagObject | None) -> Timetable | None:
    """Of the Dag as it is now; None also where its schedule cannot be read: the run may go by an older revision."""
    made = parse_time(dag.metadata.creation_timestamp) if dag else None
    if dag is None or made is None:
        return None
    said = dag.schedule
    schedules = said.schedules if said.schedule is None else [said.schedule]
    found, _ = parse(
        BackfillTimetable,
        {
            "schedules": schedules or [],
            "timeZone": said.time_zone,
            "start": said.start_date or dag.metadata.creation_timestamp,
        },
    )
    try:
        return joined_timetable(found.schedules, found.time_zone, found.start, made) if found else None
    except ValueError:
        return None


def _pinned(status: Mapping[str, Any]) -> str | None:
    """The revision by status of a run that has begun, though it may wait to begin again since a request."""
    asked = any(request["state"] == "Applied" for request in status.get("requests") or ())
    revision: str | None = status.get("revision") if asked or status.get("startedAt") else None
    return revision
