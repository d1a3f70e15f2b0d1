"""One run in memory: its tasks, the slots they hold, its timers, and its requests to the caller.

A RunState can be rebuilt from the run's status and the reports about its tries at any time (after a restart, after a
write conflict): it has no other facts. Reports may arrive twice, late, or before the run has reached the try; the
result is the same. The functions that change a run by the rules are in transitions/.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

from tradewind.api.resolve import ResolvedDag, ResolvedTask
from tradewind.api.variables import Variables
from tradewind.engine.run.early_reports import EarlyReports
from tradewind.engine.run.graph import Graph
from tradewind.engine.run.run_info import Note, RunInfo, Stop, Wait
from tradewind.engine.run.slot_queue import SlotQueue
from tradewind.engine.run.slots import Slots
from tradewind.engine.run.states import FINISHED_PHASES, RunPhase, TaskState
from tradewind.engine.run.stuck import Stuck
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode, new_nodes
from tradewind.engine.run.timers import Room, Timers
from tradewind.engine.run.tries import StopReason, TryKey

RestoreTasks = Callable[["RunState", list[dict[str, Any]]], Iterator[None]]
"""Restores the tasks of a run from status entries, in pieces."""


class PastRuns(Protocol):
    """The previous run, as far as a task depends on it."""

    def why_not(self, task: ResolvedTask) -> str | None:
        """The reason why the previous run blocks the task, or None if it does not."""


class RunState:
    """One run and its tasks."""

    def __init__(
        self,
        info: RunInfo,
        dag: ResolvedDag,
        slots: Slots,
        *,
        graph: Graph | None = None,
        variables: Callable[[], Variables] = Variables,
    ) -> None:
        """A new run; status.restore.load() makes one from its status. `variables` returns the current values from the
        ConfigMaps of the run's namespace."""
        self.info = info
        self.variables = variables
        self.dag = dag
        self.graph = graph or Graph.of(dag.tasks)
        self.slots, self.room = slots, Room()
        self.phase = RunPhase.QUEUED
        self.reason: str | None = None
        self.message: str | None = None
        self.started_at: datetime | None = None
        self.finished_at: datetime | None = None
        self.past: PastRuns | None = None
        """Previous runs of the Dag, if a task depends on them."""
        self.blocked: set[int] = set()
        """Tasks that only a previous run keeps from starting."""
        self.moved: set[int] | None = None
        """Tasks that have changed, if a later run may wait for tasks of this one; else None."""
        self.suspended = False
        """True while no new tasks start."""
        self.requests: list[dict[str, Any]] = []
        """The record of requests about the run (status.requests)."""
        self.removed: list[dict[str, Any]] = []
        """Status entries of tasks that are not in the run's Dag any more."""
        self.active = 0
        """Task instances that hold slots."""
        self.changed = False
        """True if its status has changed since `changed` was last cleared."""
        self.total = self.unfinished = len(dag.tasks)
        """The number of known task instances, and of those that have not finished."""
        self.outputs: dict[str, dict[str, Any]] = {}
        """`tasks` in templates: the output of each finished task, by name (also with _ for -)."""
        self.output_bytes = 0
        self.group_sizes: dict[str, int] = {}
        """The number of items of each mapped group whose items are known."""
        self.early, self.stuck = EarlyReports(), Stuck()
        self.dirty: dict[tuple[int, int | None], None] = {}
        """Tasks, or instances of them, to re-evaluate: see recheck()."""
        self.timers, self.queue = Timers(), SlotQueue(self)
        self._stops: list[Stop] = []
        self._notes: list[Note] = []
        self._waits: list[Wait] = []
        self._pokes: list[TaskInstance] = []
        self._faults: list[str] = []
        self.kept: list[dict[str, Any]] = []
        """The status entries of its tasks, until the tasks are created."""
        self._restore_tasks: RestoreTasks | None = None

    def keep(self, entries: list[dict[str, Any]], restore_tasks: RestoreTasks) -> None:
        """Keep the status entries of its tasks, and the function that restores the tasks from them later."""
        self.kept, self._restore_tasks = entries, restore_tasks

    @cached_property
    def nodes(self) -> list[TaskNode]:
        """Its tasks, created on first use: a run that only waits in the queue does not need them."""
        for _ in self.unfold():
            pass
        nodes: list[TaskNode] = self.__dict__["nodes"]
        return nodes

    def unfold(self) -> Iterator[None]:
        """Create its tasks, in pieces of a few milliseconds."""
        nodes = self.__dict__["nodes"] = new_nodes(self.dag.tasks, self.graph)
        kept, self.kept = self.kept, []
        if kept and self._restore_tasks is not None:
            yield from self._restore_tasks(self, kept)
        self.set_run_timer()
        for node in nodes:
            if not node.finished:
                self.recheck(node.position)

    @property
    def folded(self) -> bool:
        """True if its tasks have not been created yet."""
        return "nodes" not in self.__dict__

    # Waiting ----------------------------------------------------------------------------------------------------

    def wait(self, message: str) -> None:
        """Set the reason why the run stays in the queue."""
        if self.message != message:
            self.message = message
            self.changed = True

    def recheck(self, position: int, index: int | None = None) -> None:
        """Mark a task (or one instance of it) for re-evaluation: a condition that it waits for may be met now."""
        self.dirty[position, index] = None

    def missing(self, present: Iterable[TryKey]) -> list[TryKey]:
        """The active tries that are not among `present`."""
        if self.folded:
            return []
        # A sensor that keeps its slots is Running even while its next Pod is not created yet.
        known = {*present, *(instance.key for instance in self._pokes)}
        return [
            instance.key
            for node in self.nodes
            for instance in (node.live.values() if node.count else (node.whole,))
            if instance.expects_pod and instance.key not in known
        ]

    # Slots ------------------------------------------------------------------------------------------------------

    def release(self) -> None:
        """Give back all slots of a run that is removed."""
        for node in () if self.folded else self.nodes:
            for instance in (node.whole, *node.live.values()):
                self.give_back(instance)

    def hold(self, instance: TaskInstance) -> None:
        """Take the slots of an instance."""
        if not instance.holds_slots:
            instance.holds_slots = True
            self.active += 1
            self.nodes[instance.position].active += 1
            self.slots.take(self.info, instance.task)

    def give_back(self, instance: TaskInstance) -> None:
        """Give back the slots of an instance."""
        if instance.holds_slots:
            instance.holds_slots = False
            self.active -= 1
            self.nodes[instance.position].active -= 1
            self.slots.give_back(self.info, instance.task)

    # Requests to the caller -------------------------------------------------------------------------------------

    def take_stops(self) -> list[Stop]:
        """The tries to stop, since the last call."""
        stops, self._stops = self._stops, []
        return stops

    def take_notes(self) -> list[Note]:
        """The Events since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def take_waits(self) -> list[Wait]:
        """The tasks that started to wait for a report, since the last call (or since the run was loaded)."""
        waits, self._waits = self._waits, []
        return waits

    def take_pokes(self) -> list[TaskInstance]:
        """The sensors that poke again with the slots that they kept, since the last call."""
        pokes, self._pokes = self._pokes, []
        return pokes

    def take_faults(self) -> list[str]:
        """The internal errors since the last call: transitions that the engine refused."""
        faults, self._faults = self._faults, []
        return faults

    def stop(self, instance: TaskInstance, why: StopReason) -> None:
        """Request to stop the current try."""
        self._stops.append(Stop(self.info, instance.task, instance.key, why))

    def delegate(self, instance: TaskInstance) -> None:
        """Request a report once the condition that a task waits for is met."""
        self._waits.append(Wait(self.info, instance.task, instance.key))

    def poke(self, instance: TaskInstance) -> None:
        """Request the next Pod of a sensor that kept its slots."""
        self._pokes.append(instance)

    def note(self, instance: TaskInstance | None, reason: str, message: str, cause: str | None = None) -> None:
        """Record an Event; with a cause it is a warning."""
        task = instance.name if instance else None
        self._notes.append(Note(self.info, task, reason, message, cause is not None, cause))

    def fault(self, message: str) -> None:
        """Record an internal error: a transition that the engine refuses."""
        self._faults.append(message)

    # Changes ----------------------------------------------------------------------------------------------------

    def instance_changed(self, instance: TaskInstance) -> None:
        """Note that an instance has changed."""
        instance.touch()
        self.node_changed(self.nodes[instance.position])

    def node_changed(self, node: TaskNode) -> None:
        """Note that instances of a task have changed."""
        self.changed = True
        if self.moved is not None:
            self.moved.add(node.position)

    def set_blocked(self, node: TaskNode, why: str | None) -> None:
        """Set the reason why a previous run keeps a task from starting; None if it does not."""
        if node.past != why:
            node.past = why
            self.changed = True
            if why is None:
                self.blocked.discard(node.position)
            else:
                self.blocked.add(node.position)

    def publish_output(self, node: TaskNode) -> None:
        """Make the output of a finished task available to templates."""
        has_output, output = node.output
        entry = {"output": output} if has_output else {}
        self.outputs[node.task.name] = self.outputs[node.task.name.replace("-", "_")] = entry

    # Time -------------------------------------------------------------------------------------------------------

    @property
    def wake_at(self) -> datetime | None:
        """When the run must be advanced even if nothing happens."""
        return self.timers.next if self.phase is RunPhase.RUNNING else None

    def wait_for_retry(self, instance: TaskInstance, when: datetime) -> None:
        """Set when the next try of an instance is due."""
        node = self.nodes[instance.position]
        if instance.index is None or not instance.task.kind.rests:
            self.timers.set(when, instance)
            return
        node.rest(instance)
        if node.due.set(instance.index, when):
            self.timers.set_for_resting(when, node)

    def set_run_timer(self) -> None:
        """Set the timer for runTimeout, if the run has started."""
        if self.started_at and self.dag.run_timeout:
            self.timers.set_for_run(self.started_at + self.dag.run_timeout)

    # The run ----------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[TaskInstance]:
        """Every task instance, read-only."""
        for node in self.nodes:
            yield from node

    def __getitem__(self, task: str) -> TaskInstance:
        """The instance of a task without indexes, by name."""
        return self.node(task).whole

    def node(self, task: str) -> TaskNode:
        """A task by name. Raises KeyError."""
        return self.nodes[self.graph.position[task]]

    def instance(self, task: str, index: int | None) -> TaskInstance | None:
        """A task instance, read-only; None if it does not exist."""
        position = self.graph.position.get(task)
        return None if position is None else self.nodes[position].peek(index)

    def tally(self) -> Counter[TaskState]:
        """The number of task instances in each state."""
        if self.folded:
            known = Counter(TaskState(entry["state"]) for entry in self.kept)
            return known + Counter({TaskState.NONE: self.total - known.total()})
        found: Counter[TaskState] = Counter()
        for node in self.nodes:
            found.update(node.tally())
        return found

    @property
    def finished(self) -> bool:
        """True if the run has finished."""
        return self.phase in FINISHED_PHASES
