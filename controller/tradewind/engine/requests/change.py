"""The changes that requests make to task instances: clear them, or set their state."""

from collections.abc import Mapping
from datetime import datetime

from tradewind.engine.requests.select import Choice, instances
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import StopReason, TryKey

TriesMade = Mapping[tuple[str, int | None], int]
"""The highest try that has a Pod, by (task, index); status may not know it."""


def active_tries(run: RunState, choice: Choice) -> list[TryKey]:
    """The tries of a choice that have, or may have, a running Pod."""
    return [instance.key for instance in instances(run, choice) if instance.holds_slots]


def clear(run: RunState, choice: Choice, why: StopReason, made: TriesMade, now: datetime) -> None:
    """Reset these instances to their initial state; their earlier tries are kept, and try numbers continue."""
    for position, indexes in choice.items():
        node = run.nodes[position]
        if indexes is None:
            node.whole.clear(why, now)
        else:
            node.clear(indexes, why, now)
    _continue_numbers(run, choice, made)


def _continue_numbers(run: RunState, choice: Choice, made: TriesMade) -> None:
    """Let the next try of a cleared instance have a higher number than any try that has a Pod."""
    for (task, index), number in made.items():
        known = run.graph.position.get(task, -1)
        if known not in choice:
            continue
        node, indexes = run.nodes[known], choice[known]
        if index is None:
            if not node.count and node.whole.number < number:
                node.whole.number = node.whole.tries_before = number
        elif (indexes is None or index in indexes) and node.numbers.get(index) < number:
            node.numbers.set(index, number)
            node.tries_before.set(index, number)
            if not node.count:
                node.removed.add(index)


def set_state(run: RunState, choice: Choice, state: TaskState, why: StopReason, made: TriesMade, now: datetime) -> None:
    """Finish these instances in a state, whatever their current state."""
    clear(run, choice, why, made, now)
    for position, indexes in choice.items():
        node = run.nodes[position]
        for index in (None,) if indexes is None else indexes.copy():
            instance = node.get(index)
            if instance is not None:
                instance.state, instance.reason, instance.message = state, why.reason, why.message
                instance.finished_at = now
                instance.touch()
                node.rest(instance)
        node.finished_at = now
