"""The revision of its Dag that a run uses, and the facts about the run for the engine."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from tradewind.api import names
from tradewind.api.backfill import BackfillTimetable
from tradewind.api.dagrun import DagRunSpec
from tradewind.api.times import parse_time
from tradewind.api.validation.problem import Problem
from tradewind.api.validation.shape import parse
from tradewind.cache.caches import Caches
from tradewind.cache.resources import DagObject, DagRunObject
from tradewind.controller.dags.revisions import BadRevision, Revision, Revisions
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.schedule.data_interval import inferred_interval
from tradewind.engine.status.check import UnusableStatus, check_status
from tradewind.engine.status.run_facts import pinned_revision, run_info
from tradewind.engine.timetables import Timetable, joined_timetable
from tradewind.kube.objects import Key

DAG_NOT_FOUND = "DagNotFound"
DAG_DELETING = "DagDeleting"
DAG_NOT_ACCEPTED = "DagNotAccepted"
REVISION_UNUSABLE = "RevisionUnusable"
WAITS_FOR_DAG = frozenset({DAG_NOT_FOUND, DAG_DELETING, DAG_NOT_ACCEPTED, REVISION_UNUSABLE})
"""Reasons of a run that is not loaded because it has no usable Dag."""


class RunPending(Exception):  # noqa: N818 - not an error: the run waits
    """The run cannot start yet; the message goes into its status."""

    def __init__(self, reason: str, message: str, dag: Key | None = None) -> None:
        """`dag` is the Dag that it waits for, if any."""
        super().__init__(message)
        self.reason, self.dag = reason, dag


class RunVersions:
    """Finds the revision of a run."""

    def __init__(
        self, cluster: Caches, revisions: Revisions, *, accepted_hash: Callable[[DagObject], Awaitable[str]]
    ) -> None:
        self._cluster, self._revisions, self._accepted_hash = cluster, revisions, accepted_hash

    async def of(self, found: DagRunObject, spec: DagRunSpec, status: Mapping[str, Any]) -> Revision:
        """Return the revision that the run is pinned to by its status, its Pods or its spec, else the current one.
        Raises RunPending, also if the status is not usable."""
        try:
            check_status(status)
        except UnusableStatus as error:
            fix = "correct what was edited, or delete the run"
            raise RunPending("StatusUnusable", f"waiting: the status is not usable: {error}; {fix}") from error
        pinned = pinned_revision(status)
        if not pinned:
            for pod in self._cluster.pods.get(found.metadata.uid, {}).values():
                pinned = pod.metadata.annotations.get(names.ANNOTATION_REVISION) or pinned
        pinned = pinned or spec.revision
        if not pinned:
            return await self.latest(found.metadata.namespace, spec.dag)
        try:
            return await self._revisions.get(found.metadata.namespace, pinned, spec.dag)
        except BadRevision as error:
            raise RunPending(REVISION_UNUSABLE, str(error)) from error

    async def latest(self, namespace: str, name: str) -> Revision:
        """Return the revision of the current Dag. Raises RunPending."""
        dag = self._cluster.dags.get((namespace, name))
        if dag is None:
            message = f"waiting: no Dag named {name!r} in namespace {namespace!r}"
            raise RunPending(DAG_NOT_FOUND, message, (namespace, name))
        if dag.metadata.deletion_timestamp:
            raise RunPending(DAG_DELETING, f"waiting: Dag {name!r} is being deleted", (namespace, name))
        message = f"waiting: Dag {name!r} is not accepted; see its condition Accepted"
        # The whole Dag must be valid, as for its condition, not only the fields that runs depend on.
        if not (content := await self._accepted_hash(dag)):
            raise RunPending(DAG_NOT_ACCEPTED, message, (namespace, name))
        try:
            return await self._revisions.keep(dag, content)
        except BadRevision as error:
            raise RunPending(DAG_NOT_ACCEPTED, message, (namespace, name)) from error

    def info(
        self, found: DagRunObject, spec: DagRunSpec, status: Mapping[str, Any], revision: Revision, now: datetime
    ) -> RunInfo:
        """Return the facts about a run that do not change while it uses this revision."""
        metadata = found.metadata
        dag = self._cluster.dags.get((metadata.namespace, spec.dag))
        return run_info(
            metadata.namespace,
            metadata.name,
            metadata.uid,
            parse_time(metadata.creation_timestamp) or now,
            spec,
            status,
            labels=metadata.labels,
            annotations=metadata.annotations,
            param_schemas=revision.spec.params,
            revision=revision.name,
            infer_interval=lambda logical: inferred_interval(_timetable(dag), logical),
        )


def parse_spec(found: DagRunObject) -> tuple[DagRunSpec | None, list[Problem]]:
    """Parse the spec of a run without its request: an invalid request must not stop the run."""
    return parse(DagRunSpec, {name: value for name, value in found.spec.items() if name != "request"})


def _timetable(dag: DagObject | None) -> Timetable | None:
    """Return the timetable of the current Dag; None if there is no Dag or its schedule is invalid, as may be the case
    if the run uses an older revision."""
    created_at = parse_time(dag.metadata.creation_timestamp) if dag else None
    if dag is None or created_at is None:
        return None
    facts = dag.schedule
    schedules = facts.schedules if facts.schedule is None else [facts.schedule]
    found, _ = parse(
        BackfillTimetable,
        {
            "schedules": schedules or [],
            "timeZone": facts.time_zone,
            "start": facts.start_date or dag.metadata.creation_timestamp,
        },
    )
    try:
        return joined_timetable(found.schedules, found.time_zone, found.start, created_at) if found else None
    except ValueError:
        return None
