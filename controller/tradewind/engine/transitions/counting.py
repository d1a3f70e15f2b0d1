"""How the instances right upstream have ended, counted for what comes after them.

Between two tasks of the same mapped group edges go from index to index. Counts by index are made when an instance is
first asked about, from what upstream says, and kept up from then on: a restart has nothing to rebuild.
"""

from tradewind.engine.run.graph import positions
from tradewind.engine.run.index_set import IndexSet
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import FINISHED_STATES, TaskState
from tradewind.engine.run.task_node import TaskNode
from tradewind.engine.run.upstream import UpstreamCounts


def counts_of(run: RunState, node: TaskNode, index: int | None) -> UpstreamCounts:
    """How things upstream of an instance have ended."""
    if index is None or not node.paired_with:
        return node.upstream
    counts = node.paired.get(index)
    if counts is None:
        counts = node.paired[index] = _none_yet(run, node)
        for position in node.paired_with:
            other = run.nodes[position]
            state = other.state_of(index)
            if state in FINISHED_STATES:
                counts.add(state, setup=other.task.setup)
    return node.upstream.plus(counts)


def alike(run: RunState, node: TaskNode, indexes: IndexSet) -> list[tuple[IndexSet, UpstreamCounts]]:
    """The instances, put together where all upstream has ended alike for them."""
    parts = [(indexes, node.upstream.plus(_none_yet(run, node)))]
    for position in node.paired_with:
        other = run.nodes[position]
        split = []
        for part, counts in parts:
            left = part
            for state, ended in other.ended().items():
                common = left & ended
                if common:
                    more = counts.copy()
                    more.add(state, setup=other.task.setup)
                    split.append((common, more))
                    left = left - common
            if left:
                split.append((left, counts))
        parts = split
    return parts


def pair(run: RunState, node: TaskNode) -> None:
    """The task has instances: from now on what is upstream in its mapped group counts by index, but for tasks that
    ended before they had any."""
    node.paired_with = tuple(
        position for position in sorted(run.graph.paired[node.position]) if not run.nodes[position].whole.finished
    )
    node.upstream.total -= len(node.paired_with)
    node.upstream.setups -= sum(run.dag.tasks[position].setup for position in node.paired_with)


def count_more(run: RunState, node: TaskNode, more: int) -> None:
    """There are `more` instances of a task than what comes after it has counted so far."""
    for position in run.graph.downstream[node.position]:
        if node.position not in run.graph.paired[position]:
            upstream = run.nodes[position].upstream
            upstream.total += more
            upstream.setups += more * node.task.setup


def count_ended(run: RunState, node: TaskNode, state: TaskState, ended: IndexSet | int | None) -> None:
    """Count instances that have ended (None: the task, which has none) with all that comes right after them."""
    setup, count = node.task.setup, len(ended) if isinstance(ended, IndexSet) else 1
    for position in run.graph.downstream[node.position]:
        after = run.nodes[position]
        if ended is None or node.position not in after.paired_with:
            after.upstream.add(state, count, setup=setup)
            run.recheck(position)
        elif isinstance(ended, IndexSet):
            for index, counts in after.paired.items():
                if index in ended:
                    counts.add(state, setup=setup)
            run.recheck(position)
        else:
            if ended in after.paired:
                after.paired[ended].add(state, setup=setup)
            run.recheck(position, ended)
    if node.finished:
        _tell_groups(run, node)


def _tell_groups(run: RunState, node: TaskNode) -> None:
    """The items of groups that are mapped over the output of a task are known: to tasks, too, that do not come right
    after it."""
    for group in run.dag.groups.values():
        sources = group.for_each.sources if group.for_each else ()
        if any(source.output_task == node.task.name for source in sources):
            for name in group.tasks:
                run.recheck(run.graph.position[name])


def look_behind(run: RunState, node: TaskNode, index: int | None) -> None:
    """A short circuit has said something: look at all that comes after it, in the same mapped group by index."""
    for position in positions(run.graph.descendants[node.position]):
        other = run.nodes[position]
        group = node.task.mapped_group
        together = bool(other.count) and group is not None and group == other.task.mapped_group
        run.recheck(position, index if together else None)


def _none_yet(run: RunState, node: TaskNode) -> UpstreamCounts:
    setups = sum(run.dag.tasks[position].setup for position in node.paired_with)
    return UpstreamCounts(len(node.paired_with), setups=setups)
