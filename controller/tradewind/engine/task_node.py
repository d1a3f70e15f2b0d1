"""One task of a run and its instances: one, or as many as its forEach has items.

Of a mapped task only instances under way are objects of their own. The rest, which have not begun or have ended, are
numbers in ranges by state: a run of 10,000 instances costs what is going on in it, in memory and in status.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tradewind.api.resolve import ResolvedTask
from tradewind.engine.index_set import IndexSet
from tradewind.engine.states import FINISHED_STATES, TaskState
from tradewind.engine.task_instance import TaskInstance
from tradewind.engine.trigger_rules import UpstreamCounts

MESSAGE_KEPT = 1024
"""Bytes of a message that are kept of an instance that has ended."""
MAX_REMEMBERED = 100
"""Instances of a mapped task that ended otherwise than well, of which status keeps the reason."""


@dataclass(slots=True)
class TaskNode:
    """The instances of one task. `upstream` counts all that is upstream of a task that is not mapped; of one in a
    mapped group only what lies outside the group, once there are instances (`paired` has the rest, by index)."""

    task: ResolvedTask
    position: int
    weight: int
    upstream: UpstreamCounts
    whole: TaskInstance
    """The task itself where it is not mapped, or not yet."""
    count: int | None = None
    """Instances of a mapped task; None before they are known."""
    items: list[Any] | None = None
    """What the instances are about, by index, once it was asked for."""
    live: dict[int, TaskInstance] = field(default_factory=dict)
    resting: dict[TaskState, IndexSet] = field(default_factory=dict)
    paired: dict[int, UpstreamCounts] = field(default_factory=dict)
    paired_total: int = 0
    paired_setups: int = 0
    numbers: dict[int, int] = field(default_factory=dict)
    """Tries of resting instances, where that is not 1 (or 0 of one that has not begun)."""
    lost: dict[int, int] = field(default_factory=dict)
    tries_before: dict[int, int] = field(default_factory=dict)
    remembered: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Status entries of instances that have ended and are worth a word."""
    outputs: dict[int, Any] = field(default_factory=dict)
    ready: IndexSet = field(default_factory=IndexSet)
    """Instances that wait for nothing but slots; 0 stands for a task that is not mapped."""
    active: int = 0
    """Instances that hold slots."""
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    reason: str | None = None
    message: str | None = None
    """Why many of its instances ended without having begun."""
    past: str | None = None
    """Why the task cannot begin before an earlier run has come further."""

    @property
    def mapped(self) -> bool:
        """Whether the task has an instance for each of several items."""
        return self.task.for_each is not None or self.task.mapped_group is not None

    @property
    def expanded(self) -> bool:
        """Whether the instances of a mapped task are known."""
        return self.count is not None

    @property
    def size(self) -> int:
        """Instances, as far as is known: what it counts for downstream."""
        return self.count or 1

    @property
    def unfinished(self) -> int:
        """Instances that have not ended."""
        if not self.count:
            return 0 if self.whole.finished else 1
        return self.count - sum(len(self.resting.get(state, ())) for state in FINISHED_STATES)

    # Instances --------------------------------------------------------------------------------------------------

    def expand(self, count: int) -> None:
        """There are `count` instances (one or more), none of which has begun."""
        self.count = count
        self.resting[TaskState.NONE] = IndexSet.range(count)

    def get(self, index: int | None) -> TaskInstance | None:
        """The instance, made an object if it was none; None where there is no such index."""
        if not self.count:
            return self.whole if index is None else None
        if index is None or not 0 <= index < self.count:
            return None
        found = self.live.get(index)
        if found is None:
            found = self.live[index] = self._object(index)
            self.resting[found.state].discard(index)
            self.remembered.pop(index, None)
        return found

    def peek(self, index: int | None) -> TaskInstance | None:
        """The instance as it is now, to look at only."""
        if not self.count or index is None:
            return self.whole if index is None and not self.count else None
        if not 0 <= index < self.count:
            return None
        return self.live.get(index) or self._object(index)

    def rest(self, instance: TaskInstance) -> None:
        """An instance has ended: nothing but its state, its tries and its output stays."""
        index = instance.index
        if index is None:
            return
        self._keep(index, instance.state, instance.number)
        for kept, value in ((self.lost, instance.lost), (self.tries_before, instance.tries_before)):
            if value:
                kept[index] = value
            else:
                kept.pop(index, None)
        if instance.has_output:
            self.outputs[index] = instance.output
        else:
            self.outputs.pop(index, None)
        if instance.state is not TaskState.SUCCEEDED and len(self.remembered) < MAX_REMEMBERED:
            self.remembered[index] = instance.entry(MESSAGE_KEPT, None)
        self.live.pop(index, None)

    def move(self, indexes: IndexSet, before: TaskState, after: TaskState) -> None:
        """Resting instances that were never tried are ready now (and so in their next try), or have ended."""
        source = self.resting[before]
        begun = after is TaskState.SCHEDULED
        alike = self._usual_number(before) + begun == self._usual_number(after)
        if alike and len(indexes) == len(source) and not self.numbers and not self.resting.get(after):
            self.resting[after] = self.resting.pop(before)
            return
        for index in list(indexes):
            number = self.numbers.get(index, self._usual_number(before)) + begun
            source.discard(index)
            self._keep(index, after, number)

    def _keep(self, index: int, state: TaskState, number: int) -> None:
        self.resting.setdefault(state, IndexSet()).add(index)
        if number == self._usual_number(state):
            self.numbers.pop(index, None)
        else:
            self.numbers[index] = number

    def _usual_number(self, state: TaskState) -> int:
        """Tries of an instance in this state of which nothing else is noted."""
        return 0 if self.task.noop or state in _NEVER_TRIED else 1

    def state_of(self, index: int | None) -> TaskState | None:
        """State of an instance; None where there is no such index."""
        if not self.count or index is None:
            return self.whole.state if index is None and not self.count else None
        found = self.live.get(index)
        if found is not None:
            return found.state
        return next((state for state, indexes in self.resting.items() if index in indexes), None)

    def output_of(self, index: int | None) -> tuple[bool, Any]:
        """(whether there is one, output) of an instance that has ended."""
        if index is None:
            return self.whole.has_output, self.whole.output
        return index in self.outputs, self.outputs.get(index)

    def counts_of(self, index: int | None) -> UpstreamCounts:
        """How things upstream of an instance have ended."""
        if not self.count or index is None or not self.paired_total:
            return self.upstream
        return self.upstream.plus(self.paired.get(index) or self._no_counts())

    def count_paired(self, index: int, state: TaskState, *, setup: bool) -> None:
        """The instance of the same index of a task right upstream in the group has ended."""
        counts = self.paired.get(index)
        if counts is None:
            counts = self.paired[index] = self._no_counts()
        counts.add(state, setup=setup)

    def _no_counts(self) -> UpstreamCounts:
        return UpstreamCounts(self.paired_total, setups=self.paired_setups)

    def _object(self, index: int) -> TaskInstance:
        """A resting instance as an object."""
        state = self.state_of(index) or TaskState.NONE
        found = TaskInstance(self.task, self.position, index, tries_kept=self.whole.tries_kept)
        if index in self.remembered:
            found.restore(self.remembered[index])
        found.state = state
        found.number = self.numbers.get(index, self._usual_number(state))
        found.lost = self.lost.get(index, 0)
        found.tries_before = self.tries_before.get(index, 0)
        if state is TaskState.SCHEDULED:
            found.scheduled_at = self.scheduled_at
            if self.task.sensor is not None:
                found.pokes = 1
        elif state in _NEVER_TRIED and state in FINISHED_STATES and index not in self.remembered:
            found.reason, found.message, found.finished_at = self.reason, self.message, self.finished_at
        found.has_output, found.output = self.output_of(index)
        return found

    def __iter__(self) -> Iterator[TaskInstance]:
        """Every instance as it is now, to look at only."""
        if not self.count:
            yield self.whole
            return
        for index in range(self.count):
            yield self.live.get(index) or self._object(index)

    # The task as a whole ----------------------------------------------------------------------------------------

    def tally(self) -> dict[TaskState, int]:
        """How many instances are in each state."""
        if not self.count:
            return {self.whole.state: 1}
        found = {state: len(indexes) for state, indexes in self.resting.items() if indexes}
        for instance in self.live.values():
            found[instance.state] = found.get(instance.state, 0) + 1
        return found

    @property
    def state(self) -> TaskState:
        """One state for all: of what goes on if anything does, else the worst end."""
        tally = self.tally()
        for state in _LOUDEST:
            if state in tally:
                # Between instances that have ended and those that have not begun, the task as a whole is under way.
                return TaskState.RUNNING if state is TaskState.NONE and len(tally) > 1 else state
        return TaskState.NONE

    @property
    def finished(self) -> bool:
        """Whether every instance has ended."""
        return not self.unfinished

    @property
    def output(self) -> tuple[bool, Any]:
        """(whether there is one, output): of a mapped task the outputs of those instances that have one, by index."""
        if not self.count:
            return self.whole.has_output, self.whole.output
        there = bool(self.outputs) or self.state is TaskState.SUCCEEDED
        return there, [self.outputs[index] for index in sorted(self.outputs)]


_NEVER_TRIED = frozenset({TaskState.NONE, TaskState.UPSTREAM_FAILED, TaskState.SKIPPED, TaskState.REMOVED})
_LOUDEST = (
    TaskState.RUNNING,
    TaskState.QUEUED,
    TaskState.SCHEDULED,
    TaskState.UP_FOR_RETRY,
    TaskState.UP_FOR_RESCHEDULE,
    TaskState.NONE,
    TaskState.FAILED,
    TaskState.UPSTREAM_FAILED,
    TaskState.SUCCEEDED,
    TaskState.SKIPPED,
    TaskState.REMOVED,
)
