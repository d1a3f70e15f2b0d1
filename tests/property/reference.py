"""The rules, evaluated from scratch each time from the state of every single instance: slow, and in one place."""

from __future__ import annotations

from itertools import product

from tests.property.scenarios import Case, Scenario
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import FINISHED_STATES, TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.trigger_rules import End, UpstreamCounts, Verdict, evaluate

Instance = tuple[str, int | None]


class Reference:
    """The scenario's Dag, instance by instance."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.cases = {case.name: case for case in scenario.cases}
        self.dag = scenario.dag()
        self.tasks = {task.name: task for task in self.dag.tasks}
        self.leaves = set(self.tasks) - {name for task in self.dag.tasks for name in task.depends_on}
        self.before: dict[str, set[str]] = {}
        for name in self.tasks:
            self._ancestors(name)

    def _ancestors(self, name: str) -> set[str]:
        if name not in self.before:
            direct = self.tasks[name].depends_on
            self.before[name] = set(direct).union(*(self._ancestors(other) for other in direct))
        return self.before[name]

    def upstream(self, run: RunState, name: str, index: int | None) -> list[Instance]:
        """Every instance right before one."""
        found: list[Instance] = []
        for other in self.tasks[name].depends_on:
            count = run.node(other).count
            if not count:
                found.append((other, None))
            elif index is not None and self._same_group(name, other):
                found.append((other, index))
            else:
                found += [(other, each) for each in range(count)]
        return found

    def _same_group(self, name: str, other: str) -> bool:
        group = self.tasks[name].mapped_group
        return group is not None and group == self.tasks[other].mapped_group

    def counts(self, run: RunState, name: str, index: int | None) -> UpstreamCounts:
        """Return the states in which those finished."""
        upstream = self.upstream(run, name, index)
        found = UpstreamCounts(len(upstream))
        for other, at in upstream:
            state = run.node(other).state_of(at)
            assert state is not None, (other, at)
            if state in FINISHED_STATES:
                found.add(state)
        return found

    def verdict(self, run: RunState, name: str, index: int | None) -> Verdict:
        """Return the present verdict of an instance's rule."""
        return evaluate(self.tasks[name].trigger_rule, self.counts(run, name, index))

    def stopped(self, run: RunState, name: str, index: int | None) -> bool:
        """Whether a short circuit said stop."""
        for other in self.before[name]:
            if not self.cases[other].stops:
                continue
            at = index if self._same_group(name, other) else None
            if run.node(other).state_of(at) is TaskState.SUCCEEDED and run.node(other).output_of(at) == (True, False):
                return True
        return False

    def may_have_finished(self, run: RunState, instance: TaskInstance) -> bool:
        """True if an instance may have finished in its state, in any order of events."""
        name, index, case = instance.task.name, instance.index, self.cases[instance.task.name]
        if instance.number or (case.noop and instance.state is TaskState.SUCCEEDED):
            output = instance.output if instance.has_output else None
            return (instance.state.value, instance.number, output) == case.end(index)
        if instance.reason == "ShortCircuit":
            return instance.state is TaskState.SKIPPED and self.stopped(run, name, index)
        if instance.reason in ("NoItems", "InvalidForEach"):
            return not run.node(name).count and instance.state is self.end_without_items(run, case)
        counts = self.counts(run, name, index)
        some = product(*({0, 1, most} for most in (counts.succeeded, counts.failed, counts.upstream_failed)))
        for (succeeded, failed, upstream_failed), skipped in product(some, {0, 1, counts.skipped}):
            if failed > counts.failed or upstream_failed > counts.upstream_failed or skipped > counts.skipped:
                continue
            seen = UpstreamCounts(counts.total, min(succeeded, counts.succeeded), failed, upstream_failed, skipped)
            verdict = evaluate(instance.task.trigger_rule, seen)
            if isinstance(verdict, End) and verdict.state is instance.state:
                return True
        return False

    def end_without_items(self, run: RunState, case: Case) -> TaskState | None:
        """Return the state of a mapped task without items."""
        _, over = self.mapping(case)
        source = run.node(over.partition(".")[0]) if over else None
        if source is not None and not source.count:
            if source.state in (TaskState.FAILED, TaskState.UPSTREAM_FAILED):
                return TaskState.UPSTREAM_FAILED
            if source.state is TaskState.SKIPPED:
                return TaskState.SKIPPED
        items = self.items(run, case)
        return TaskState.FAILED if items is None else TaskState.SKIPPED if not items else None

    def mapping(self, case: Case) -> tuple[int | None, str]:
        """Return the number of items that a task or its group is mapped over, or the output with them."""
        if case.items is not None or case.over:
            return case.items, case.over
        mapped = self.tasks[case.name].mapped_group
        return next(((group.items, group.over) for group in self.scenario.groups if group.name == mapped), (None, ""))

    def items(self, run: RunState, case: Case) -> list[object] | None:
        """Return the items of a mapped task; None if they are unknown."""
        items, over = self.mapping(case)
        if items is not None:
            return list(range(items))
        name, _, path = over.partition(".")
        node = run.node(name)
        if not path:
            ends = [self.cases[name].end(index) for index in range(node.count or 0)]
            ran = [end for end, each in zip(ends, node, strict=False) if each.number]
            return [output for state, _, output in ran if output is not None]
        return node.whole.output["list"] if node.whole.has_output else None

    def raced(self, run: RunState) -> bool:
        """Whether how an instance ended depends on what came first upstream."""
        if any(case.stops for case in self.cases.values()):
            return True
        for instance in run:
            counts = self.counts(run, instance.task.name, instance.index)
            first_counts = instance.task.trigger_rule in ("AllSuccess", "AllDoneMinOneSuccess")
            if first_counts and counts.skipped and counts.failed + counts.upstream_failed:
                return True
            if instance.reason == "NoItems" and not first_counts:
                return True
        return False
