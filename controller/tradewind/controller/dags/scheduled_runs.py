"""Creates the runs of ticks; if the name is taken, finds out by which object."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tradewind.api.times import format_time
from tradewind.cache.resources import DAGRUNS
from tradewind.controller.dags import tick_runs
from tradewind.controller.term import Term, regarding
from tradewind.engine.run.states import FINISHED_PHASES
from tradewind.engine.timetables import Tick
from tradewind.kube.errors import ApiError, KubeError
from tradewind.kube.objects import Key
from tradewind.kube.writer import Priority


class OldRun(Exception):  # noqa: N818 - not an error: the tick waits
    """The object with the name of a tick's run is being deleted: the tick gets its run after that."""


@dataclass(frozen=True, slots=True)
class NameTaken:
    """A tick gets no run, because another object has its name; `message` is for people."""

    message: str


class ScheduledRuns:
    """The DagRuns of schedules."""

    def __init__(self, term: Term, observe_delay: Callable[[Key, float], None]) -> None:
        self._client, self._writer, self._recorder, self._clock = term.client, term.writer, term.recorder, term.clock
        self._observe_delay = observe_delay

    async def create(
        self, dag: Key, dag_uid: str, tick: Tick, unseen: dict[str, datetime], *, wanted: Callable[[], bool]
    ) -> NameTaken | None:
        """Create the run of a tick unless it exists, and add it to `unseen`. The tick determines its name, so this is
        idempotent. Return NameTaken if the tick gets no run. Raises OldRun, KubeError."""
        body = tick_runs.manifest(*dag, dag_uid, tick, "Scheduled")
        name = body["metadata"]["name"]
        # The watch event may arrive before the response.
        unseen[name] = self._clock.now()
        try:
            await self._writer.create(DAGRUNS, dag[0], body, priority=Priority.TICK, wanted=wanted)
        except KubeError as error:
            unseen.pop(name, None)
            if not (isinstance(error, ApiError) and error.is_already_exists):
                raise
            return await self._read_existing(dag, dag_uid, name, tick)
        self._observe_delay(dag, (self._clock.now() - tick.logical_date).total_seconds())
        return None

    async def is_active(self, namespace: str, name: str) -> bool:
        """True if the run exists and is not finished. Raises KubeError."""
        try:
            found = await self._client.get(DAGRUNS, namespace, name)
        except ApiError as error:
            if error.is_not_found:
                return False
            raise
        return found.get("status", {}).get("phase") not in FINISHED_PHASES

    async def _read_existing(self, dag: Key, dag_uid: str, name: str, tick: Tick) -> NameTaken | None:
        try:
            found = await self._client.get(DAGRUNS, dag[0], name)
        except ApiError as error:
            if error.is_not_found:
                raise OldRun(f"waiting until DagRun {name!r} is deleted") from error
            raise
        owners = [owner["uid"] for owner in found["metadata"].get("ownerReferences") or () if owner["kind"] == "Dag"]
        if will_be_deleted(owners, dag_uid, deleting="deletionTimestamp" in found["metadata"]):
            owner = found["spec"].get("dag")
            raise OldRun(f"waiting until DagRun {name!r} of the deleted Dag {owner!r} is deleted, too")
        other, run_type = found["spec"].get("dag"), found["spec"].get("type", "Manual")
        if other == dag[1] and run_type != "Manual":
            return None
        whose = f"of Dag {other!r}" if other != dag[1] else "which a user created"
        message = f"no run for tick {format_time(tick.logical_date)}: its name is taken by DagRun {name!r} {whose}"
        about = regarding("Dag", *dag, dag_uid)
        self._recorder.record(about, "Warning", "NameTaken", message, action="Schedule")
        return NameTaken(message)


def will_be_deleted(owners: Sequence[str], dag_uid: str, *, deleting: bool) -> bool:
    """True if a run with the name of a tick's run belongs to an earlier Dag and is deleted with it. `owners` are the
    UIDs of the Dags that own it. A run of this Dag is the tick's run even while it is being deleted."""
    return dag_uid not in owners and (bool(owners) or deleting)
