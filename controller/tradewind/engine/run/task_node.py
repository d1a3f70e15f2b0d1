"""One task of a run and its instances: one, or as many as its forEach has items.

Of a mapped task only instances under way are objects of their own. The rest, which have not begun, wait for their next
try or have ended, are numbers in ranges by state: a run of 10,000 instances costs what is going on in it, in memory and
in status.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tradewind.api.resolve import ResolvedTask
from tradewind.engine.run.due_times import DueTimes
from tradewind.engine.run.graph import Graph
from tradewind.engine.run.index_map import IndexMap
from tradewind.engine.run.index_set import IndexSet
from tradewind.engine.run.states import FINISHED_STATES, TaskState
from tradewind.engine.run.task_instance import MAX_TRIES_KEPT, MESSAGE_KEPT, TRIES_BUDGET, TaskInstance
from tradewind.engine.run.tries import StopReason
from tradewind.engine.run.upstream import UpstreamCounts

MAX_DETAILED = 50
"""Instances of a mapped task under way of which status has an entry, and as many of those that did not end well."""
DETAILS_BUDGET = 250
"""The same for all mapped tasks of a run together, as far as each can have one."""


@dataclass(slots=True)
class TaskNode:
    """The instances of one task. `upstream` counts all that is upstream, but for what a task in a mapped group has
    `paired_with` it: that counts by index."""

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
    paired_with: tuple[int, ...] = ()
    """Tasks right upstream in the same mapped group, by position."""
    paired: dict[int, UpstreamCounts] = field(default_factory=dict)
    """How those have ended, by index, as far as it was asked for (see counting.py)."""
    numbers: IndexMap = field(default_factory=IndexMap)
    """Tries of resting instances, where that is not the usual number for their state."""
    lost: IndexMap = field(default_factory=IndexMap)
    preempted: IndexMap = field(default_factory=IndexMap)
    tries_before: IndexMap = field(default_factory=IndexMap)
    due: DueTimes = field(default_factory=DueTimes)
    """When resting instances that are UpForRetry go on."""
    details_kept: int = MAX_DETAILED
    remembered: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Status entries of instances that are not under way and are worth a word."""
    removed: IndexSet = field(default_factory=IndexSet)
    """Indexes that there were before the task was mapped anew, and that there are not any more."""
    outputs: dict[int, Any] = field(default_factory=dict)
    took: list[tuple[TaskState, float]] = field(default_factory=list)
    """How the last tries of instances ended, and in how many seconds, as far as this process saw it."""
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
    def awaits_items(self) -> bool:
        """Whether it is not known yet if there will be instances."""
        return self.mapped and self.count is None and not self.whole.finished

    @property
    def untouched(self) -> IndexSet:
        """The instances of a mapped task that have not begun."""
        return self.resting.get(TaskState.NONE) or IndexSet()

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
        self.resting = {TaskState.NONE: IndexSet.range(count)}
        self.removed -= IndexSet.range(count)

    def clear(self, indexes: IndexSet, why: StopReason, now: datetime) -> None:
        """As if these instances had not begun; their tries so far are kept."""
        for index in list(indexes):
            instance = self.get(index)
            if instance is not None:
                instance.clear(why, now)
                self.rest(instance)
        self.started_at = self.finished_at = self.scheduled_at = self.reason = self.message = None

    def unexpand(self, why: StopReason, now: datetime) -> None:
        """How many instances there are is not known any more, nor that any of them has begun."""
        indexes = IndexSet.range(self.count or 0)
        self.clear(indexes, why, now)
        self.removed |= indexes
        self.count, self.items, self.resting = None, None, {}

    def get(self, index: int | None) -> TaskInstance | None:
        """The instance, made an object if it was none; None where there is no such index."""
        if not self.count:
            return self.whole if index is None else None
        if index is None or not 0 <= index < self.count:
            return None
        found = self.live.get(index)
        if found is None:
            found = self.live[index] = self._object(index)
            # From now on the object knows.
            self.resting[found.state].discard(index)
            self.remembered.pop(index, None)
            self.due.discard(index)
            for numbers in (self.numbers, self.lost, self.preempted, self.tries_before):
                if numbers:
                    numbers.set(index, None)
        return found

    def peek(self, index: int | None) -> TaskInstance | None:
        """The instance as it is now, to look at only."""
        if not self.count or index is None:
            return self.whole if index is None and not self.count else None
        if not 0 <= index < self.count:
            return None
        return self.live.get(index) or self._object(index)

    def rest(self, instance: TaskInstance) -> None:
        """An instance has ended, was cleared or waits for its next try: only its state, its tries and its output
        stay."""
        index = instance.index
        if index is None:
            return
        self.resting.setdefault(instance.state, IndexSet()).add(index)
        usual = self._usual_number(instance.state)
        self.numbers.set(index, instance.number if instance.number != usual else None)
        self.lost.set(index, instance.lost or None)
        self.preempted.set(index, instance.preempted or None)
        self.tries_before.set(index, instance.tries_before or None)
        if instance.has_output:
            self.outputs[index] = instance.output
        else:
            self.outputs.pop(index, None)
        self._remember(index, instance)
        if instance.finished and instance.started_at and instance.finished_at:
            self.took.append((instance.state, (instance.finished_at - instance.started_at).total_seconds()))
        self.live.pop(index, None)
        self.paired.pop(index, None)

    def _remember(self, index: int, instance: TaskInstance) -> None:
        """Keep what people want to know of an instance that did not end well, those that failed before others; and the
        earlier tries of one that is run again."""
        if not _is_told(instance):
            return
        if len(self.remembered) >= self.details_kept:
            least = max((_worth(entry["state"]), other) for other, entry in self.remembered.items())
            if least[0] <= _worth(instance.state):
                return
            del self.remembered[least[1]]
        self.remembered[index] = instance.entry(MESSAGE_KEPT, None)

    def move(self, indexes: IndexSet, before: TaskState, after: TaskState) -> None:
        """Resting instances that have not begun, or are UpForRetry, are ready now (and so in their next try), or have
        ended."""
        begun = after is TaskState.SCHEDULED
        usual, expected = self._usual_number(before), self._usual_number(after)
        numbered = [(number, part) for number, known in self.numbers.items() if (part := known & indexes)]
        if numbered or usual + begun != expected:
            rest = indexes
            for _, part in numbered:
                rest = rest - part
            for number, part in [*numbered, (usual, rest)]:
                self.numbers.set_all(part, number + begun if number + begun != expected else None)
        self.resting[before] = self.resting[before] - indexes
        self.resting[after] = self.resting.get(after, IndexSet()) | indexes
        if before is TaskState.UP_FOR_RETRY:
            self.due.discard_all(indexes)
        for index in [index for index in self.paired if index in indexes]:
            del self.paired[index]
        # Of one that was cleared the earlier tries are told for good.
        for index in [each for each, told in self.remembered.items() if each in indexes and told["state"] != "None"]:
            del self.remembered[index]

    def _usual_number(self, state: TaskState) -> int:
        """Tries of an instance in this state of which nothing else is noted."""
        return 0 if state in _NEVER_TRIED or not self.task.kind.has_tries else 1

    def state_of(self, index: int | None) -> TaskState | None:
        """State of an instance; None where there is no such index."""
        if not self.count or index is None:
            return self.whole.state if index is None and not self.count else None
        found = self.live.get(index)
        if found is not None:
            return found.state
        for state, indexes in self.resting.items():
            if index in indexes:
                return state
        return None

    def output_of(self, index: int | None) -> tuple[bool, Any]:
        """(whether there is one, output) of an instance that has ended."""
        if index is None:
            return self.whole.has_output, self.whole.output
        return index in self.outputs, self.outputs.get(index)

    def ended(self) -> dict[TaskState, IndexSet]:
        """The instances that have ended, by how."""
        return {state: indexes for state, indexes in self.resting.items() if state in FINISHED_STATES and indexes}

    def _object(self, index: int) -> TaskInstance:
        """A resting instance as an object."""
        state = self.state_of(index) or TaskState.NONE
        found = TaskInstance(self.task, self.position, index, tries_kept=self.whole.tries_kept)
        told = self.remembered.get(index, {})
        is_told = told.get("state") == state.value
        if is_told:
            found.restore(told)
        else:
            found.tries = list(told.get("tries", ()))
        found.state = state
        found.number = self.numbers.get(index, self._usual_number(state))
        found.lost, found.tries_before = self.lost.get(index), self.tries_before.get(index)
        found.preempted = self.preempted.get(index)
        if state is TaskState.UP_FOR_RETRY:
            found.retry_at = self.due.get(index)
        elif state is TaskState.SCHEDULED:
            found.scheduled_at = self.scheduled_at if found.number == 1 else None
            if self.task.kind.looks_again:
                found.pokes = 1
        elif state in _NEVER_TRIED and state in FINISHED_STATES and not is_told:
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
        """(whether there is one, output): of a mapped task a list of what its instances wrote, in the order of their
        indexes; an empty one where it was skipped, as one without items is."""
        if not self.mapped:
            return self.whole.has_output, self.whole.output
        there = bool(self.count) or self.whole.state is TaskState.SKIPPED
        return there, [self.outputs[index] for index in sorted(self.outputs)]


