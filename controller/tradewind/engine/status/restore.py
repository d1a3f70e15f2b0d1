"""Restoring a run from DagRun.status."""

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
from tradewind.engine.transitions.counting import count_finished
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
    """The run of a DagRun.status; a new run if there is no status yet. If not `unfolded`, the caller must complete
    unfold() before it uses the run."""
    run = RunState(info, dag, slots, graph=graph, variables=variables)
    if status and status.get("phase"):
        _restore(run, status)
    if unfolded:
        for _ in unfold(run):
            pass
    return run


def unfold(run: RunState) -> Iterator[None]:
    """Create the tasks of a run, unless it only waits in the queue, in pieces of a few milliseconds."""
    if not _is_at_rest(run):
        yield from run.unfold()


def _restore(run: RunState, status: Mapping[str, Any]) -> None:
    """Restore the run from DagRun.status; its tasks are restored on first use."""
    run.phase = RunPhase(status["phase"])
    run.reason, run.message = status.get("reason"), status.get("message")
    if run.message == SUSPENDED or (run.message and run.phase is RunPhase.RUNNING and not run.reason):
        # The reason for waiting is evaluated again.
        run.message, run.changed = None, True
    run.started_at = parse_time(status.get("startedAt"))
    run.finished_at = parse_time(status.get("finishedAt"))
    run.requests = list(status.get("requests", ()))
    run.keep(list(status.get("tasks", ())), _restore_tasks)


def _is_at_rest(run: RunState) -> bool:
    """True if the run waits in the queue and does not need its tasks for that: each of them has finished or not
    started, and restoring it from its entry would change nothing."""
    return run.phase is RunPhase.QUEUED and all(_is_settled(run, entry) for entry in run.kept)


def _is_settled(run: RunState, entry: Mapping[str, Any]) -> bool:
    finished = entry["state"] in FINISHED_STATES
    untouched = entry["state"] == TaskState.NONE and "message" not in entry
    return (finished or untouched) and "count" not in entry and entry["name"] in run.graph.position


def _restore_tasks(run: RunState, kept: Iterable[dict[str, Any]]) -> Iterator[None]:
    """Restore the tasks from DagRun.status, in pieces."""
    try:
        yield from _restore_entries(run, kept)
    except Exception:
        run.release()  # no caller has the run yet
        raise


def _restore_entries(run: RunState, kept: Iterable[dict[str, Any]]) -> Iterator[None]:
    entries = {entry["name"]: entry for entry in kept}
    run.removed = [
        entry
        for name, entry in entries.items()
        if name not in run.graph.position and entry["state"] == TaskState.REMOVED.value
    ]
    # Create all instances before counting finished ones: downstream tasks count them by index or in total.
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
    for state, indexes in node.finished_indexes().items():
        run.unfinished -= len(indexes)
        count_finished(run, node, state, indexes)
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
        count_finished(run, node, instance.state, None)
        if instance.has_output:
            run.output_bytes += output_size(instance.output)
        run.publish_output(node)
    else:
        _resume(run, instance)


def _resume(run: RunState, instance: TaskInstance) -> None:
    """Resume an active instance."""
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
