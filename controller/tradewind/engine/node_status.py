"""A task's entry in DagRun.status.tasks, written and read.

Of a mapped task it has ranges of indexes by state, and by all else that a restart has to know; and of some instances,
those under way and those that ended badly, what people want to know.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tradewind.engine.index_set import IndexSet
from tradewind.engine.states import FINISHED_STATES, TaskState
from tradewind.engine.task_instance import format_time, parse_time, shorten

if TYPE_CHECKING:
    from tradewind.engine.task_instance import TaskInstance
    from tradewind.engine.task_node import TaskNode

MAX_DETAILED = 100
"""Instances under way that have an entry of their own in status."""


def entry(node: "TaskNode", message_limit: int, waiting_for: str | None) -> dict[str, Any]:
    """The task in DagRun.status.tasks, JSON-ready. `waiting_for`: why its ready instances have no slots."""
    if not node.count:
        return node.whole.entry(message_limit, waiting_for)
    facts: dict[str, Any] = {"name": node.task.name, "state": node.state.value, "count": node.count}
    message = _message(node, waiting_for)
    if message:
        facts["message"] = shorten(message, message_limit)
    for key, moment in (
        ("scheduledAt", node.scheduled_at),
        ("startedAt", node.started_at),
        ("finishedAt", node.finished_at if node.finished else None),
    ):
        if moment is not None:
            facts[key] = format_time(moment)
    facts["indexes"] = {state.value: str(indexes) for state, indexes in _indexes(node).items()}
    live = [node.live[index] for index in sorted(node.live)]
    facts |= _ranges("numbers", node.numbers, live, lambda each: each.number if each.number > 1 else None)
    facts |= _ranges("lostTries", node.lost, live, lambda each: each.lost or None)
    facts |= _ranges("rerunFrom", node.tries_before, live, lambda each: each.tries_before or None)
    facts |= _ranges("pokeNumbers", {}, live, lambda each: each.pokes or None)
    facts |= _ranges("dueAt", {}, live, _due)
    detailed = sorted([*(each.index or 0 for each in live[:MAX_DETAILED]), *node.remembered])
    if detailed:
        limit = max(80, message_limit // 4)
        facts["instances"] = [_detail(node, index, limit) for index in detailed]
    if node.outputs:
        facts["outputs"] = {str(index): node.outputs[index] for index in sorted(node.outputs)}
    return facts


def _message(node: "TaskNode", waiting_for: str | None) -> str | None:
    tally = node.tally()
    if TaskState.FAILED in tally and node.finished:
        return f"{tally[TaskState.FAILED]} of {node.count} failed"
    return (waiting_for if node.ready else None) or node.past or node.message


def _detail(node: "TaskNode", index: int, limit: int) -> dict[str, Any]:
    live = node.live.get(index)
    found = live.entry(limit, None) if live is not None else node.remembered[index]
    found = {key: value for key, value in found.items() if key not in ("output", "name")}
    return {**found, "message": shorten(found["message"], limit)} if "message" in found else found


def _indexes(node: "TaskNode") -> dict[TaskState, IndexSet]:
    """All that have begun, by state."""
    found: dict[TaskState, IndexSet] = {
        state: indexes for state, indexes in node.resting.items() if indexes and state is not TaskState.NONE
    }
    moved: dict[TaskState, list[int]] = defaultdict(list)
    for index, instance in node.live.items():
        if instance.state is not TaskState.NONE:
            moved[instance.state].append(index)
    for state, more in moved.items():
        together = IndexSet.parse(str(found.get(state, "")))
        for index in more:
            together.add(index)
        found[state] = together
    return dict(sorted(found.items(), key=lambda item: item[0].value))


def _ranges(
    field: str, resting: Mapping[int, int], live: list["TaskInstance"], value: Callable[["TaskInstance"], Any]
) -> dict[str, dict[str, str]]:
    """`{field: {value: ranges}}`, or nothing where there is none."""
    found: dict[Any, IndexSet] = {}
    for index, number in resting.items():
        found.setdefault(number, IndexSet()).add(index)
    for instance in live:
        own = value(instance)
        if own is not None:
            found.setdefault(own, IndexSet()).add(instance.index or 0)
    return {field: {str(key): str(found[key]) for key in sorted(found)}} if found else {}


def _due(instance: "TaskInstance") -> str | None:
    """When the instance goes on by itself, in whole seconds so that many share a line."""
    moment = instance.retry_at or instance.next_poke_at
    if moment is None:
        return None
    return format_time(datetime.fromtimestamp(math.ceil(moment.timestamp()), UTC))


# Reading ------------------------------------------------------------------------------------------------------------


def restore(node: "TaskNode", status: dict[str, Any]) -> None:
    """Take over what an entry of a mapped task that has instances says."""
    node.scheduled_at = parse_time(status.get("scheduledAt"))
    node.started_at = parse_time(status.get("startedAt"))
    node.finished_at = parse_time(status.get("finishedAt"))
    node.outputs = {int(index): output for index, output in status.get("outputs", {}).items()}
    node.numbers = {}
    untouched = node.resting[TaskState.NONE]
    under_way: list[int] = []
    numbers = _by_index(status.get("numbers"))
    due, pokes = _by_index(status.get("dueAt")), _by_index(status.get("pokeNumbers"))
    for name, ranges in status.get("indexes", {}).items():
        state = TaskState(name)
        indexes = IndexSet.parse(ranges)
        for index in list(indexes):
            untouched.discard(index)
        node.resting[state] = indexes
        if state is TaskState.SCHEDULED:
            # Most have not begun; a sensor that is to look again is no longer just a number.
            under_way += [index for index in indexes if index in pokes]
        elif state not in FINISHED_STATES:
            under_way += indexes
    node.numbers = {index: int(number) for index, number in numbers.items()}
    node.lost = {index: int(lost) for index, lost in _by_index(status.get("lostTries")).items()}
    node.tries_before = {index: int(before) for index, before in _by_index(status.get("rerunFrom")).items()}
    details = {each["index"]: each for each in status.get("instances", ())}
    for index, each in details.items():
        if TaskState(each["state"]) in FINISHED_STATES:
            node.remembered[index] = each
    for index in under_way:
        instance = node.get(index)
        if instance is None:
            continue
        state, number = instance.state, max(instance.number, 1)
        if index in details:
            instance.restore(details[index])
        instance.state, instance.number = state, number
        instance.lost, instance.tries_before = node.lost.pop(index, 0), node.tries_before.pop(index, 0)
        node.numbers.pop(index, None)
        instance.pokes = int(pokes.get(index, instance.pokes))
        moment = parse_time(due.get(index))
        if state is TaskState.UP_FOR_RETRY:
            instance.retry_at = instance.retry_at or moment
        elif node.task.sensor is not None and state is not TaskState.SCHEDULED:
            instance.next_poke_at = instance.next_poke_at or moment
            instance.first_poke_at = instance.first_poke_at or node.started_at


def _by_index(ranges: Mapping[str, str] | None) -> dict[int, str]:
    return {index: key for key, text in (ranges or {}).items() for index in IndexSet.parse(text)}


def ended_by_state(node: "TaskNode") -> dict[TaskState, IndexSet]:
    """Instances that have ended."""
    return {state: indexes for state, indexes in node.resting.items() if state in FINISHED_STATES and indexes}
