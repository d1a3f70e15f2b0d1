"""What requests do to task instances: clear them, or set their state."""

from collections.abc import Mapping
from datetime import datetime

from tradewind.engine.requests.select import Choice, instances
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import StopReason, TryKey

TriesMade = Mapping[tuple[str, int | None], int]
"""The highest try by (task, index) that there is a Pod of, whatever status says."""


def under_way(run: RunState, choice: Choice) -> list[TryKey]:
    """The tries of a choice that have, or may have, a Pod that still runs."""
    return [instance.key for instance in instances(run, choice) if instance.holds_slots]


def clear(run: RunState, choice: Choice, why: StopReason, made: TriesMade, now: datetime) -> None:
    """As if these instances had not begun, but that their tries so far are kept and their numbers go on."""
    for position, indexes in choice.items():
        node = run.nodes[position]
        if indexes is None:
            node.whole.clear(why, now)
        else:
            node.clear(indexes, why, now)
    _go_on_after(run, choice, made)


def _go_on_after(run: RunState, choice: Choice, made: TriesMade) -> None:
    """The next try of a cleared instance comes after those that status did not tell of."""
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
    """Let these instances have ended in a state, whatever they are doing."""
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
