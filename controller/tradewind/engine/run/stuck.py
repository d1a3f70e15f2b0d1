"""Tries that cannot start for a reason that may need a user: shown in the message of the run, and in one Event for each
reason."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tradewind.api.duration import format_duration
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.texts import head
from tradewind.engine.run.timers import Timers

EVENT_AFTER = timedelta(seconds=30)
"""The time after which a waiting try gets an Event: most waits are shorter."""
SHOWN = 300
"""Characters of a reason in the message of a run."""
_NOT_STARTED = frozenset({TaskState.SCHEDULED, TaskState.QUEUED, TaskState.RUNNING})


@dataclass(slots=True)
class _Entry:
    instance: TaskInstance
    attempt: tuple[int, int]
    since: datetime
    why: str = ""

    @property
    def waits(self) -> bool:
        """True if this attempt still waits."""
        instance = self.instance
        now = instance.state in _NOT_STARTED and instance.container_started_at is None and not instance.next_poke_at
        return now and instance.attempt == self.attempt


class Stuck:
    """The tries of a run that cannot start, and their reasons."""

    def __init__(self) -> None:
        self._entries: dict[tuple[int, int], _Entry] = {}
        self._reported: set[str] = set()
        """Reasons that had their Event."""

    def note(self, instance: TaskInstance, timers: Timers, now: datetime) -> None:
        """Update the reason of a try that has not started."""
        place = _place(instance)
        if not instance.reason:
            self._entries.pop(place, None)
            return
        entry = self._entries.get(place)
        if entry is None or entry.attempt != instance.attempt or entry.instance is not instance:
            entry = self._entries[place] = _Entry(instance, instance.attempt, now)
            timers.set(now + EVENT_AFTER, instance)
        entry.why = head(": ".join(part for part in (instance.reason, instance.message) if part), SHOWN)

    def take_event(self, instance: TaskInstance, now: datetime) -> str | None:
        """The message of the Event about an instance whose timer is due, once for each reason; None without one."""
        entry, reason = self._entries.get(_place(instance)), instance.reason
        if entry is None or not entry.waits or now < entry.since + EVENT_AFTER:
            return None
        if not reason or reason in self._reported:
            return None
        self._reported.add(reason)
        return f"{instance.name} has been waiting for {format_duration(EVENT_AFTER)}: {entry.why}"

    @property
    def message(self) -> str | None:
        """The reason of the first waiting task of the run, or None."""
        self._entries = {place: entry for place, entry in self._entries.items() if entry.waits}
        if not self._entries:
            return None
        first = self._entries[min(self._entries)]
        return f"{first.instance.name} is waiting: {first.why}"


def _place(instance: TaskInstance) -> tuple[int, int]:
    return instance.position, -1 if instance.index is None else instance.index
