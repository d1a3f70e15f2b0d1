"""One run in memory: its tasks, the slots they hold, its timers, and what it asks of others.

A RunState is rebuilt from the run's status and the reports on its tries at any time (after a restart, after a write
conflict): it holds nothing that those do not say. Reports may come twice, late, or before the run knows that the try
exists; none of it changes the result. What changes it by the rules is in transitions/.
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
"""Takes over what status entries say of the tasks of a run, in pieces."""


class PastRuns(Protocol):
    """The run before, as far as a task depends on it."""

    def why_not(self, task: ResolvedTask) -> str | None:
        """Why the task cannot start yet, or None when nothing in the past keeps it."""


class RunState:
    """The tasks of one run and what they wait for."""

    def __init__(
        self,
        info: RunInfo,
        dag: ResolvedDag,
        slots: Slots,
        *,
        graph: Graph | None = None,
        variables: Callable[[], Variables] = Variables,
    ) -> None:
        """A run that nothing has happened to; status.restore.load() makes one from its status. `variables`: what the
        ConfigMaps of the run's namespace say at the moment it is called."""
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
        """Earlier runs of the Dag, where a task depends on them."""
        self.held: set[int] = set()
        """Tasks that could begin but for an earlier run."""
        self.moved: set[int] | None = None
        """Where a later run may wait for tasks of this one: those to which something has happened."""
        self.suspended = False
        """While true no task starts."""
        self.requests: list[dict[str, Any]] = []
        """What was asked of the run so far, and what became of it."""
        self.removed: list[dict[str, Any]] = []
        """Status entries of tasks that were in the Dag when the run began, and are not any more."""
        self.active = 0
        """Task instances that hold slots."""
        self.changed = False
        """Whether its status would say something new since `changed` was last cleared."""
        self.total = self.unfinished = len(dag.tasks)
        """Task instances, as far as is known, and those that have not ended."""
        self.outputs: dict[str, dict[str, Any]] = {}
        """What templates see as `tasks`: by name (also with _ for -) the output of each task that has ended."""
        self.output_bytes = 0
        self.group_sizes: dict[str, int] = {}
        """Items of the mapped groups that know theirs."""
        self.early, self.stuck = EarlyReports(), Stuck()
        self.dirty: dict[tuple[int, int | None], None] = {}
        """Tasks, or instances of them, that are to be looked at: see recheck()."""
        self.timers, self.queue = Timers(), SlotQueue(self)
        self._stops: list[Stop] = []
        self._notes: list[Note] = []
        self._waits: list[Wait] = []
        self._pokes: list[TaskInstance] = []
        self._faults: list[str] = []
        self.kept: list[dict[str, Any]] = []
        """While the run is at rest: what status says of its tasks."""
        self._restore_tasks: RestoreTasks | None = None

    def keep(self, entries: list[dict[str, Any]], restore_tasks: RestoreTasks) -> None:
        """The status entries of its tasks, and the function that takes over what they say once the tasks are made."""
        self.kept, self._restore_tasks = entries, restore_tasks

    @cached_property
    def nodes(self) -> list[TaskNode]:
        """Its tasks, made when they are first asked for: a run that only waits in the queue does without."""
        for _ in self.unfold():
            pass
        nodes: list[TaskNode] = self.__dict__["nodes"]
        return nodes

    def unfold(self) -> Iterator[None]:
        """Make its tasks, in pieces of some milliseconds."""
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
        """Whether its tasks have not been asked for yet."""
        return "nodes" not in self.__dict__

    # What it waits for ------------------------------------------------------------------------------------------

    def wait(self, message: str) -> None:
        """Say why the run stays in the queue."""
        if self.message != message:
            self.message = message
            self.changed = True

    def recheck(self, position: int, index: int | None = None) -> None:
        """Something that a task (or one instance of it) waits for may have come."""
        self.dirty[position, index] = None

    def missing(self, present: Iterable[TryKey]) -> list[TryKey]:
        """Tries that status says are under way and that are not among `present`."""
        if self.folded:
            return []
        # Nor those whose Pod has still to be made: a sensor that keeps its slots is Running all the time.
        known = {*present, *(instance.key for instance in self._pokes)}
        return [
            instance.key
            for node in self.nodes
            for instance in (node.live.values() if node.count else (node.whole,))
            if instance.under_way and instance.key not in known
        ]

    # Slots ------------------------------------------------------------------------------------------------------

    def release(self) -> None:
        """Give back every slot: the run is gone."""
        for node in () if self.folded else self.nodes:
            for instance in (node.whole, *node.live.values()):
                self.give_back(instance)

    def hold(self, instance: TaskInstance) -> None:
        """The instance takes its slots."""
        if not instance.holds_slots:
            instance.holds_slots = True
            self.active += 1
            self.nodes[instance.position].active += 1
            self.slots.take(self.info, instance.task)

    def give_back(self, instance: TaskInstance) -> None:
        """The instance's slots are free again."""
        if instance.holds_slots:
            instance.holds_slots = False
            self.active -= 1
            self.nodes[instance.position].active -= 1
            self.slots.give_back(self.info, instance.task)

    # What is to be done by others -------------------------------------------------------------------------------

    def take_stops(self) -> list[Stop]:
        """The tries to be stopped since the last call."""
        stops, self._stops = self._stops, []
        return stops

    def take_notes(self) -> list[Note]:
        """What happened since the last call that is worth telling."""
        notes, self._notes = self._notes, []
        return notes

    def take_waits(self) -> list[Wait]:
        """The tasks that have begun to wait for a report since the last call (or since the run was loaded)."""
        waits, self._waits = self._waits, []
        return waits

    def take_pokes(self) -> list[TaskInstance]:
        """The sensors that look again, with the slots they have kept."""
        pokes, self._pokes = self._pokes, []
        return pokes

    def take_faults(self) -> list[str]:
        """What has happened since the last call that never should: an error of the engine, which it did not follow."""
        faults, self._faults = self._faults, []
        return faults

    def stop(self, instance: TaskInstance, why: StopReason) -> None:
        """Ask for the end of the current try."""
        self._stops.append(Stop(self.info, instance.task, instance.key, why))

    def delegate(self, instance: TaskInstance) -> None:
        """Ask for a report when what a task waits for has come."""
        self._waits.append(Wait(self.info, instance.task, instance.key))

    def poke(self, instance: TaskInstance) -> None:
        """Ask for the next Pod of a sensor that kept its slots."""
        self._pokes.append(instance)

    def note(self, instance: TaskInstance | None, reason: str, message: str, cause: str | None = None) -> None:
        """Note what happened; with a cause it is a warning."""
        task = instance.name if instance else None
        self._notes.append(Note(self.info, task, reason, message, cause is not None, cause))

    def fault(self, message: str) -> None:
        """Note an error of the engine, which it does not follow."""
        self._faults.append(message)

    # What has changed -------------------------------------------------------------------------------------------

    def mark(self, instance: TaskInstance) -> None:
        """The instance has changed."""
        instance.touch()
        self.moves(self.nodes[instance.position])

    def moves(self, node: TaskNode) -> None:
        """Something has happened to instances of the task."""
        self.changed = True
        if self.moved is not None:
            self.moved.add(node.position)

    def hold_back(self, node: TaskNode, why: str | None) -> None:
        """An earlier run keeps the task from starting, or (None) does not."""
        if node.past != why:
            node.past = why
            self.changed = True
            if why is None:
                self.held.discard(node.position)
            else:
                self.held.add(node.position)

    def publish_output(self, node: TaskNode) -> None:
        """Let templates see the output of a task that has ended."""
        there, output = node.output
        entry = {"output": output} if there else {}
        self.outputs[node.task.name] = self.outputs[node.task.name.replace("-", "_")] = entry

    # Time -------------------------------------------------------------------------------------------------------

    @property
    def wake_at(self) -> datetime | None:
        """When advance() has something to do even if nothing happens."""
        return self.timers.next if self.phase is RunPhase.RUNNING else None

    def wait_for_retry(self, instance: TaskInstance, when: datetime) -> None:
        """The next try of an instance is due then."""
        node = self.nodes[instance.position]
        if instance.index is None or not instance.task.kind.rests:
            self.timers.set(when, instance)
            return
        node.rest(instance)
        if node.due.set(instance.index, when):
            self.timers.set_for_resting(when, node)

    def set_run_timer(self) -> None:
        """Wake when the run, if it has started, has had its time."""
        if self.started_at and self.dag.run_timeout:
            self.timers.set_for_run(self.started_at + self.dag.run_timeout)

    # The run ----------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[TaskInstance]:
        """Every task instance, to look at."""
        for node in self.nodes:
            yield from node

    def __getitem__(self, task: str) -> TaskInstance:
        """A task that is not mapped (or not yet), by name."""
        return self.node(task).whole

    def node(self, task: str) -> TaskNode:
        """A task by name. Raises KeyError."""
        return self.nodes[self.graph.position[task]]

    def instance(self, task: str, index: int | None) -> TaskInstance | None:
        """A task instance, to look at; None where there is none."""
        position = self.graph.position.get(task)
        return None if position is None else self.nodes[position].peek(index)

    def tally(self) -> Counter[TaskState]:
        """How many task instances are in each state."""
        if self.folded:
            known = Counter(TaskState(entry["state"]) for entry in self.kept)
            return known + Counter({TaskState.NONE: self.total - known.total()})
        found: Counter[TaskState] = Counter()
        for node in self.nodes:
            found.update(node.tally())
        return found

    @property
    def finished(self) -> bool:
        """Whether the run has ended."""
        return self.phase in FINISHED_PHASES
