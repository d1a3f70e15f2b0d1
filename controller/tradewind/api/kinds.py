"""The kinds of task: the field that makes a task one of them, and the facts that everybody goes by.

What a kind decides is in engine/kinds, who carries it out in controller/kinds and cli/local/kinds, and what is wrong
with a task of it in validation/kinds.
"""

from dataclasses import dataclass

from tradewind.api.task import Task


@dataclass(frozen=True, slots=True)
class TaskKind:
    """One kind of task. A try of it is a Pod, a wait, or (where neither is set) there are no tries."""

    name: str
    fields: tuple[str, ...]
    """The attributes of Task that say that a task is of this kind."""
    makes_pods: bool = False
    """A try is a Pod, and takes slots."""
    looks_again: bool = False
    """A try may be several Pods, one after the other: the pokes of a sensor."""
    waits: bool = False
    """A try waits, without a Pod and without slots: for a time, or for a report of whoever carries it out."""
    has_output: bool = False
    """A task may have an output, which others can use."""
    beside: bool = False
    """Its field stands beside that of another kind; the fields of all other kinds exclude each other."""

    @property
    def has_tries(self) -> bool:
        """Whether a task is tried at all; one without tries finishes as soon as it starts."""
        return self.makes_pods or self.waits

    @property
    def rests(self) -> bool:
        """Whether an instance of a mapped task needs no object of its own between two tries."""
        return not (self.looks_again or self.waits)


NOOP = TaskKind("Noop", ("noop",))
WAIT_FOR = TaskKind("WaitFor", ("wait_for",), waits=True)
SENSOR = TaskKind("Sensor", ("sensor",), makes_pods=True, looks_again=True, has_output=True, beside=True)
POD = TaskKind("Pod", ("command", "script"), makes_pods=True, has_output=True)
TASK_KINDS = (NOOP, WAIT_FOR, SENSOR, POD)
"""A task of which several have a field is of the first of them; one that has none runs its image's entrypoint."""

FIELDS = frozenset(Task.model_fields[field].alias or field for kind in TASK_KINDS for field in kind.fields)
"""The fields of a spec that say what kind a task is of, as they are written."""


def task_kind(task: Task) -> TaskKind:
    """The kind of a task as it is written."""
    return next((kind for kind in TASK_KINDS if any(getattr(task, field) for field in kind.fields)), POD)
