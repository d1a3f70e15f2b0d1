"""The DagRuns of one Backfill: finds existing ones, creates new ones and requests reruns."""

import asyncio
from collections.abc import Iterable
from typing import Any

from tradewind.api import names
from tradewind.api.backfill import BackfillSpec
from tradewind.cache.resources import DAGRUNS
from tradewind.controller.backfills.interruptions import Requeue
from tradewind.controller.dags import tick_runs
from tradewind.controller.dags.scheduled_runs import will_be_deleted
from tradewind.controller.term import Term
from tradewind.engine.run.states import FINISHED_PHASES
from tradewind.engine.schedule.backfill import ExistingRun, Step
from tradewind.kube.errors import ApiError
from tradewind.kube.objects import Key

LIST_AGAIN = 300.0
"""Seconds for which a list of the Dag's finished runs is used. It only says which ticks have runs: that a tick has none
is found out by creating one."""
WAIT_FOR_DELETION = 2.0
"""Seconds between checks whether a run is deleted."""


class TickRuns:
    """The runs that have the name of a tick's run."""

    def __init__(self, key: Key, uid: str, term: Term) -> None:
        self._namespace, self._backfill = key
        self._uid = uid
        self._dag_uid = ""
        self._client, self._writer, self._cluster, self._clock = term.client, term.writer, term.cluster, term.clock
        self._finished: dict[str, ExistingRun] = {}
        self._listed_at: float | None = None

    # Existing runs ------------------------------------------------------------------------------------------------

    def existing(self, name: str) -> ExistingRun | None:
        """Return the run with this name: from the cache while it is not finished, else from the last list."""
        run = self._cluster.runs.get((self._namespace, name))
        if run is None:
            return self._finished.get(name)
        owners = [owner.uid for owner in run.metadata.owner_references if owner.kind == "Dag"]
        if run.metadata.deletion_timestamp or will_be_deleted(owners, self._dag_uid, deleting=False):
            return None
        ours = run.metadata.annotations.get(names.ANNOTATION_BACKFILL_UID) == self._uid
        return ExistingRun(str(run.decoded_status().get("phase") or "Queued"), ours)

    def is_active(self, name: str) -> bool:
        """True if the cache has an unfinished run with this name."""
        return (self._namespace, name) in self._cluster.runs

    def forget(self) -> None:
        """Discard the list of finished runs: it may be out of date."""
        self._finished, self._listed_at = {}, None

    async def list_finished(self, dag: str, dag_uid: str) -> None:
        """List the finished runs of the Dag, unless the last list is recent. Runs that are being deleted, or that
        belong to an earlier Dag, are left out."""
        if dag_uid != self._dag_uid:
            self.forget()
            self._dag_uid = dag_uid
        now = self._clock.monotonic()
        if self._listed_at is not None and now - self._listed_at < LIST_AGAIN:
            return
        found: dict[str, ExistingRun] = {}
        for phase in FINISHED_PHASES:
            selector = f"spec.dag={dag},status.phase={phase}"
            for run in await self._client.list(DAGRUNS, self._namespace, field_selector=selector, partial=True):
                if not self._will_be_deleted(run):
                    found[run["metadata"]["name"]] = ExistingRun(phase, self._is_ours(run))
        self._finished, self._listed_at = found, now

    async def final_phases(self, runs: Iterable[str]) -> dict[str, str | None]:
        """Return the phases of those `runs` that are finished; None for deleted ones."""
        wanted = list(runs)
        found = await asyncio.gather(*(self._get(name) for name in wanted))
        phases: dict[str, str | None] = {}
        for name, run in zip(wanted, found, strict=True):
            if run is None:
                phases[name] = None
            elif (phase := self._final_phase(run)) is not None:
                phases[name] = phase
        return phases

    def _final_phase(self, run: dict[str, Any]) -> str | None:
        """Return the final phase of a run; None while it is not finished, or a rerun is still requested."""
        status = run.get("status") or {}
        pending = (run["spec"].get("request") or {}).get("id") == self._request_id
        if pending or status.get("phase") not in FINISHED_PHASES:
            return None
        for request in status.get("requests") or ():
            if request["id"] == self._request_id and request["state"] == "Rejected":
                return "Failed"
        return str(status["phase"])

    # Writes -------------------------------------------------------------------------------------------------------

    async def create(self, step: Step, spec: BackfillSpec, dag_uid: str) -> bool:
        """Create the run of a tick; return False if it exists. Raises Requeue while an old one is being deleted."""
        body = tick_runs.manifest(
            self._namespace,
            spec.dag,
            dag_uid,
            step.tick,
            "Backfill",
            labels={names.LABEL_BACKFILL: self._backfill},
            annotations={names.ANNOTATION_BACKFILL_UID: self._uid},
            params=spec.params,
        )
        try:
            await self._writer.create(DAGRUNS, self._namespace, body)
        except ApiError as error:
            if not error.is_already_exists:
                raise
            await self._look_up(step.run, spec.dag)
            return False
        return True

    async def rerun(self, step: Step, spec: BackfillSpec) -> bool:
        """Request a rerun; return False if the run has changed since that was decided."""
        run = await self._get(step.run)
        ended = run is not None and (run.get("status") or {}).get("phase") in FINISHED_PHASES
        if run is None or not ended or run["spec"].get("request"):
            await self._look_up(step.run, spec.dag)
            return False
        body = {
            "metadata": {
                "resourceVersion": run["metadata"]["resourceVersion"],
                "labels": {names.LABEL_BACKFILL: self._backfill},
                "annotations": {names.ANNOTATION_BACKFILL_UID: self._uid},
            },
            "spec": {
                "request": {
                    "id": self._request_id,
                    "type": "Rerun",
                    "requestedBy": f"Backfill {self._backfill}",
                    # With the current Dag, as the runs that are created.
                    "revision": "Latest",
                    "message": step.reason,
                }
            },
        }
        try:
            await self._writer.patch(DAGRUNS, self._namespace, step.run, body)
        except ApiError as error:
            if not (error.is_conflict or error.is_not_found):
                raise
            await self._look_up(step.run, spec.dag)
            return False
        return True

    async def _look_up(self, name: str, dag: str) -> None:
        """Read the run with this name and remember its phase. Raises Requeue while it is being deleted."""
        run = await self._get(name)
        if run is None or self._will_be_deleted(run):
            # The name is free, or will be.
            self._finished.pop(name, None)
            message = f"waiting until DagRun {name!r} is deleted"
            raise Requeue("OldRun", message if run else "", retry_after=WAIT_FOR_DELETION)
        phase = str((run.get("status") or {}).get("phase") or "Queued")
        if run["spec"].get("request") and phase in FINISHED_PHASES:
            phase = "about to be rerun"
        other = run["spec"].get("dag")
        self._finished[name] = ExistingRun(phase, self._is_ours(run), other if other != dag else None)

    def _will_be_deleted(self, run: dict[str, Any]) -> bool:
        metadata = run["metadata"]
        owners = [owner["uid"] for owner in metadata.get("ownerReferences") or () if owner["kind"] == "Dag"]
        return "deletionTimestamp" in metadata or will_be_deleted(owners, self._dag_uid, deleting=False)

    @property
    def _request_id(self) -> str:
        return f"backfill-{self._uid}"

    def _is_ours(self, run: dict[str, Any]) -> bool:
        return bool(run["metadata"].get("annotations", {}).get(names.ANNOTATION_BACKFILL_UID) == self._uid)

    async def _get(self, name: str) -> dict[str, Any] | None:
        try:
            return await self._client.get(DAGRUNS, self._namespace, name)
        except ApiError as error:
            if error.is_not_found:
                return None
            raise
