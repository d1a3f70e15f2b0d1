"""One run in memory: its tasks, the slots they hold, and how it ends.

A RunState is rebuilt from the run's status and the reports on its tries at any time (after a restart, after a write
conflict): it holds nothing that those do not say. Reports may come twice, late, or before the run knows that the try
exists; none of it changes the result.

start.py says what moves a task that waits, try_life.py what reports and time do to a try.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from tradewind.api.duration import format_duration
from tradewind.api.resolve import ResolvedDag
from tradewind.api.variables import Variables
from tradewind.engine.rules.mapping import ForEachError, for_each_of, items_of
from tradewind.engine.rules.moments import believable
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.rules.previous_runs import PastRuns
from tradewind.engine.rules.rendering import item_values
from tradewind.engine.rules.run_end import ENDING_REASONS, run_end
from tradewind.engine.rules.time_limits import end_of_stopped
from tradewind.engine.run.early_reports import EarlyReports
from tradewind.engine.run.graph import Graph
from tradewind.engine.run.index_set import IndexSet
from tradewind.engine.run.known_tries import has_result
from tradewind.engine.run.run_info import Note, RunInfo, Stop, Wait
from tradewind.engine.run.slot_queue import SlotQueue
from tradewind.engine.run.slots import Slots
from tradewind.engine.run.states import FINISHED_PHASES, RunPhase, TaskState
from tradewind.engine.run.stuck import Stuck
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode
from tradewind.engine.run.timers import Room, Timer, Timers
from tradewind.engine.run.tries import StopReason, TryKey, TryReport
from tradewind.engine.status.restore import finish, is_at_rest, restore, restore_tasks, tasks_of
from tradewind.engine.status.run_status import run_status
from tradewind.engine.transitions import start, try_life
from tradewind.engine.transitions.counting import count_ended, count_more, look_behind, pair


class RunState:
    """The tasks of one run and what they wait for."""

    def __init__(
        self,
        info: RunInfo,
        dag: ResolvedDag,
        slots: Slots,
        *,
        status: Mapping[str, Any] | None = None,
        graph: Graph | None = None,
        variables: Callable[[], Variables] = Variables,
        unfold: bool = True,
    ) -> None:
        """`variables`: what the ConfigMaps of the run's namespace say at the moment it is called. Without `unfold`
        nothing may be asked of the run before unfold() has come to its end."""
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
        """Whether status() would say something new since `changed` was last cleared."""
        self.total = self.unfinished = len(dag.tasks)
        """Task instances, as far as is known, and those that have not ended."""
        self.outputs: dict[str, dict[str, Any]] = {}
        """What templates see as `tasks`: by name (also with _ for -) the output of each task that has ended."""
        self.output_bytes = 0
        self.group_sizes: dict[str, int] = {}
        """Items of the mapped groups that know theirs."""
        self.early, self.stuck = EarlyReports(), Stuck()
        self._dirty: dict[tuple[int, int | None], None] = {}
        self.timers, self.queue = Timers(), SlotQueue(self)
        self._stops: list[Stop] = []
        self._notes: list[Note] = []
        self._waits: list[Wait] = []
        self._pokes: list[TaskInstance] = []
        self._faults: list[str] = []
        self.kept: list[dict[str, Any]] = []
        """While the run is at rest: what status says of its tasks."""
        if status and status.get("phase"):
            restore(self, status)
        if unfold:
            finish(self.unfold())

    def unfold(self) -> Iterator[None]:
        """Make its tasks, unless it only waits in the queue, in pieces of some milliseconds."""
        if not is_at_rest(self):
            yield from self._unfold()

    @cached_property
    def nodes(self) -> list[TaskNode]:
        """Its tasks, made when they are first asked for: a run that only waits in the queue does without."""
        finish(self._unfold())
        nodes: list[TaskNode] = self.__dict__["nodes"]
        return nodes

    def _unfold(self) -> Iterator[None]:
        nodes = self.__dict__["nodes"] = tasks_of(self)
        kept, self.kept = self.kept, []
        if kept:
            yield from restore_tasks(self, kept)
        self.restore_run_timer()
        for node in nodes:
            if not node.finished:
                self.recheck(node.position)

    @property
    def folded(self) -> bool:
        """Whether its tasks have not been asked for yet."""
        return "nodes" not in self.__dict__

    # Events -----------------------------------------------------------------------------------------------------

    def begin(self, now: datetime) -> None:
        """Leave the queue: tasks may start from now on. By nobody's clock that was before the run was made."""
        _ = self.nodes
        self.phase, self.message, self.reason = RunPhase.RUNNING, None, None
        self.started_at = max(now, self.info.created_at or now)
        self.restore_run_timer()
        self.changed = True

    def suspend(self, suspended: bool) -> None:
        """From now on no task starts, or tasks start again; what runs goes on."""
        if self.suspended == suspended:
            return
        self.suspended, self.changed = suspended, True
        if not (suspended or self.folded):
            for node in self.nodes:
                if not node.finished:
                    self.recheck(node.position)

    def wait(self, message: str) -> None:
        """Say why the run stays in the queue."""
        if self.message != message:
            self.message = message
            self.changed = True

    def report(self, report: TryReport, now: datetime) -> None:
        """Take in what happened to a try. Call advance() after the last report."""
        if self.phase not in FINISHED_PHASES:
            try_life.report(self, report, now)

    def advance(self, now: datetime) -> None:
        """Follow up on everything that has changed or come due."""
        if self.phase is not RunPhase.RUNNING:
            return
        # What has happened comes before what is due now: a run whose last task ended is not too late any more.
        self._follow_up(now)
        self._fire_timers(now)
        self._follow_up(now)
        if self.finished:
            return
        if self.unfinished == 0 and self._all_have_finished():
            end = run_end(self, now)
            self._end(end.phase, end.reason, end.message, end.when)
        elif not (self.active or self.queue or self.suspended or self._waiting()):
            self.fail("Deadlock", "no task can ever start any more", now)

    def _all_have_finished(self) -> bool:
        """Whether the tasks say so too, each of them: a run that finished before they did could not be trusted."""
        left = sum(node.unfinished for node in self.nodes)
        if left:
            self._faults.append(f"{left} task instances were counted as finished that are not")
            self.unfinished = left
        return not left

    def _waiting(self) -> bool:
        """Whether some time, or something outside of the run, will yet move a task."""
        return bool(self.early or self.held) or self.timers.of_tasks

    def recheck(self, position: int, index: int | None = None) -> None:
        """Something that a task (or one instance of it) waits for may have come."""
        self._dirty[position, index] = None

    def _follow_up(self, now: datetime) -> None:
        while self._dirty:
            position, index = next(iter(self._dirty))
            del self._dirty[position, index]
            start.consider(self, self.nodes[position], index, now)

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

    def has_result(self, key: TryKey) -> bool:
        """Whether status() tells how a try ended (or will never need it)."""
        return has_result(self, key)

    def fail(self, reason: str, message: str, now: datetime) -> None:
        """End the run now: what has not finished is skipped, what is under way is stopped."""
        self.phase = RunPhase.FAILED
        self.skip_unfinished(reason, f"the run ended: {message}", now, teardowns=True)
        self._dirty.clear()
        self._end(RunPhase.FAILED, reason, message, now)

    def skip_unfinished(self, reason: str, message: str, now: datetime, *, teardowns: bool) -> None:
        """Skip every instance that has not ended; stop those under way."""
        for node in self.nodes:
            if node.finished or (node.task.teardown and not teardowns):
                continue
            skipped = Outcome(TaskState.SKIPPED, reason, message)
            for state in (TaskState.NONE, TaskState.SCHEDULED, TaskState.UP_FOR_RETRY):
                if indexes := node.resting.get(state):
                    self.finish_resting(node, indexes.copy(), skipped, now, before=state)
            for instance in [one for one in (node.live.values() if node.count else (node.whole,)) if not one.finished]:
                if instance.holds_slots and instance.next_poke_at is None:
                    self._stops.append(Stop(self.info, instance.task, instance.key, StopReason(reason, message)))
                self.finish(instance, end_of_stopped(instance) or skipped, now)

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
        """The waitFor tasks that have begun to wait since the last call (or since the run was loaded)."""
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
        instance.stop = why
        self._stops.append(Stop(self.info, instance.task, instance.key, why))

    def wait_for(self, instance: TaskInstance) -> None:
        """Ask to be told when what a waitFor task waits for has come."""
        self._waits.append(Wait(self.info, instance.task, instance.key))

    def poke(self, instance: TaskInstance) -> None:
        """Ask for the next Pod of a sensor that kept its slots."""
        self._pokes.append(instance)

    def note(self, instance: TaskInstance | None, reason: str, message: str, cause: str | None = None) -> None:
        """Note what happened; with a cause it is a warning."""
        task = instance.name if instance else None
        self._notes.append(Note(self.info, task, reason, message, cause is not None, cause))

    # The end of instances ---------------------------------------------------------------------------------------

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

    def finish(self, instance: TaskInstance, outcome: Outcome, when: datetime) -> None:
        """An instance has ended for good."""
        node = self.nodes[instance.position]
        if instance.finished or (node.count and instance.index is None):
            self._faults.append(f"{instance.name} is {instance.state}: it is not {outcome.state} now")
            return
        when = believable(when, instance.started_at or instance.queued_at or instance.scheduled_at, when)
        self.queue.discard(instance)
        self.give_back(instance)
        instance.state, instance.reason, instance.message = outcome.state, outcome.reason, outcome.message
        instance.output, instance.has_output = outcome.output, outcome.has_output
        instance.finished_at, instance.retry_at, instance.next_poke_at = when, None, None
        self.mark(instance)
        self.early.forget(instance.task.name, instance.index)
        if outcome.state is TaskState.FAILED:
            after = f"failed after try {instance.number}: " if instance.number else "failed: "
            self.note(instance, "TaskFailed", after + outcome.why(), outcome.reason or "Error")
        if node.count:
            node.rest(instance)
        elif node.mapped:
            self.early.forget_from(node.task.name, 0)
        self._ended(node, instance.state, instance.index, when)
        if outcome.state is TaskState.FAILED and self.dag.fail_fast:
            self._fail_fast(instance, when)

    def finish_resting(
        self,
        node: TaskNode,
        indexes: IndexSet,
        outcome: Outcome,
        when: datetime,
        *,
        before: TaskState = TaskState.NONE,
    ) -> None:
        """Many instances that had not begun have ended alike."""
        if wrong := indexes - node.resting.get(before, IndexSet()):
            self._faults.append(f"{node.task.name}[{wrong}] is not {before}: it is not {outcome.state} now")
            if not (indexes := indexes - wrong):
                return
        node.move(indexes, before, outcome.state)
        node.reason, node.message = outcome.reason, outcome.message
        if before is TaskState.SCHEDULED:
            self.queue.discard_all(node)
        self.moves(node)
        self._ended(node, outcome.state, indexes, when)

    def expanded(self, node: TaskNode, count: int) -> None:
        """A mapped task has that many instances (one or more)."""
        node.expand(count)
        self.total += count - 1
        self.unfinished += count - 1
        count_more(self, node, count - 1)
        pair(self, node)
        self.early.forget_from(node.task.name, count)
        self.changed = True

    def _ended(self, node: TaskNode, state: TaskState, ended: IndexSet | int | None, when: datetime) -> None:
        """Instances have ended: tell what comes after them."""
        self.unfinished -= len(ended) if isinstance(ended, IndexSet) else 1
        node.finished_at = believable(when, node.started_at, when)
        if node.finished:
            self.publish_output(node)
            self.hold_back(node, None)
        count_ended(self, node, state, ended)
        if node.task.short_circuit:
            look_behind(self, node, ended if isinstance(ended, int) else None)

    def publish_output(self, node: TaskNode) -> None:
        """Let templates see the output of a task that has ended."""
        there, output = node.output
        entry = {"output": output} if there else {}
        self.outputs[node.task.name] = self.outputs[node.task.name.replace("-", "_")] = entry

    def _fail_fast(self, instance: TaskInstance, now: datetime) -> None:
        """The first failure stops the run, but for its teardowns (whose own failures only count if they say so)."""
        task = instance.task
        if self.finished or self.reason in ENDING_REASONS or (task.teardown and not task.on_failure_fail_run):
            return
        self.reason, self.message = "FailFast", f"{instance.name} failed, and failFast stops the run"
        self.skip_unfinished("FailFast", f"the run is ending: {self.message}", now, teardowns=False)

    # Time -------------------------------------------------------------------------------------------------------

    @property
    def wake_at(self) -> datetime | None:
        """When advance() has something to do even if nothing happens."""
        return self.timers.next if self.phase is RunPhase.RUNNING else None

    def wait_for_retry(self, instance: TaskInstance, when: datetime) -> None:
        """The next try of an instance is due then."""
        node = self.nodes[instance.position]
        if instance.index is None or instance.task.sensor is not None:
            self.timers.set(when, instance)
            return
        node.rest(instance)
        if node.due.set(instance.index, when):
            self.timers.set_for_resting(when, node)

    def restore_run_timer(self) -> None:
        """Wake when a run that had started before has had its time."""
        if self.started_at and self.dag.run_timeout:
            self.timers.set_for_run(self.started_at + self.dag.run_timeout)

    def _fire_timers(self, now: datetime) -> None:
        for timer in self.timers.due(now, self.room):
            if not timer.of_run:
                self._fire(timer, now)
            elif self.dag.run_timeout and self.unfinished:
                limit = format_duration(self.dag.run_timeout)
                self.fail("RunTimeout", f"it took longer than runTimeout ({limit})", now)
                return

    def _fire(self, timer: Timer, now: datetime) -> None:
        node = self.nodes[timer.position]
        instance = node.live.get(timer.place) if node.count else node.whole
        if timer.of_more:
            self.recheck(node.position)
        elif timer.of_resting:
            try_life.schedule_all(self, node, node.due.take(timer.when), now)
        elif instance is not None and instance.attempt == timer.attempt and not instance.finished:
            try_life.fire(self, instance, now)

    # The run ----------------------------------------------------------------------------------------------------

    def _end(self, phase: RunPhase, reason: str, message: str | None, now: datetime) -> None:
        self.phase, self.reason, self.message = phase, reason, message
        self.finished_at = now = believable(now, self.started_at, now)
        self.changed = True
        took = format_duration(now - (self.started_at or now))
        note = f"{phase.value} after {took}" + (f": {message}" if message else "")
        self.note(None, phase.value, note, reason if phase is RunPhase.FAILED else None)

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

    def items_of(self, node: TaskNode) -> list[Any]:
        """What the instances of a mapped task are about; after a restart made out anew, as status does not have it."""
        if node.items is None:
            try:
                node.items = items_of(self, for_each_of(self, node.task), item_values(self, node.task))
            except ForEachError:
                node.items = []
        return node.items

    @property
    def finished(self) -> bool:
        """Whether the run has ended."""
        return self.phase in FINISHED_PHASES

    def status(self) -> dict[str, Any]:
        """DagRun.status, JSON-ready."""
        return run_status(self)
