"""Validation of connections: their variables must have distinct names."""

from collections.abc import Iterator, Sequence

from tradewind.api.connections import connection_prefix
from tradewind.api.dag import DagSpec
from tradewind.api.validation.problem import Problem


def check_connections(spec: DagSpec) -> Iterator[Problem]:
    """Check that no two connections have the same prefix, such as `my-db` and `my.db` with `MY_DB_…`."""
    if spec.task_defaults:
        yield from _check(spec.task_defaults.connections or (), "spec.taskDefaults.connections")
    for task in spec.tasks:
        yield from _check(task.connections or (), f"spec.tasks[{task.name}].connections")


def _check(names: Sequence[str], field: str) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name in names:
        prefix = connection_prefix(name)
        other = first.setdefault(prefix, name)
        if other != name:
            message = f"the variables of {other!r} and {name!r} both begin with {prefix}: rename one of the Secrets"
            yield Problem("InvalidTask", field, message)
