"""A task's entry in DagRun.status.tasks, written and read.

The entry of a mapped task has ranges of indexes by state and by the other facts that a restart needs, and the details
of some instances: active and unsuccessful ones.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from heapq import nsmallest
from typing import Any, TypeVar

from tradewind.api.times import format_time, parse_time
from tradewind.engine.run.index_map import IndexMap
from tradewind.engine.run.index_set import IndexSet
from tradewind.engine.run.json_size import shorten
from tradewind.engine.run.states import FINISHED_STATES, TaskState
from tradewind.engine.run.task_instance import MESSAGE_KEPT, TaskInstance
from tradewind.engine.run.task_node import TaskNode

Key = TypeVar("Key", TaskState, int)
AT_ONCE = 500
"""Instances, or tasks, that are restored in one piece."""
MAX_DUE = 200
"""Maximum distinct due times of instances; more are rounded up to fit."""
_DETAIL_ORDER = {state: place for place, state in enumerate((TaskState.RUNNING, TaskState.QUEUED, TaskState.SCHEDULED))}
_WORST_TRIES = 1
"""Earlier tries in the entry of an instance: there may be thousands of instances."""


def entry(node: TaskNode, message_limit: int, waiting_for: str | None) -> dict[str, Any]:
    """The task in DagRun.status.tasks, JSON-ready. `waiting_for` is the reason why ready instances have no slots."""
    if not node.count:
        found = node.whole.entry(message_limit, waiting_for)
        if node.removed:
            found = {**found, **_before_reexpanded(node)}
        return {**found, "message": shorten(node.past, message_limit)} if node.past else found
    facts: dict[str, Any] = {"name": node.task.name, "state": node.state.value, "count": node.count}
    if node.reason and not node.ready:
        facts["reason"] = node.reason
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
    facts |= _ranges(node)
    limit = max(80, message_limit // 4)
    details = {
        instance.index or 0: instance.entry(limit, None)
        for instance in nsmallest(node.details_kept, node.live.values(), key=_detail_order)
    } | {index: _remembered(node, index) for index in node.remembered}
    if details:
        facts["instances"] = [_detail(details[index], limit) for index in sorted(details)]
    if node.outputs:
        facts["outputs"] = {str(index): node.outputs[index] for index in sorted(node.outputs)}
    return facts


def _before_reexpanded(node: TaskNode) -> dict[str, Any]:
    """The facts about the instances before the task was reset to be expanded again."""
    details = [_remembered(node, index) for index in sorted(node.remembered)]
    facts = {
        "indexes": {TaskState.REMOVED.value: str(node.removed)},
        "numbers": node.numbers.texts(),
        "rerunFrom": node.tries_before.texts(),
        "instances": details,
    }
    return {field: value for field, value in facts.items() if value}


def _message(node: TaskNode, waiting_for: str | None) -> str | None:
    failed = len(node.resting.get(TaskState.FAILED, ()))
    if failed and node.finished:
        return f"{failed} of {node.count} failed"
    return (waiting_for if node.ready else None) or node.past or node.message


def _detail_order(instance: TaskInstance) -> tuple[int, int]:
    return _DETAIL_ORDER.get(instance.state, len(_DETAIL_ORDER)), instance.index or 0


def _remembered(node: TaskNode, index: int) -> dict[str, Any]:
    """The entry of a resting instance: the remembered one, or a new one if its state has changed since."""
    last = node.remembered[index]
    state = node.state_of(index)
    if state is None:
        return {**last, "state": TaskState.REMOVED.value}
    now = node.peek(index) if last["state"] != state.value else None
    return last if now is None else now.entry(MESSAGE_KEPT, None)


def _detail(found: Mapping[str, Any], limit: int) -> dict[str, Any]:
    detail = {key: value for key, value in found.items() if key != "output"}
    if "message" in detail:
        detail["message"] = shorten(detail["message"], limit)
    if "tries" in detail:
        detail["tries"] = detail["tries"][-_WORST_TRIES:]
    return detail


def _ranges(node: TaskNode) -> dict[str, Any]:
    """Ranges of indexes by state, by try number, and so on."""
    states: dict[TaskState, list[int]] = defaultdict(list)
    numbers: tuple[dict[int, list[int]], ...] = tuple(defaultdict(list) for _ in range(5))
    due: dict[int, list[int]] = defaultdict(list)
    for index, instance in node.live.items():
        states[instance.state].append(index)
        own = (instance.number - 1, instance.lost, instance.tries_before, instance.pokes, instance.preempted)
        if any(own):
            for number, found in zip(own, numbers, strict=True):
                if number > 0:
                    found[number].append(index)
        moment = instance.retry_at or instance.next_poke_at
        if moment is not None:
            due[math.ceil(moment.timestamp())].append(index)
    tries = {number + 1: indexes for number, indexes in numbers[0].items()}
    known = {state: indexes for state, indexes in node.resting.items() if state is not TaskState.NONE}
    known[TaskState.REMOVED] = node.removed
    facts: dict[str, Any] = {
        "indexes": {state.value: text for state, text in sorted(_together(known.items(), states).items())}
    }
    for field, resting, more in (
        ("numbers", node.numbers.items(), tries),
        ("lostTries", node.lost.items(), numbers[1]),
        ("rerunFrom", node.tries_before.items(), numbers[2]),
        ("pokeNumbers", (), numbers[3]),
        ("preemptedTries", node.preempted.items(), numbers[4]),
    ):
        texts = _together(resting, more)
        if texts:
            facts[field] = {str(number): texts[number] for number in sorted(texts)}
    for moment, together in node.due.moments.items():
        due[math.ceil(moment.timestamp())] += together
    if due:
        facts["dueAt"] = _due(due)
    return facts


def _together(resting: Iterable[tuple[Key, IndexSet]], live: Mapping[Key, list[int]]) -> dict[Key, str]:
    """Ranges by state or number, of resting and active instances together."""
    found = {key: str(indexes) for key, indexes in resting if indexes and key not in live}
    known = dict(resting)
    return found | {key: str(known.get(key, IndexSet()) | IndexSet(indexes)) for key, indexes in live.items()}


def _due(due: Mapping[int, list[int]]) -> dict[str, str]:
    """The due times of instances, in whole seconds so that many share a line."""
    step = 1 if len(due) <= MAX_DUE else math.ceil((max(due) - min(due)) / (MAX_DUE - 1))
    found: dict[int, list[int]] = defaultdict(list)
    for second, indexes in due.items():
        found[-(-second // step) * step] += indexes
    return {format_time(datetime.fromtimestamp(second, UTC)): str(IndexSet(found[second])) for second in sorted(found)}


# Reading ------------------------------------------------------------------------------------------------------------


def restore(node: TaskNode, status: dict[str, Any]) -> Iterator[None]:
    """Restore a mapped task with instances from its entry, in pieces: thousands of them may be active."""
    node.scheduled_at = parse_time(status.get("scheduledAt"))
    node.started_at = parse_time(status.get("startedAt"))
    node.finished_at = parse_time(status.get("finishedAt"))
    if "reason" in status:
        node.reason, node.message = status["reason"], status.get("message")
    node.outputs = {int(index): output for index, output in status.get("outputs", {}).items()}
    node.resting |= {
        TaskState(name): IndexSet.parse(ranges)
        for name, ranges in status.get("indexes", {}).items()
        if name != TaskState.REMOVED.value
    }
    for state, indexes in node.resting.items():
        if state is not TaskState.NONE:
            node.resting[TaskState.NONE] = node.resting[TaskState.NONE] - indexes
    node.lost, node.preempted = IndexMap.parse(status.get("lostTries")), IndexMap.parse(status.get("preemptedTries"))
    restore_earlier(node, status)
    details = dict(node.remembered)
    rests = node.task.kind.rests
    at_rest = FINISHED_STATES | {TaskState.UP_FOR_RETRY} if rests else FINISHED_STATES
    pokes, due = _by_index(status.get("pokeNumbers")), {}
    if rests:
        _restore_due(node, status)
    else:
        due = _by_index(status.get("dueAt"))
    for state, indexes in list(node.resting.items()):
        if state is TaskState.NONE or state in at_rest:
            continue
        active = indexes if state is not TaskState.SCHEDULED else [*(indexes & IndexSet((*pokes, *details)))]
        for number, index in enumerate(list(active), start=1):
            _restore_live(node, index, details.get(index), pokes.get(index), due.get(index))
            if number % AT_ONCE == 0:
                yield


def _restore_due(node: TaskNode, status: dict[str, Any]) -> None:
    """Restore when resting instances are due: to the second, or exactly for those with an entry of their own."""
    for text, ranges in status.get("dueAt", {}).items():
        moment = parse_time(text)
        if moment is not None:
            node.due.set_all(IndexSet.parse(ranges), moment)
    for index, entry in node.remembered.items():
        moment = parse_time(entry.get("retryAt"))
        if moment is not None:
            node.due.set(index, moment)
    known = IndexSet([index for indexes in node.due.moments.values() for index in indexes])
    without = node.resting.get(TaskState.UP_FOR_RETRY, IndexSet()) - known
    if without:
        node.due.set_all(without, node.started_at or datetime.fromtimestamp(0, UTC))


def _restore_live(
    node: TaskNode, index: int, detail: dict[str, Any] | None, pokes: str | None, due: str | None
) -> None:
    """Restore an active instance from the facts in status."""
    instance = node.get(index)
    if instance is None:
        return
    state, number = instance.state, max(instance.number, 1)
    counts = instance.lost, instance.preempted, instance.tries_before
    if detail is not None:
        instance.restore(detail)
    instance.state, instance.number = state, number
    instance.lost, instance.preempted, instance.tries_before = counts
    instance.pokes = int(pokes or instance.pokes)
    if state is TaskState.UP_FOR_RETRY:
        instance.retry_at = instance.retry_at or parse_time(due)
    else:
        instance.next_poke_at = instance.next_poke_at or parse_time(due)
        if instance.pokes > 1 or instance.next_poke_at is not None:
            instance.first_poke_at = instance.first_poke_at or node.started_at


def restore_earlier(node: TaskNode, status: dict[str, Any]) -> None:
    """Restore the try numbers of a mapped task from its entry, and its removed instances."""
    node.numbers, node.tries_before = IndexMap.parse(status.get("numbers")), IndexMap.parse(status.get("rerunFrom"))
    removed = IndexSet.parse(status.get("indexes", {}).get(TaskState.REMOVED.value, ""))
    node.removed = removed - IndexSet.range(node.count or 0)
    node.remembered = {each["index"]: each for each in status.get("instances", ())}


def _by_index(ranges: Mapping[str, str] | None) -> dict[int, str]:
    return {index: key for key, text in (ranges or {}).items() for index in IndexSet.parse(text)}
