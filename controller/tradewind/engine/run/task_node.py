"""One task of a run and its instances: one, or one for each item of its forEach.

Only active instances of a mapped task are objects. Resting instances, which have not started, wait for their next try
or have finished, are stored as ranges of indexes by state: the cost of a run of 10,000 instances, in memory and in
status, depends on its active instances.
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
"""Active instances of a mapped task that have an entry in status, and the same number of unsuccessful ones."""
DETAILS_BUDGET = 250
"""The same for all mapped tasks of a run together; each task has at least one."""


@dataclass(slots=True)
class TaskNode:
    """The instances of one task. `upstream` counts all upstream instances, except those of tasks in `paired_with`,
    which count by index."""

    task: ResolvedTask
    position: int
    weight: int
    upstream: UpstreamCounts
    whole: TaskInstance
    """The only instance of a task that is not mapped; for a mapped task a stand-in until it has instances."""
    count: int | None = None
    """The number of instances of a mapped task; None before it is known."""
    items: list[Any] | None = None
    """The items of a mapped task by index; None until they are first needed."""
    live: dict[int, TaskInstance] = field(default_factory=dict)
    resting: dict[TaskState, IndexSet] = field(default_factory=dict)
    paired_with: tuple[int, ...] = ()
    """Direct upstream tasks in the same mapped group, by position."""
    paired: dict[int, UpstreamCounts] = field(default_factory=dict)
    """The counts for those, by index, created on demand (see counting.py)."""
    numbers: IndexMap = field(default_factory=IndexMap)
    """Try numbers of resting instances, if not the usual number for their state."""
    lost: IndexMap = field(default_factory=IndexMap)
    preempted: IndexMap = field(default_factory=IndexMap)
    tries_before: IndexMap = field(default_factory=IndexMap)
    due: DueTimes = field(default_factory=DueTimes)
    """When resting instances that are UpForRetry are due."""
    details_kept: int = MAX_DETAILED
    remembered: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Status entries of resting instances with details that users need."""
    removed: IndexSet = field(default_factory=IndexSet)
    """Indexes that the task had before it was expanded again, and does not have any more."""
    outputs: dict[int, Any] = field(default_factory=dict)
    durations: list[tuple[TaskState, float]] = field(default_factory=list)
    """The states and seconds of the last tries of instances, as far as this process saw them."""
    ready: IndexSet = field(default_factory=IndexSet)
    """Instances that wait only for slots; index 0 for a task that is not mapped."""
    active: int = 0
    """The number of instances that hold slots."""
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    reason: str | None = None
    message: str | None = None
    """The message of many instances that finished without having started."""
    past: str | None = None
    """The reason why a previous run keeps the task from starting."""

    @property
    def mapped(self) -> bool:
        """True if the task has forEach or is in a mapped group."""
        return self.task.for_each is not None or self.task.mapped_group is not None

    @property
    def awaits_items(self) -> bool:
        """True for a mapped task whose items are not known yet."""
        return self.mapped and self.count is None and not self.whole.finished

    @property
    def untouched(self) -> IndexSet:
        """The instances of a mapped task that have not started."""
        return self.resting.get(TaskState.NONE) or IndexSet()

    @property
    def unfinished(self) -> int:
        """The number of instances that have not finished."""
        if not self.count:
            return 0 if self.whole.finished else 1
        return self.count - sum(len(self.resting.get(state, ())) for state in FINISHED_STATES)

    # Instances --------------------------------------------------------------------------------------------------

    def expand(self, count: int) -> None:
        """Create `count` instances (one or more) that have not started."""
        self.count = count
        self.resting = {TaskState.NONE: IndexSet.range(count)}
        self.removed -= IndexSet.range(count)

    def clear(self, indexes: IndexSet, why: StopReason, now: datetime) -> None:
        """Reset these instances to their initial state; their earlier tries are kept."""
        for index in list(indexes):
            instance = self.get(index)
            if instance is not None:
                instance.clear(why, now)
                self.rest(instance)
        self.started_at = self.finished_at = self.scheduled_at = self.reason = self.message = None

    def unexpand(self, why: StopReason, now: datetime) -> None:
        """Remove all instances, so that the items are evaluated again."""
        indexes = IndexSet.range(self.count or 0)
        self.clear(indexes, why, now)
        self.removed |= indexes
        self.count, self.items, self.resting = None, None, {}

    def get(self, index: int | None) -> TaskInstance | None:
        """The instance as an object that may be changed; None if the index does not exist."""
        if not self.count:
            return self.whole if index is None else None
        if index is None or not 0 <= index < self.count:
            return None
        found = self.live.get(index)
        if found is None:
            found = self.live[index] = self._object(index)
            # From now on the object has these facts.
            self.resting[found.state].discard(index)
            self.remembered.pop(index, None)
            self.due.discard(index)
            for numbers in (self.numbers, self.lost, self.preempted, self.tries_before):
                if numbers:
                    numbers.set(index, None)
        return found

    def peek(self, index: int | None) -> TaskInstance | None:
        """The current instance, read-only."""
        if not self.count or index is None:
            return self.whole if index is None and not self.count else None
        if not 0 <= index < self.count:
            return None
        return self.live.get(index) or self._object(index)

    def rest(self, instance: TaskInstance) -> None:
        """Drop the object of an instance that has finished, was cleared or waits for its next try: only its state, its
        tries and its output stay."""
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
            self.durations.append((instance.state, (instance.finished_at - instance.started_at).total_seconds()))
        self.live.pop(index, None)
        self.paired.pop(index, None)

    def _remember(self, index: int, instance: TaskInstance) -> None:
        """Keep the status entry of an instance that did not succeed, with priority for failed ones; and the earlier
        tries of an instance that runs again."""
        if not _has_details(instance):
            return
        if len(self.remembered) >= self.details_kept:
            least = max((_detail_rank(entry["state"]), other) for other, entry in self.remembered.items())
            if least[0] <= _detail_rank(instance.state):
                return
            del self.remembered[least[1]]
        self.remembered[index] = instance.entry(MESSAGE_KEPT, None)

    def move(self, indexes: IndexSet, before: TaskState, after: TaskState) -> None:
        """Change the state of resting instances that are None or UpForRetry: to Scheduled, which starts their next try,
        or to a finished state."""
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
        # Entries of cleared instances stay: they have the earlier tries.
        for index in [each for each, known in self.remembered.items() if each in indexes and known["state"] != "None"]:
            del self.remembered[index]

    def _usual_number(self, state: TaskState) -> int:
        """The try number of a resting instance in this state that `numbers` does not have."""
        return 0 if state in _NEVER_TRIED or not self.task.kind.has_tries else 1

    def state_of(self, index: int | None) -> TaskState | None:
        """The state of an instance; None if the index does not exist."""
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
        """(has output, output) of a finished instance."""
        if index is None:
            return self.whole.has_output, self.whole.output
        return index in self.outputs, self.outputs.get(index)

    def finished_indexes(self) -> dict[TaskState, IndexSet]:
        """The finished instances by state."""
        return {state: indexes for state, indexes in self.resting.items() if state in FINISHED_STATES and indexes}

    def _object(self, index: int) -> TaskInstance:
        """A resting instance as an object."""
        state = self.state_of(index) or TaskState.NONE
        found = TaskInstance(self.task, self.position, index, tries_kept=self.whole.tries_kept)
        known = self.remembered.get(index, {})
        is_current = known.get("state") == state.value
        if is_current:
            found.restore(known)
        else:
            found.tries = list(known.get("tries", ()))
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
        elif state in _NEVER_TRIED and state in FINISHED_STATES and not is_current:
            found.reason, found.message, found.finished_at = self.reason, self.message, self.finished_at
        found.has_output, found.output = self.output_of(index)
        return found

    def __iter__(self) -> Iterator[TaskInstance]:
        """Every current instance, read-only."""
        if not self.count:
            yield self.whole
            return
        for index in range(self.count):
            yield self.live.get(index) or self._object(index)

    # The task as a whole ----------------------------------------------------------------------------------------

    def tally(self) -> dict[TaskState, int]:
        """The number of instances in each state."""
        if not self.count:
            return {self.whole.state: 1}
        found = {state: len(indexes) for state, indexes in self.resting.items() if indexes}
        for instance in self.live.values():
            found[instance.state] = found.get(instance.state, 0) + 1
        return found

    @property
    def state(self) -> TaskState:
        """One state for all instances: that of an active one if there is any, else the worst finished state."""
        tally = self.tally()
        for state in _PRECEDENCE:
            if state in tally:
                # With finished instances and some that have not started, the task as a whole is running.
                return TaskState.RUNNING if state is TaskState.NONE and len(tally) > 1 else state
        return TaskState.NONE

    @property
    def finished(self) -> bool:
        """True if every instance has finished."""
        return not self.unfinished

    @property
    def output(self) -> tuple[bool, Any]:
        """(has output, output). The output of a mapped task is a list of its instances' outputs in the order of their
        indexes; the list is empty if the task was skipped, as it is without items."""
        if not self.mapped:
            return self.whole.has_output, self.whole.output
        has_output = bool(self.count) or self.whole.state is TaskState.SKIPPED
        return has_output, [self.outputs[index] for index in sorted(self.outputs)]


def new_nodes(tasks: Sequence[ResolvedTask], graph: Graph) -> list[TaskNode]:
    """The tasks of a new run."""
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


def _detail_rank(state: str) -> int:
    """The rank of a state for an entry in status; the lowest rank is kept first."""
    return _DETAILED_FIRST.index(state) if state in _DETAILED_FIRST else len(_DETAILED_FIRST)


_DETAILED_FIRST = (TaskState.FAILED, TaskState.UP_FOR_RETRY)


def _has_details(instance: TaskInstance) -> bool:
    """True if a resting instance needs an entry in status."""
    if instance.state is TaskState.NONE or (instance.state is TaskState.SUCCEEDED and instance.tries_before):
        return any("message" in past or "startedAt" in past for past in instance.tries)
    return instance.state is not TaskState.SUCCEEDED


_NEVER_TRIED = frozenset({TaskState.NONE, TaskState.UPSTREAM_FAILED, TaskState.SKIPPED, TaskState.REMOVED})
_PRECEDENCE = (
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
