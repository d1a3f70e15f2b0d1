"""The tasks of a run as rows; a mapped task with many instances has one row, and one for each important instance."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tradewind.api.duration import format_duration
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode

MOST_INSTANCES = 8
"""A mapped task with at most so many instances has a row for each."""


@dataclass(frozen=True, slots=True)
class Row:
    """One task, one instance, or all instances of a mapped task."""

    name: str
    state: str
    tries: str
    duration: str
    message: str


def rows_of(run: RunState) -> list[Row]:
    """Return the rows of all tasks; of a task with many instances, those of running and failed ones."""
    return [row for node in run.nodes for row in _rows(run, node)]


def row_of(instance: TaskInstance, run: RunState) -> Row:
    """Return the row of a task; the message of a waiting one says what it waits for."""
    state = _state_name(instance.state)
    message = instance.message or ""
    if instance.state is TaskState.NONE and not run.finished:
        waiting = [name for name in instance.task.depends_on if not run.node(name).finished]
        more = f" and {len(waiting) - 3} more" if len(waiting) > 3 else ""
        message = f"for {', '.join(waiting[:3])}{more}" if waiting else ""
    elif instance.state is TaskState.UP_FOR_RETRY and instance.retry_at:
        delay = format_duration(max(instance.retry_at - datetime.now(UTC), datetime.resolution))
        message = f"next try in {delay}; {_last_line(message)}"
    elif instance.state is TaskState.FAILED:
        code = f" (exit code {instance.exit_code})" if instance.exit_code else ""
        message = f"{_last_line(message)}{code if f'exit code {instance.exit_code}' not in message else ''}"
    elif instance.state is TaskState.RUNNING and instance.tries:
        before = instance.tries[-1]
        message = f"after {before.get('reason') or before['state']}: {_last_line(before.get('message') or '')}".rstrip(
            ": "
        )
    elif instance.state is TaskState.SUCCEEDED and instance.has_output:
        message = f"output {json.dumps(instance.output, ensure_ascii=False)}"
    end = instance.finished_at or (datetime.now(UTC) if instance.state is TaskState.RUNNING else None)
    duration = format_duration(end - instance.started_at) if end and instance.started_at else ""
    return Row(instance.name, state, str(instance.number or ""), duration, message)


def row_of_all(node: TaskNode, run: RunState) -> Row:
    """Return one row for all instances of a mapped task."""
    end = node.finished_at if node.finished else datetime.now(UTC)
    duration = format_duration(end - node.started_at) if end and node.started_at else ""
    why = run.queue.waits_for(node) if node.ready else None
    message = counted(node.tally()) + (f"; {why}" if why else "")
    return Row(f"{node.task.name} ×{node.count}", _state_name(node.state), "", duration, message)


def tally_of(run: RunState) -> dict[TaskState, int]:
    """Return the number of task instances in each state."""
    total: Counter[TaskState] = Counter()
    for node in run.nodes:
        total.update(node.tally())
    return dict(total.most_common())


def counted(tally: Mapping[TaskState, int]) -> str:
    """`17 Succeeded, 3 Running`."""
    return ", ".join(f"{number} {_state_name(state)}" for state, number in tally.items())


def _rows(run: RunState, node: TaskNode) -> Iterator[Row]:
    if (node.count or 0) <= MOST_INSTANCES:
        yield from (row_of(instance, run) for instance in node)
        return
    yield row_of_all(node, run)
    for index in sorted({*node.live, *node.remembered}):
        instance = node.peek(index)
        if instance is not None and instance.state is not TaskState.SKIPPED:
            yield row_of(instance, run)


def _state_name(state: TaskState) -> str:
    return "Waiting" if state is TaskState.NONE else state.value


def _last_line(text: str) -> str:
    return text.strip().rsplit("\n", 1)[-1]
