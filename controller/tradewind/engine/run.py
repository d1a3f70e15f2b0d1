"""One run in memory: what each event does to its task instances, and what it wants next.

A RunState is rebuilt from the run's status and the reports on its tries at any time (after a restart, after a write
conflict): it holds nothing that those do not say. Reports may come twice, late, or before the run knows that the try
exists; none of it changes the result.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from tradewind.api.duration import format_duration
from tradewind.api.resolve import ResolvedDag
from tradewind.engine.graph import Graph
from tradewind.engine.outcome import Outcome, judge, output_size
from tradewind.engine.ready_queue import ReadyQueue
from tradewind.engine.retries import postpone_delay, retry_delay
from tradewind.engine.run_end import run_end
from tradewind.engine.run_info import Note, RunInfo, Stop
from tradewind.engine.run_status import OUTPUT_BUDGET, TRIES_BUDGET, run_status
from tradewind.engine.slots import Slots
from tradewind.engine.states import FINISHED_PHASES, RunPhase, TaskState
from tradewind.engine.task_instance import MAX_TRIES_KEPT, TaskInstance, parse_time
from tradewind.engine.time_limits import limit_reached, overdue
from tradewind.engine.tries import StopReason, TryEvent, TryReport
from tradewind.engine.trigger_rules import UpstreamCounts, evaluate
from tradewind.engine.trigger_rules.upstream import End, Run


class RunState:
    """The task instances of one run and what they wait for."""

    def __init__(
        self,
        info: RunInfo,
        dag: ResolvedDag,
        slots: Slots,
        *,
        status: Mapping[str, Any] | None = None,
        graph: Graph | None = None,
    ) -> None:
        self.info = info
        self.dag = dag
        self.graph = graph or Graph.of(dag.tasks)
        self.phase = RunPhase.QUEUED
        self.reason: str | None = None
        self.message: str | None = None
        self.started_at: datetime | None = None
        self.finished_at: datetime | None = None
        self.active = 0
        """Task instances that hold slots."""
        self.changed = False
        """Whether status() would say something new since `changed` was last cleared."""
        self._slots = slots
        tries_kept = max(1, min(MAX_TRIES_KEPT, TRIES_BUDGET // len(dag.tasks)))
        self._instances = [
            TaskInstance(task, position, UpstreamCounts(len(self.graph.upstream[position])), tries_kept=tries_kept)
            for position, task in enumerate(dag.tasks)
        ]
        self.unfinished = len(self._instances)
        """Tasks that have not ended."""
        self.outputs: dict[str, dict[str, Any]] = {}
        """What templates see as `tasks`: by name (also with _ for -) the output of each task that has one."""
        self._dirty: deque[int] = deque()
        self._timers: list[tuple[datetime, int, int]] = []
        self._ready = ReadyQueue()
        self._blocked: dict[str, str] = {}
        self._too_wide: list[int] = []
        self._early: dict[tuple[int, int], TryReport] = {}
        self._stops: list[Stop] = []
        self._notes: list[Note] = []
        self._output_bytes = 0
        if status and status.get("phase"):
            self._restore(status)
        self._dirty.extend(i for i, instance in enumerate(self._instances) if instance.state is TaskState.NONE)

    # Events -----------------------------------------------------------------------------------------------------

    def begin(self, now: datetime) -> None:
        """Leave the queue: tasks may start from now on."""
        self.phase, self.started_at, self.message, self.reason = RunPhase.RUNNING, now, None, None
        if self.dag.run_timeout:
            self._set_timer(now + self.dag.run_timeout, _RUN, 0)
        self.changed = True

    def wait(self, message: str) -> None:
        """Say why the run stays in the queue."""
        if self.message != message:
            self.message = message
            self.changed = True

    def report(self, report: TryReport, now: datetime) -> None:
        """Take in what happened to a try. Call advance() after the last report."""
        position = self.graph.position.get(report.task)
        if position is None or self.phase in FINISHED_PHASES:
            return
        instance = self._instances[position]
        if instance.finished or report.number < instance.number:
            return
        waiting = instance.state in (TaskState.NONE, TaskState.UP_FOR_RETRY)
        if report.number > instance.number or waiting:
            # A try that this state does not know yet: its Pod was made by a controller that died before it wrote
            # status. It is kept until the run comes to that try, and then taken for what it is.
            if report.number > instance.number:
                known = self._early.get((position, report.number))
                if known is None or known.event.order <= report.event.order:
                    self._early[position, report.number] = report
                self._dirty.append(position)
            return
        self._apply(instance, report, now)

    def advance(self, now: datetime) -> None:
        """Follow up on everything that has changed or come due."""
        if self.phase is not RunPhase.RUNNING:
            return
        # What has happened comes before what is due now: a run whose last task ended is not too late any more.
        self._follow_up(now)
        self._fire_timers(now)
        self._follow_up(now)
        if self.unfinished == 0 and not self.finished:
            end = run_end(self, now)
            self._end(end.phase, end.reason, end.message, end.when)

    def _follow_up(self, now: datetime) -> None:
        while self._dirty:
            self._consider(self._instances[self._dirty.popleft()], now)

    def missing(self, present: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
        """Tries that status says are under way and that are not among `present` (task, number)."""
        known = set(present)
        return [
            (instance.task.name, instance.number)
            for instance in self._instances
            if instance.state in (TaskState.QUEUED, TaskState.RUNNING)
            and (instance.task.name, instance.number) not in known
        ]

    def has_result(self, task: str, number: int) -> bool:
        """Whether status() tells how a try ended (or will never need it)."""
        position = self.graph.position.get(task)
        if position is None or self.finished:
            return True
        instance = self._instances[position]
        under_way = instance.state in (TaskState.SCHEDULED, TaskState.QUEUED, TaskState.RUNNING)
        return number < instance.number or (number == instance.number and not under_way)

    def fail(self, reason: str, message: str, now: datetime) -> None:
        """End the run now: what has not finished is skipped, what is under way is stopped."""
        for instance in self._instances:
            if instance.finished:
                continue
            if instance.holds_slots:
                self._stops.append(
                    Stop(self.info, instance.task, instance.number, StopReason(reason, f"the run ended: {message}"))
                )
            self._finish(instance, Outcome(TaskState.SKIPPED, reason, f"the run ended: {message}"), now)
        self._dirty.clear()
        self._end(RunPhase.FAILED, reason, message, now)

    # Slots ------------------------------------------------------------------------------------------------------

    @property
    def has_ready(self) -> bool:
        """Whether any task waits for nothing but slots."""
        return bool(self._ready)

    def grant(self) -> Iterator[TaskInstance]:
        """Give slots to ready tasks, first in the Dag first, as far as limits allow; yields each that got some.

        A task that waits for slots holds back those after it in the same pool, lest many narrow ones starve a wide one;
        but not one that needs more than the pool has.
        """
        blocked: dict[str, str] = {}
        too_wide: list[int] = []
        while heads := [(position, pool) for position, pool in self._ready.heads() if pool not in blocked]:
            position, pool = heads[0]
            instance = self._instances[position]
            if self._never_fits(instance):
                too_wide.append(self._ready.take(pool))
                continue
            why_not = self._why_not(instance)
            if why_not:
                blocked[pool] = why_not
                continue
            self._ready.take(pool)
            self._hold(instance)
            instance.touch()
            yield instance
        for position in too_wide:
            self._enqueue(self._instances[position])
        if (blocked, too_wide) != (self._blocked, self._too_wide):
            self._blocked, self._too_wide = blocked, too_wide
            self.changed = True

    def waits_for(self, instance: TaskInstance) -> str | None:
        """Why a ready task had no slots when they were last handed out."""
        return (self._too_wide and self._never_fits(instance)) or self._blocked.get(instance.task.pool)

    def release(self) -> None:
        """Give back every slot: the run is no longer scheduled here."""
        for instance in self._instances:
            self._give_back(instance)

    def take_stops(self) -> list[Stop]:
        """The tries to be stopped since the last call."""
        stops, self._stops = self._stops, []
        return stops

    def take_notes(self) -> list[Note]:
        """What happened since the last call that is worth telling."""
        notes, self._notes = self._notes, []
        return notes

    def _note(self, instance: TaskInstance | None, reason: str, message: str, cause: str | None = None) -> None:
        """Note what happened; with a cause it is a warning."""
        task = instance.task.name if instance else None
        self._notes.append(Note(self.info, task, reason, message, cause is not None, cause))

    def _why_not(self, instance: TaskInstance) -> str | None:
        if self.active >= self.dag.max_active_tasks:
            return f"waits for maxActiveTasks of the Dag ({self.dag.max_active_tasks})"
        return self._slots.why_not(self.info.namespace, instance.task.pool, instance.task.pool_slots)

    def _never_fits(self, instance: TaskInstance) -> str | None:
        return self._slots.never_fits(self.info.namespace, instance.task.pool, instance.task.pool_slots)

    def _hold(self, instance: TaskInstance) -> None:
        instance.holds_slots = True
        self.active += 1
        self._slots.take(self.info.namespace, instance.task.pool, instance.task.pool_slots)

    def _give_back(self, instance: TaskInstance) -> None:
        if instance.holds_slots:
            instance.holds_slots = False
            self.active -= 1
            self._slots.give_back(self.info.namespace, instance.task.pool, instance.task.pool_slots)

    # One task instance ------------------------------------------------------------------------------------------

    def _consider(self, instance: TaskInstance, now: datetime) -> None:
        """Move a task that waits, if what it waits for has come."""
        early = (instance.position, instance.number + 1) in self._early
        if instance.state is TaskState.UP_FOR_RETRY and early:
            self._schedule(instance, now)
        if instance.state is TaskState.SCHEDULED and not instance.holds_slots:
            self._make_way(instance, now)
        if instance.state is not TaskState.NONE:
            return
        verdict = evaluate(instance.task.trigger_rule, instance.upstream)
        if isinstance(verdict, End):
            self._finish(instance, Outcome(verdict.state, "TriggerRule", verdict.reason), now)
        elif isinstance(verdict, Run):
            if instance.task.noop:
                instance.started_at = now
                self._finish(instance, Outcome(TaskState.SUCCEEDED), now)
            else:
                self._schedule(instance, now)

    def _schedule(self, instance: TaskInstance, now: datetime, *, last_try: str = "Failed") -> None:
        """Ready for its next try, or already in it when a report on that try came early."""
        instance.begin_try(now, last_try)
        self.changed = True
        early = self._early.pop((instance.position, instance.number), None)
        if early is not None:
            self._apply(instance, early, now)
        else:
            self._enqueue(instance)
            self._make_way(instance, now)

    def _make_way(self, instance: TaskInstance, now: datetime) -> None:
        """A later try was made, so this one has ended, though status does not have it and its Pod is gone."""
        position, number = instance.position, instance.number
        if any(other == position and later > number for other, later in self._early):
            message = f"its Pod is gone, and try {number + 1} was made"
            report = TryReport(instance.task.name, number, TryEvent.LOST, reason="PodVanished", message=message)
            self._end_try(instance, report, now)

    def _enqueue(self, instance: TaskInstance) -> None:
        self._ready.add(instance.task.pool, instance.position)

    def _apply(self, instance: TaskInstance, report: TryReport, now: datetime) -> None:
        """A report on the current try of a task that is Scheduled, Queued or Running."""
        match report.event:
            case TryEvent.CREATED | TryEvent.RUNNING:
                self._progress(instance, report, now)
            case TryEvent.POSTPONED:
                self._postpone(instance, report, now)
            case _:
                self._end_try(instance, report, now)

    def _progress(self, instance: TaskInstance, report: TryReport, now: datetime) -> None:
        task = instance.task
        if not instance.holds_slots:
            self._ready.discard(instance.position)
            self._hold(instance)
        if instance.state is TaskState.SCHEDULED:
            instance.state, instance.queued_at, instance.message = TaskState.QUEUED, now, None
            self._set_timer(now + task.queued_timeout, instance.position, instance.number)
            self._mark(instance)
        if report.event is TryEvent.RUNNING:
            if instance.state is TaskState.QUEUED:
                instance.state, instance.started_at = TaskState.RUNNING, report.started_at or now
                instance.reason = instance.message = None
                if task.timeout:
                    self._set_timer(instance.started_at + task.timeout, instance.position, instance.number)
                self._mark(instance)
        elif instance.state is TaskState.QUEUED and (instance.reason, instance.message) != (
            report.reason,
            report.message,
        ):
            instance.reason, instance.message = report.reason, report.message
            self._mark(instance)

    def _postpone(self, instance: TaskInstance, report: TryReport, now: datetime) -> None:
        if instance.state is not TaskState.SCHEDULED:
            return
        since = instance.scheduled_at or now
        if not report.retry and since + instance.task.queued_timeout <= now:
            self._end_try(instance, replace(report, event=TryEvent.REFUSED), now)
            return
        self._give_back(instance)
        self._ready.discard(instance.position)
        instance.postponed += 1
        instance.postponed_until = now + postpone_delay(instance.postponed)
        instance.reason, instance.message = report.reason, report.message
        self._set_timer(instance.postponed_until, instance.position, instance.number)
        self._mark(instance)

    def _end_try(self, instance: TaskInstance, report: TryReport, now: datetime) -> None:
        task = instance.task
        self._ready.discard(instance.position)
        self._give_back(instance)
        instance.exit_code = report.exit_code
        instance.started_at = report.started_at or instance.started_at
        instance.finished_at = report.finished_at or now
        outcome = self._within_budget(judge(task, report, instance.stop or overdue(instance, report, now)))
        if outcome.lost and instance.lost < task.retries.on_lost:
            instance.reason, instance.message = outcome.reason, outcome.message
            instance.lost += 1
            unknown = outcome.message or "its result is unknown"
            note = f"try {instance.number} was lost ({outcome.reason}): {unknown}"
            self._note(instance, "TryLost", note, outcome.reason or "Lost")
            self._schedule(instance, now, last_try="Lost")
            return
        failures = instance.number - instance.lost
        if outcome.state is TaskState.FAILED and outcome.retry and failures <= task.retries.limit:
            instance.state, instance.reason, instance.message = TaskState.UP_FOR_RETRY, outcome.reason, outcome.message
            identity = f"{self.info.uid}/{task.name}"
            instance.retry_at = instance.finished_at + retry_delay(task.retries, identity, failures)
            self._set_timer(instance.retry_at, instance.position, instance.number)
            self._dirty.append(instance.position)
            self._mark(instance)
            wait = format_duration(instance.retry_at - instance.finished_at)
            note = f"try {instance.number} failed ({outcome.why()}); the next is due in {wait}"
            self._note(instance, "TryFailed", note, outcome.reason or "Error")
            return
        self._finish(instance, outcome, instance.finished_at)

    def _within_budget(self, outcome: Outcome) -> Outcome:
        if not outcome.has_output:
            return outcome
        size = output_size(outcome.output)
        if self._output_bytes + size > OUTPUT_BUDGET:
            message = f"the outputs of all tasks of a run may have {OUTPUT_BUDGET} bytes together; use storage"
            return Outcome(TaskState.FAILED, "OutputTooLarge", message, retry=False)
        self._output_bytes += size
        return outcome

    def _finish(self, instance: TaskInstance, outcome: Outcome, when: datetime) -> None:
        self._ready.discard(instance.position)
        self._give_back(instance)
        instance.state, instance.reason, instance.message = outcome.state, outcome.reason, outcome.message
        instance.output, instance.has_output = outcome.output, outcome.has_output
        self._publish_output(instance)
        instance.finished_at, instance.retry_at = when, None
        self.unfinished -= 1
        self._count_downstream(instance)
        self._mark(instance)
        if outcome.state is TaskState.FAILED:
            note = f"failed after try {instance.number}: {outcome.why()}"
            self._note(instance, "TaskFailed", note, outcome.reason or "Error")

    def _publish_output(self, instance: TaskInstance) -> None:
        if instance.has_output:
            entry = {"output": instance.output}
            self.outputs[instance.task.name] = self.outputs[instance.task.name.replace("-", "_")] = entry

    def _count_downstream(self, instance: TaskInstance) -> None:
        for position in self.graph.downstream[instance.position]:
            self._instances[position].upstream.add(instance.state)
            self._dirty.append(position)

    def _mark(self, instance: TaskInstance) -> None:
        instance.touch()
        self.changed = True

    # Time -------------------------------------------------------------------------------------------------------

    @property
    def wake_at(self) -> datetime | None:
        """When advance() has something to do even if nothing happens."""
        return self._timers[0][0] if self._timers and self.phase is RunPhase.RUNNING else None

    def _set_timer(self, when: datetime, position: int, number: int) -> None:
        heapq.heappush(self._timers, (when, position, number))

    def _fire_timers(self, now: datetime) -> None:
        while self._timers and self._timers[0][0] <= now:
            _, position, number = heapq.heappop(self._timers)
            if position == _RUN:
                if self.dag.run_timeout and self.unfinished:
                    limit = format_duration(self.dag.run_timeout)
                    self.fail("RunTimeout", f"it took longer than runTimeout ({limit})", now)
                    return
            elif self._instances[position].number == number:
                self._fire(self._instances[position], now)

    def _fire(self, instance: TaskInstance, now: datetime) -> None:
        """A timer of the current try is due: whichever it was set for, the state says what it means now."""
        if instance.state is TaskState.UP_FOR_RETRY:
            if instance.retry_at and instance.retry_at <= now:
                self._schedule(instance, now)
        elif instance.state is TaskState.SCHEDULED:
            if instance.postponed_until and instance.postponed_until <= now:
                instance.postponed_until = instance.reason = instance.message = None
                self._enqueue(instance)
                self._mark(instance)
        elif instance.stop is None and instance.state in (TaskState.QUEUED, TaskState.RUNNING):
            why = limit_reached(instance, now)
            if why:
                self._stop(instance, why)

    def _stop(self, instance: TaskInstance, why: StopReason) -> None:
        instance.stop = why
        self._stops.append(Stop(self.info, instance.task, instance.number, why))

    # The run ----------------------------------------------------------------------------------------------------

    def _end(self, phase: RunPhase, reason: str, message: str | None, now: datetime) -> None:
        self.phase, self.reason, self.message, self.finished_at = phase, reason, message, now
        self.changed = True
        took = format_duration(now - (self.started_at or now))
        note = f"{phase.value} after {took}" + (f": {message}" if message else "")
        self._note(None, phase.value, note, reason if phase is RunPhase.FAILED else None)

    def __iter__(self) -> Iterator[TaskInstance]:
        return iter(self._instances)

    def __getitem__(self, task: str) -> TaskInstance:
        return self._instances[self.graph.position[task]]

    @property
    def finished(self) -> bool:
        """Whether the run has ended."""
        return self.phase in FINISHED_PHASES

    def status(self) -> dict[str, Any]:
        """DagRun.status, JSON-ready."""
        return run_status(self)

    def _restore(self, status: Mapping[str, Any]) -> None:
        self.phase = RunPhase(status["phase"])
        self.reason, self.message = status.get("reason"), status.get("message")
        self.started_at = parse_time(status.get("startedAt"))
        self.finished_at = parse_time(status.get("finishedAt"))
        for entry in status.get("tasks", ()):
            position = self.graph.position.get(entry["name"])
            if position is not None:
                self._restore_task(self._instances[position], entry)
        if self.started_at and self.dag.run_timeout:
            self._set_timer(self.started_at + self.dag.run_timeout, _RUN, 0)

    def _restore_task(self, instance: TaskInstance, entry: dict[str, Any]) -> None:
        instance.restore(entry)
        task, position, number = instance.task, instance.position, instance.number
        if instance.finished:
            self.unfinished -= 1
            self._count_downstream(instance)
            if instance.has_output:
                self._output_bytes += output_size(instance.output)
                self._publish_output(instance)
        elif instance.state in (TaskState.QUEUED, TaskState.RUNNING):
            self._hold(instance)
            if instance.queued_at:
                self._set_timer(instance.queued_at + task.queued_timeout, position, number)
            if instance.started_at and task.timeout:
                self._set_timer(instance.started_at + task.timeout, position, number)
        elif instance.state is TaskState.SCHEDULED:
            self._enqueue(instance)
        elif instance.state is TaskState.UP_FOR_RETRY and instance.retry_at:
            self._set_timer(instance.retry_at, position, number)


_RUN = -1
"""Position of the timer of the run itself."""
