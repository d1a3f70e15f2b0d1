"""Validation of setups and teardowns."""

from collections.abc import Iterator

from tradewind.api.dag import DagSpec
from tradewind.api.task import Task
from tradewind.api.validation.known import Known
from tradewind.api.validation.problem import Problem


def check_setups(spec: DagSpec) -> list[Problem]:
    """Check `setup` and `teardown`."""
    tasks = {task.name: task for task in spec.tasks}
    known = Known("task", tasks)
    problems: list[Problem] = []
    for task in spec.tasks:
        problems += _check(task, tasks, known, f"spec.tasks[{task.name}]")
    return problems


def _check(task: Task, tasks: dict[str, Task], known: Known, field: str) -> Iterator[Problem]:
    if task.teardown is None:
        return
    if task.setup:
        yield Problem(
            "InvalidTask",
            f"{field}.teardown",
            "the task also has setup: true: a task is either a setup or a teardown, not both",
        )
    seen: set[str] = set()
    for name in task.teardown.setups:
        if name not in tasks:
            message = known.unknown(name)
        elif not tasks[name].setup:
            message = f"{name!r} is not a setup: set `setup: true` in it, or remove it here"
        elif name in seen:
            message = f"{name!r} is listed twice"
        else:
            seen.add(name)
            continue
        yield Problem("InvalidTask", f"{field}.teardown.setups", message)
