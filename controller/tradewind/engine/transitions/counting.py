"""Counts of finished upstream instances, for the trigger rules of downstream tasks.

Between two tasks of the same mapped group edges go from index to index. The counts of an index are computed from the
upstream tasks on first use and updated from then on, so a restart does not rebuild them.
"""

from tradewind.engine.run.graph import positions
from tradewind.engine.run.index_set import IndexSet
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import FINISHED_STATES, TaskState
from tradewind.engine.run.task_node import TaskNode
from tradewind.engine.run.upstream import UpstreamCounts


def counts_of(run: RunState, node: TaskNode, index: int | None) -> UpstreamCounts:
    """The counts of the upstream instances of an instance."""
    if index is None or not node.paired_with:
        return node.upstream
    counts = node.paired.get(index)
    if counts is None:
        counts = node.paired[index] = _initial_counts(run, node)
        for position in node.paired_with:
            other = run.nodes[position]
            state = other.state_of(index)
            if state in FINISHED_STATES:
                counts.add(state, setup=other.task.setup)
    return node.upstream.plus(counts)


def by_counts(run: RunState, node: TaskNode, indexes: IndexSet) -> list[tuple[IndexSet, UpstreamCounts]]:
    """The instances, grouped by the counts of their upstream instances."""
    parts = [(indexes, node.upstream.plus(_initial_counts(run, node)))]
    for position in node.paired_with:
        other = run.nodes[position]
        split = []
        for part, counts in parts:
            left = part
            for state, finished in other.finished_indexes().items():
                common = left & finished
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
    """Let upstream tasks in the same mapped group count by index, now that the task has instances; except tasks that
    finished without instances."""
    node.paired_with = tuple(
        position for position in sorted(run.graph.paired[node.position]) if not run.nodes[position].whole.finished
    )
    node.upstream.total -= len(node.paired_with)
    node.upstream.setups -= sum(run.dag.tasks[position].setup for position in node.paired_with)


def count_more(run: RunState, node: TaskNode, more: int) -> None:
    """Add `more` instances of a task to the totals of its downstream tasks."""
    for position in run.graph.downstream[node.position]:
        if node.position not in run.graph.paired[position]:
            upstream = run.nodes[position].upstream
            upstream.total += more
            upstream.setups += more * node.task.setup


def count_finished(run: RunState, node: TaskNode, state: TaskState, finished: IndexSet | int | None) -> None:
    """Count finished instances (None: a task without instances) for the direct downstream tasks."""
    setup, count = node.task.setup, len(finished) if isinstance(finished, IndexSet) else 1
    for position in run.graph.downstream[node.position]:
        after = run.nodes[position]
        if finished is None or node.position not in after.paired_with:
            after.upstream.add(state, count, setup=setup)
            run.recheck(position)
        elif isinstance(finished, IndexSet):
            for index, counts in after.paired.items():
                if index in finished:
                    counts.add(state, setup=setup)
            run.recheck(position)
        else:
            if finished in after.paired:
                after.paired[finished].add(state, setup=setup)
            run.recheck(position, finished)
    if node.finished:
        _recheck_groups(run, node)


def _recheck_groups(run: RunState, node: TaskNode) -> None:
    """Recheck the groups that are mapped over the output of a finished task: some of their tasks may not be direct
    downstream tasks."""
    for group in run.dag.groups.values():
        sources = group.for_each.sources if group.for_each else ()
        if any(source.output_task == node.task.name for source in sources):
            for name in group.tasks:
                run.recheck(run.graph.position[name])


def recheck_descendants(run: RunState, node: TaskNode, index: int | None) -> None:
    """Recheck all downstream tasks of a finished short circuit; in the same mapped group only the same index."""
    for position in positions(run.graph.descendants[node.position]):
        other = run.nodes[position]
        group = node.task.mapped_group
        together = bool(other.count) and group is not None and group == other.task.mapped_group
        run.recheck(position, index if together else None)


def _initial_counts(run: RunState, node: TaskNode) -> UpstreamCounts:
    setups = sum(run.dag.tasks[position].setup for position in node.paired_with)
    return UpstreamCounts(len(node.paired_with), setups=setups)
