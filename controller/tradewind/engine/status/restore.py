"""A run as its status says it is."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tradewind.api.resolve import ResolvedDag
from tradewind.api.times import parse_time
from tradewind.api.variables import Variables
from tradewind.engine.rules.outcome import output_size
from tradewind.engine.rules.time_limits import start_by
from tradewind.engine.run.graph import Graph
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.slots import Slots
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import FINISHED_STATES, RunPhase, TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode
from tradewind.engine.status import node_status
from tradewind.engine.status.run_status import SUSPENDED
from tradewind.engine.transitions import waiting
from tradewind.engine.transitions.counting import count_ended
from tradewind.engine.transitions.expansion import set_count


def load(
    info: RunInfo,
    dag: ResolvedDag,
    slots: Slots,
    *,
    status: Mapping[str, Any] | None,
    graph: Graph | None = None,
    variables: Callable[[], Variables] = Variables,
    unfolded: bool = True,
) -> RunState:
    """The run that a DagRun.status tells of; a new one where it has none yet. Unless it is to be `unfolded` at once,
    nothing may be asked of the run before unfold() has come to its end."""
    run = RunState(info, dag, slots, graph=graph, variables=variables)
    if status and status.get("phase"):
        _restore(run, status)
    if unfolded:
        for _ in unfold(run):
            pass
    return run


def unfold(run: RunState) -> Iterator[None]:
    """Make the tasks of a run, unless it only waits in the queue, in pieces of some milliseconds."""
    if not _is_at_rest(run):
        yield from run.unfold()


def _restore(run: RunState, status: Mapping[str, Any]) -> None:
    """Take over what DagRun.status says of the run; its tasks follow once they are asked for."""
    run.phase = RunPhase(status["phase"])
    run.reason, run.message = status.get("reason"), status.get("message")
    if run.message == SUSPENDED or (run.message and run.phase is RunPhase.RUNNING and not run.reason):
        # What keeps it from going on is found out anew.
        run.message, run.changed = None, True
    run.started_at = parse_time(status.get("startedAt"))
    run.finished_at = parse_time(status.get("finishedAt"))
    run.requests = list(status.get("requests", ()))
    run.keep(list(status.get("tasks", ())), _restore_tasks)


def _is_at_rest(run: RunState) -> bool:
    """Whether the run waits in the queue and its tasks need not be made for that: each has finished or not begun, and
    is what its entry says."""
    return run.phase is RunPhase.QUEUED and all(_is_as_told(run, entry) for entry in run.kept)


def _is_as_told(run: RunState, entry: Mapping[str, Any]) -> bool:
    finished = entry["state"] in FINISHED_STATES
    untouched = entry["state"] == TaskState.NONE and "message" not in entry
    return (finished or untouched) and "count" not in entry and entry["name"] in run.graph.position


def _restore_tasks(run: RunState, kept: Iterable[dict[str, Any]]) -> Iterator[None]:
    """Take over what DagRun.status says of the tasks, in pieces."""
    try:
        yield from _restore_entries(run, kept)
    except Exception:
        run.release()  # nobody else could any more
        raise


def _restore_entries(run: RunState, kept: Iterable[dict[str, Any]]) -> Iterator[None]:
    entries = {entry["name"]: entry for entry in kept}
    run.removed = [
        entry
        for name, entry in entries.items()
        if name not in run.graph.position and entry["state"] == TaskState.REMOVED.value
    ]
    # All instances first, then what has ended: it is counted with what comes after it, by index or not.
    for group, resolved in run.dag.groups.items():
        counts = [entries[name]["count"] for name in resolved.tasks if "count" in entries.get(name, {})]
        if counts and resolved.for_each is not None:
            run.group_sizes[group] = counts[0]
    for node in run.nodes:
        entry = entries.get(node.task.name)
        if entry is not None and "count" not in entry:
            node.whole.restore(entry)
            node_status.restore_earlier(node, entry)
        if node.position % node_status.AT_ONCE == 0:
            yield
    for node in run.nodes:
        count = entries.get(node.task.name, {}).get("count") or run.group_sizes.get(node.task.mapped_group or "")
        if count and not node.whole.finished:
            set_count(run, node, count)
    for node in run.nodes:
        entry = entries.get(node.task.name)
        if entry is not None:
            yield from _restore_node(run, node, entry)
        if node.position % node_status.AT_ONCE == 0:
            yield


def _restore_node(run: RunState, node: TaskNode, entry: dict[str, Any]) -> Iterator[None]:
    if not node.count:
        _restore_whole(run, node)
        return
    yield from node_status.restore(node, entry)
    for state, indexes in node.ended().items():
        run.unfinished -= len(indexes)
        count_ended(run, node, state, indexes)
    run.output_bytes += sum(output_size(output, index) for index, output in node.outputs.items())
    if node.finished:
        run.publish_output(node)
    ready = node.resting.get(TaskState.SCHEDULED)
    if ready:
        run.queue.add_all(node, ready)
    for moment in node.due.moments:
        run.timers.set_for_resting(moment, node)
    for number, instance in enumerate(list(node.live.values()), start=1):
        _resume(run, instance)
        if number % node_status.AT_ONCE == 0:
            yield


def _restore_whole(run: RunState, node: TaskNode) -> None:
    instance = node.whole
    node.finished_at = instance.finished_at
    if instance.finished:
        run.unfinished -= 1
        count_ended(run, node, instance.state, None)
        if instance.has_output:
            run.output_bytes += output_size(instance.output)
        run.publish_output(node)
    else:
        _resume(run, instance)


def _resume(run: RunState, instance: TaskInstance) -> None:
    """Go on with an instance that is under way."""
    task = instance.task
    if instance.state is TaskState.SCHEDULED:
        run.queue.add(instance)
    elif instance.state in (TaskState.QUEUED, TaskState.RUNNING):
        run.hold(instance)
        if must_start := start_by(instance):
            run.timers.set(must_start, instance)
        if instance.container_started_at and task.timeout:
            run.timers.set(instance.container_started_at + task.timeout, instance)
        waiting.set_timers(run, instance)
    elif instance.state is TaskState.UP_FOR_RETRY:
        instance.retry_at = instance.retry_at or instance.finished_at or run.started_at
        if instance.retry_at:
            run.timers.set(instance.retry_at, instance)
    elif instance.state is TaskState.UP_FOR_RESCHEDULE:
        waiting.resume(run, instance)
