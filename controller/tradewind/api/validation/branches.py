"""Validation of branches and short circuits."""

from collections.abc import Iterator

from tradewind.api.dag import DagSpec
from tradewind.api.groups import Groups, own_dependencies
from tradewind.api.kinds import task_kind
from tradewind.api.task import Task
from tradewind.api.validation.problem import Problem


def check_branches(spec: DagSpec, groups: Groups) -> list[Problem]:
    """Check `branch` and `shortCircuit`."""
    named = {name for task in spec.tasks for name in own_dependencies(task)}
    named |= {name for group in groups.named.values() for name in own_dependencies(group)}
    followed = named | {leaf for name in named & groups.named.keys() for leaf in groups.by_name[name].leaves}
    problems: list[Problem] = []
    for task in spec.tasks:
        field = f"spec.tasks[{task.name}]"
        problems += _check_kind(task, field)
        if task.branch and task.name not in followed:
            message = (
                "no task or group depends on it, so there is nothing to choose from: list it in dependsOn of a task"
            )
            problems.append(Problem("InvalidTask", f"{field}.branch", message))
    return problems


def _check_kind(task: Task, field: str) -> Iterator[Problem]:
    if task.branch and task.short_circuit:
        message = "the task also has branch: its output can serve only one of them"
        yield Problem("InvalidTask", f"{field}.shortCircuit", message)
        return
    for kind, has in (("branch", task.branch), ("shortCircuit", task.short_circuit)):
        if not has:
            continue
        if not task_kind(task).has_output:
            message = "needs an output, but the task runs nothing: add a command or a script"
            yield Problem("InvalidTask", f"{field}.{kind}", message)
        elif task.for_each:
            message = "a mapped task would decide once for each item: use a task without forEach"
            yield Problem("InvalidTask", f"{field}.{kind}", message)
