"""Validation of tasks that run as Pods: image, command and script."""

from collections.abc import Iterator

from tradewind.api.task import Task, TaskDefaults
from tradewind.api.validation.kinds.validator import Validator
from tradewind.api.validation.problem import Problem


def check_pod(task: Task, defaults: TaskDefaults, field: str) -> Iterator[Problem]:
    """Check image, command, script and interpreter."""
    if not (task.image or defaults.image):
        message = "has no image: set image here or in spec.taskDefaults, or set noop: true"
        yield Problem("MissingImage", field, message, cluster_only=True)
        if not (task.command or task.script):
            message = "has nothing to run: add a command, a script, waitFor or noop: true"
            yield Problem("InvalidTask", field, message)
    if task.interpreter and not task.script:
        yield Problem("InvalidTask", f"{field}.interpreter", "applies only to a script, and the task has none")


POD = Validator(check_pod)
