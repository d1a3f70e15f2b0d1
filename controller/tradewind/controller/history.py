"""How many finished runs of a Dag there are, and the deletion of those that are too many.

Finished runs are not watched. Their number is counted once, when this replica starts to lead, and from then on as runs
end; only a Dag that seems to have too many is looked at closely.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tradewind.api import names
from tradewind.api.backfill import UNFINISHED_PHASES
from tradewind.api.dag import DagSpec
from tradewind.api.resolve import DEFAULT_HISTORY_LIMIT
from tradewind.api.shards import ONLY_SHARD, Shard
from tradewind.controller.resources import DAGRUNS, BackfillObject, DagRunObject, backfill_of
from tradewind.controller.revisions import Revisions
from tradewind.engine.backfill import is_recorded
from tradewind.engine.ended_run import EndedRun
from tradewind.engine.history import FinishedRun, surplus_runs
from tradewind.engine.states import RunPhase
from tradewind.engine.task_instance import parse_time
from tradewind.kube.client import KubeClient
from tradewind.kube.clock import Clock
from tradewind.kube.errors import ApiError, KubeError
from tradewind.kube.lease import NotLeader
from tradewind.kube.objects import Key
from tradewind.kube.resources import CONTROLLERREVISIONS
from tradewind.kube.writer import Writer, WriterStopped

log = logging.getLogger(__name__)

PHASES = ("Succeeded", "Failed")
REVISIONS_KEPT = 10
"""Revisions of a Dag beyond which those that no run uses are deleted."""
TRY_AGAIN = 30.0


class History:
    """Finished runs, by Dag and phase.

    The limits count for the runs of each Backfill apart, while that exists: else one Backfill would push all other runs
    of its Dag out.
    """

    def __init__(
        self,
        client: KubeClient,
        writer: Writer,
        scopes: tuple[str | None, ...],
        revisions: Revisions,
        *,
        part: Shard = ONLY_SHARD,
        backfills: Mapping[Key, BackfillObject],
        requested: Mapping[Key, DagRunObject],
        spawn: Callable[[Any, str], asyncio.Task[None]],
        clock: Clock,
    ) -> None:
        """Of `requested` runs something is asked: they stay until it is carried out."""
        self.counts: Counter[tuple[Key, str]] = Counter()
        self._groups: defaultdict[Key, Counter[tuple[str, str]]] = defaultdict(Counter)
        """The same for each Dag by Backfill (or "") and phase, or more: never less."""
        self._backfills, self._requested = backfills, requested
        self._client, self._writer, self._scopes, self._revisions = client, writer, scopes, revisions
        self._part = part
        self._spawn, self._clock = spawn, clock
        self._pruning: dict[Key, DagSpec | None] = {}
        """Dags that are being pruned; the spec if that was asked for again meanwhile."""

    async def count(self, versions: Mapping[Key, int]) -> tuple[list[Key], dict[Key, list[str]]]:
        """Count what there is. The Dags that have finished runs, and for those in `versions`, resourceVersions, the
        names of the runs that were written since: all that have ended since are among them."""
        self.counts.clear()
        self._groups.clear()
        later: dict[Key, list[str]] = {}
        for scope in self._scopes:
            for phase in PHASES:
                for metadata in await self._finished(scope, phase):
                    dag = metadata.get("labels", {}).get(names.LABEL_DAG)
                    if dag:
                        key = (metadata["namespace"], dag)
                        self.counts[key, phase] += 1
                        self._groups[key][self._backfill(metadata), phase] += 1
                        if key in versions and int(metadata["resourceVersion"]) > versions[key]:
                            later.setdefault(key, []).append(metadata["name"])
        return list({key for key, _ in self.counts}), later

    async def _finished(self, scope: str | None, phase: str) -> list[dict[str, Any]]:
        """Metadata of the runs that have ended like that."""
        runs: list[dict[str, Any]] = []
        try:
            for labels in self._part.selectors() if scope is None else ("",):
                runs += await self._client.list(
                    DAGRUNS, scope, label_selector=labels, field_selector=f"status.phase={phase}", partial=True
                )
        except ApiError as error:
            if scope is None or not error.is_forbidden:
                raise
            # Our rights in a namespace go with it; the others are to be counted all the same.
            log.warning("cannot count the finished runs in namespace %s: %s", scope, error)
            return []
        return [run["metadata"] for run in runs if self._part.owns(run["metadata"]["namespace"])]

    async def ended_runs(self, dag: Key, run_names: Iterable[str]) -> list[EndedRun]:
        """How runs of a Dag have ended; those that have not, or are gone, are left out."""
        ended = []
        for name in run_names:
            try:
                run = await self._client.get(DAGRUNS, dag[0], name)
            except ApiError as error:
                if not error.is_not_found:
                    raise
                continue
            status, finished_at = run.get("status") or {}, parse_time((run.get("status") or {}).get("finishedAt"))
            if status.get("phase") in PHASES and finished_at is not None:
                phase, run_type = RunPhase(status["phase"]), run["spec"].get("type", "Manual")
                version, started = int(run["metadata"]["resourceVersion"]), bool(status.get("startedAt"))
                ended.append(EndedRun(*dag, name, run_type, phase, finished_at, version, started=started))
        return ended

    def finished(self, dag: Key, phase: RunPhase, backfill: str | None = None) -> None:
        """One more run of a Dag has ended."""
        self.counts[dag, phase.value] += 1
        group = backfill if backfill and (dag[0], backfill) in self._backfills else ""
        self._groups[dag][group, phase.value] += 1

    def reopened(self, dag: Key, phase: str) -> None:
        """A run that had ended so has not any more."""
        # Not in its group: it may have been counted with the Dag's own or with those of another Backfill, and the last
        # look at them may have left it out already. Better one too many, which the next look puts right, than too few.
        self.counts[dag, phase] = max(0, self.counts[dag, phase] - 1)

    def forget(self, dag: Key) -> None:
        """The Dag is gone, and its runs with it."""
        for phase in PHASES:
            self.counts.pop((dag, phase), None)
        self._groups.pop(dag, None)

    def backfill_gone(self, backfill: Key) -> None:
        """A Backfill was deleted: what is left of its runs counts with those of its Dag."""
        for dag, groups in self._groups.items():
            if dag[0] == backfill[0]:
                for phase in PHASES:
                    groups["", phase] += groups.pop((backfill[1], phase), 0)

    def prune(self, dag: Key, spec: DagSpec | None) -> None:
        """Delete what is more than the Dag's limits keep."""
        if spec is None:
            return
        limits = dict(_limits(spec))
        if any(number > limits[phase] for (_, phase), number in self._groups[dag].items()):
            if dag in self._pruning:
                self._pruning[dag] = spec
                return
            self._pruning[dag] = None
            self._spawn(self._keep_pruned(dag, spec), f"prune {dag[1]}")

    async def _keep_pruned(self, dag: Key, spec: DagSpec) -> None:
        try:
            while True:
                self._pruning[dag] = None
                try:
                    await self._prune(dag, spec)
                except (NotLeader, WriterStopped):
                    return
                except KubeError as error:
                    log.warning("cannot prune the runs of Dag %s/%s: %s", *dag, error)
                    await asyncio.sleep(TRY_AGAIN)
                    self._pruning[dag] = self._pruning[dag] or spec
                again = self._pruning[dag]
                if again is None:
                    return
                spec = again
        finally:
            del self._pruning[dag]

    async def _prune(self, dag: Key, spec: DagSpec) -> None:
        finished: list[FinishedRun] = []
        held = {name for namespace, name in self._requested if namespace == dag[0]}
        versions: dict[str, str] = {}
        for phase in PHASES:
            selector = f"spec.dag={dag[1]},status.phase={phase}"
            found = await self._client.list(DAGRUNS, dag[0], field_selector=selector, partial=True)
            # Metadata has no time at which a run ended, but the order: one that was run again ended last.
            finished += [
                FinishedRun(
                    run["metadata"]["name"],
                    phase == "Succeeded",
                    parse_time(run["metadata"]["creationTimestamp"]) or self._clock.now(),
                    int(run["metadata"]["resourceVersion"]),
                    self._backfill(run["metadata"]),
                )
                for run in found
                if "deletionTimestamp" not in run["metadata"]
            ]
            held.update(run["metadata"]["name"] for run in found if self._is_held(run["metadata"]))
            versions |= {run["metadata"]["name"]: run["metadata"]["resourceVersion"] for run in found}
        surplus = [name for name in surplus_runs(spec, finished) if name not in held]
        deleted = await asyncio.gather(*(self._delete(dag[0], name, versions[name]) for name in surplus))
        if not all(deleted):
            self._pruning[dag] = spec
        left = [run for run in finished if run.name not in set(surplus)]
        self.forget(dag)
        for run in left:
            phase = "Succeeded" if run.succeeded else "Failed"
            self.counts[dag, phase] += 1
            self._groups[dag][run.backfill, phase] += 1
        if surplus:
            await self._prune_revisions(dag)

    def _backfill(self, metadata: Mapping[str, Any]) -> str:
        """The name of the Backfill that a run belongs to, if that is there."""
        found = self._backfill_of(metadata)
        return found.metadata.name if found else ""

    def _backfill_of(self, metadata: Mapping[str, Any]) -> BackfillObject | None:
        labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
        return backfill_of(self._backfills, metadata["namespace"], labels, annotations)

    def _is_held(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a run must stay because its Backfill has not written down yet how it ended."""
        found = self._backfill_of(metadata)
        if found is None or found.status.get("phase") not in UNFINISHED_PHASES:
            return False
        return not is_recorded(found.spec, found.status, metadata["name"])

    async def _delete(self, namespace: str, name: str, version: str) -> bool:
        """Delete a run; False if it was changed since it was listed: it may have been asked to run again."""
        try:
            await self._writer.delete(DAGRUNS, namespace, name, resource_version=version, propagation="Background")
        except ApiError as error:
            if error.is_conflict:
                return False
            if not error.is_not_found:
                raise
        return True

    async def _prune_revisions(self, dag: Key) -> None:
        selector = f"{names.LABEL_DAG}={dag[1]}"
        stored = await self._client.list(CONTROLLERREVISIONS, dag[0], label_selector=selector, partial=True)
        if len(stored) <= REVISIONS_KEPT:
            return
        runs = await self._client.list(DAGRUNS, dag[0], field_selector=f"spec.dag={dag[1]}")
        used = {run.get("status", {}).get("revision") for run in runs}
        used |= {run["spec"].get("revision") for run in runs}
        stored.sort(key=lambda revision: str(revision["metadata"]["creationTimestamp"]))
        for revision in stored[:-REVISIONS_KEPT]:
            name = revision["metadata"]["name"]
            if name not in used:
                self._revisions.forget(dag[0], name)
                try:
                    await self._writer.delete(CONTROLLERREVISIONS, dag[0], name)
                except ApiError as error:
                    if not error.is_not_found:
                        raise


def _limits(spec: DagSpec) -> list[tuple[str, int]]:
    succeeded, failed = spec.successful_runs_history_limit, spec.failed_runs_history_limit
    return [
        ("Succeeded", DEFAULT_HISTORY_LIMIT if succeeded is None else succeeded),
        ("Failed", DEFAULT_HISTORY_LIMIT if failed is None else failed),
    ]
