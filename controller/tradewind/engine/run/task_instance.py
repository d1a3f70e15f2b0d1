"""One task instance in one run: its state, its tries, and their status entry."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tradewind.api.resolve import ResolvedTask
from tradewind.api.times import format_time, parse_time
from tradewind.engine.run.json_size import shorten
from tradewind.engine.run.states import FINISHED_STATES, TaskState
from tradewind.engine.run.tries import HeldBy, StopReason, TryKey, instance_name

MAX_TRIES_KEPT = 10
"""Earlier tries of a task in status; older ones are only counted."""
TRIES_BUDGET = 2500
"""Earlier tries of all tasks of a run in status, of some 150 bytes each."""
MESSAGE_KEPT = 1024
"""Bytes of the message of a resting instance of a mapped task."""


@dataclass(slots=True)
class TaskInstance:
    """The state of a task, or of one instance of a mapped task (`index`). `number` is the current or last try, from 1;
    0 before the first."""

    task: ResolvedTask
    position: int
    index: int | None = None
    state: TaskState = TaskState.NONE
    number: int = 0
    lost: int = 0
    preempted: int = 0
    """The part of `lost` that was preempted by a Pod of a higher priority."""
    tries_before: int = 0
    """Tries before the last rerun of the task: they do not count against its retries."""
    pokes: int = 0
    """Pokes of a sensor so far, over all its tries."""
    first_poke_at: datetime | None = None
    next_poke_at: datetime | None = None
    """When the next poke of a sensor is due; None during a poke."""
    reason: str | None = None
    message: str | None = None
    exit_code: int | None = None
    scheduled_at: datetime | None = None
    queued_at: datetime | None = None
    started_at: datetime | None = None
    container_started_at: datetime | None = None
    """When the current container started; for a sensor, from its second poke on, later than started_at."""
    finished_at: datetime | None = None
    retry_at: datetime | None = None
    output: Any = None
    has_output: bool = False
    tries: list[dict[str, Any]] = field(default_factory=list)
    tries_kept: int = MAX_TRIES_KEPT
    holds_slots: bool = False
    postponed: int = 0
    """The number of times in a row that the Pod of this try could not be created."""
    postponed_since: datetime | None = None
    postponed_until: datetime | None = None
    held_by: HeldBy | None = None
    """The cause outside of its Pod that keeps the Pod from starting; None also for a cause of its own."""
    held_by_itself_since: datetime | None = None
    """The time since when a cause of its own keeps its Pod from starting."""
    stop: StopReason | None = None
    """Set once the controller stops the current try."""
    _entry: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """`load`, or `load[3]`."""
        return instance_name(self.task.name, self.index)

    @property
    def key(self) -> TryKey:
        """The current try."""
        return TryKey(self.task.name, self.index, self.number, self.pokes)

    @property
    def attempt(self) -> tuple[int, int]:
        """(try, poke) of the current Pod."""
        return self.number, self.pokes

    @property
    def failures(self) -> int:
        """Tries that count against the retries, including this one."""
        return self.number - self.lost - self.tries_before

    @property
    def finished(self) -> bool:
        """True if the instance has finished."""
        return self.state in FINISHED_STATES

    @property
    def expects_pod(self) -> bool:
        """True if there is, or should be, a Pod for the current try."""
        return self.state in (TaskState.QUEUED, TaskState.RUNNING) and self.next_poke_at is None

    @property
    def starting(self) -> bool:
        """True if it has slots and its Pod is not known to exist yet."""
        return self.state is TaskState.SCHEDULED and self.holds_slots

    @property
    def awaits_pod(self) -> bool:
        """True if its Pod must be created and there is no report about that yet."""
        waits = self.postponed_until or self.next_poke_at or self.stop
        return self.holds_slots and self.queued_at is None and not waits

    def begin_try(self, now: datetime, last_try: str = "Failed") -> None:
        """Start the next try; the previous one is kept with its result (`last_try`)."""
        if self.number > self.tries_before:
            self._keep_try(last_try)
        self.number += 1
        self.state = TaskState.SCHEDULED
        self.scheduled_at = now
        self.reason = self.message = self.exit_code = None
        self.started_at = None
        self.begin_attempt()

    def clear(self, why: StopReason, now: datetime) -> None:
        """Reset the instance to its initial state; its earlier tries are kept, and try numbers continue. `why` is the
        result of an active try."""
        if self.number > self.tries_before:
            if not self.finished and self.state is not TaskState.UP_FOR_RETRY:
                self.reason, self.message, self.finished_at = why.reason, why.message, now
            self._keep_try(_PAST_STATES.get(self.state, "Failed"))
        self.state, self.tries_before, self.lost, self.pokes = TaskState.NONE, self.number, 0, 0
        self.preempted = 0
        self.reason = self.message = self.exit_code = self.stop = None
        self.output, self.has_output = None, False
        for field_name, _ in _TIMES:
            setattr(self, field_name, None)
        self.container_started_at = self.postponed_since = self.postponed_until = None
        self.held_by = self.held_by_itself_since = None
        self.postponed = 0
        self.touch()

    def begin_attempt(self) -> None:
        """Prepare for the next Pod: of the next try, or of the next poke of a sensor."""
        self.stop = self.postponed_since = self.postponed_until = None
        self.queued_at = self.container_started_at = self.finished_at = self.retry_at = self.next_poke_at = None
        self.held_by = self.held_by_itself_since = None
        self.postponed = 0
        if self.task.kind.looks_again:
            self.pokes += 1
        self.touch()

    def touch(self) -> None:
        """Drop the cached status entry."""
        self._entry = None

    def entry(self, message_limit: int, waiting_for: str | None) -> dict[str, Any]:
        """The task's entry in DagRun.status.tasks. `waiting_for` is its message while it waits for slots."""
        if self.state is TaskState.SCHEDULED and not self.holds_slots and self.message is None:
            return {**self._facts(message_limit), **({"message": waiting_for} if waiting_for else {})}
        if self._entry is None:
            self._entry = self._facts(message_limit)
        return self._entry

    def restore(self, entry: dict[str, Any]) -> None:
        """Restore the instance from a status entry."""
        self.state = TaskState(entry["state"])
        self.number = entry.get("try", 0)
        self.lost = entry.get("lost", 0)
        self.preempted = entry.get("preempted", 0)
        self.tries_before = entry.get("triesBefore", 0)
        self.pokes = entry.get("pokes", 0)
        self.reason = entry.get("reason")
        self.message = entry.get("message") if self.state not in (TaskState.NONE, TaskState.SCHEDULED) else None
        self.exit_code = entry.get("exitCode")
        for field_name, key in _TIMES:
            setattr(self, field_name, parse_time(entry.get(key)))
        self.container_started_at = self.started_at if self.pokes <= 1 else None
        self.output = entry.get("output")
        self.has_output = "output" in entry
        self.tries = list(entry.get("tries", ()))
        self.touch()

    def _facts(self, message_limit: int) -> dict[str, Any]:
        facts: dict[str, Any] = {"name": self.task.name} if self.index is None else {"index": self.index}
        facts["state"] = self.state.value
        if self.number:
            facts["try"] = self.number
        if self.lost:
            facts["lost"] = self.lost
        if self.preempted:
            facts["preempted"] = self.preempted
        if self.tries_before:
            facts["triesBefore"] = self.tries_before
        if self.pokes:
            facts["pokes"] = self.pokes
        if self.reason:
            facts["reason"] = self.reason
        if self.message:
            facts["message"] = shorten(self.message, message_limit)
        if self.exit_code is not None:
            facts["exitCode"] = self.exit_code
        for field_name, key in _TIMES:
            moment = getattr(self, field_name)
            if moment is not None:
                facts[key] = format_time(moment)
        if self.has_output:
            facts["output"] = self.output
        if self.tries:
            facts["tries"] = [
                {**past, "message": shorten(past["message"], message_limit // 4)} if "message" in past else past
                for past in self.tries
            ]
        return facts

    def _keep_try(self, state: str) -> None:
        """Add the current try to the earlier ones."""
        self.tries.append(self._past_try(state))
        del self.tries[: -self.tries_kept]

    def _past_try(self, state: str) -> dict[str, Any]:
        past: dict[str, Any] = {"number": self.number, "state": state}
        if self.reason:
            past["reason"] = self.reason
        if self.message:
            past["message"] = self.message
        if self.exit_code is not None:
            past["exitCode"] = self.exit_code
        if self.started_at:
            past["startedAt"] = format_time(self.started_at)
        if self.finished_at:
            past["finishedAt"] = format_time(self.finished_at)
        return past


_PAST_STATES = {TaskState.SUCCEEDED: "Succeeded", TaskState.SKIPPED: "Skipped"}
_TIMES = (
    ("scheduled_at", "scheduledAt"),
    ("queued_at", "queuedAt"),
    ("started_at", "startedAt"),
    ("finished_at", "finishedAt"),
    ("retry_at", "retryAt"),
    ("first_poke_at", "firstPokeAt"),
    ("next_poke_at", "nextPokeAt"),
)