def new_nodes(tasks: Sequence[ResolvedTask], graph: Graph) -> list[TaskNode]:
    """The tasks of a run, as they are before anything has happened."""
    upstream = graph.upstream
    tries_kept = max(1, min(MAX_TRIES_KEPT, TRIES_BUDGET // len(tasks)))
    mapped = sum(task.for_each is not None or task.mapped_group is not None for task in tasks)
    details_kept = max(1, min(MAX_DETAILED, DETAILS_BUDGET // max(1, mapped)))
    return [
        TaskNode(
            task,
            position,
            graph.weights[position],
            UpstreamCounts(len(upstream[position]), setups=sum(tasks[other].setup for other in upstream[position])),
            TaskInstance(task, position, tries_kept=tries_kept),
            details_kept=details_kept,
        )
        for position, task in enumerate(tasks)
    ]


def _worth(state: str) -> int:
    """What is told of an instance before others: the lowest first."""
    return _TOLD_FIRST.index(state) if state in _TOLD_FIRST else len(_TOLD_FIRST)


_TOLD_FIRST = (TaskState.FAILED, TaskState.UP_FOR_RETRY)


def _is_told(instance: TaskInstance) -> bool:
    """Whether there is something to be said of an instance that is not under way."""
    if instance.state is TaskState.NONE or (instance.state is TaskState.SUCCEEDED and instance.tries_before):
        return any("message" in past or "startedAt" in past for past in instance.tries)
    return instance.state is not TaskState.SUCCEEDED


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
