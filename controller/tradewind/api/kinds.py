"""The kinds of task: the field that defines each, and its properties.

engine/kinds has the decisions of a kind, controller/kinds and cli/local/kinds execute them, and validation/kinds
validates its tasks.
"""

from dataclasses import dataclass

from tradewind.api.task import Task


@dataclass(frozen=True, slots=True)
class TaskKind:
    """One kind of task. A try is a Pod or a wait; a kind with neither has no tries."""

    name: str
    fields: tuple[str, ...]
    """The attributes of Task that define this kind."""
    makes_pods: bool = False
    """A try is a Pod and holds slots."""
    looks_again: bool = False
    """A try may be several consecutive Pods: the pokes of a sensor."""
    waits: bool = False
    """A try waits without a Pod and without slots: for a time, or for a report of its executor."""
    has_output: bool = False
    """A task may have an output for downstream tasks."""
    beside: bool = False
    """Its field may be combined with that of another kind; the fields of all other kinds exclude each other."""

    @property
    def has_tries(self) -> bool:
        """True if a task has tries; a task without tries finishes as soon as it starts."""
        return self.makes_pods or self.waits

    @property
    def rests(self) -> bool:
        """True if an instance of a mapped task needs no object of its own between two tries."""
        return not (self.looks_again or self.waits)


NOOP = TaskKind("Noop", ("noop",))
WAIT_FOR = TaskKind("WaitFor", ("wait_for",), waits=True)
SENSOR = TaskKind("Sensor", ("sensor",), makes_pods=True, looks_again=True, has_output=True, beside=True)
POD = TaskKind("Pod", ("command", "script"), makes_pods=True, has_output=True)
TASK_KINDS = (NOOP, WAIT_FOR, SENSOR, POD)
"""In order of precedence: the first kind with a field that the task sets. A task without any of the fields runs its
image's entrypoint."""

FIELDS = frozenset(Task.model_fields[field].alias or field for kind in TASK_KINDS for field in kind.fields)
"""The fields of a task's spec that define its kind, in camelCase."""


def task_kind(task: Task) -> TaskKind:
    """Return the kind of a task as written."""
    return next((kind for kind in TASK_KINDS if any(getattr(task, field) for field in kind.fields)), POD)
