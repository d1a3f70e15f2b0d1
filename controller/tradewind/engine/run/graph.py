"""The tasks of a Dag and their edges, by position in the spec."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tradewind.api.resolve import ResolvedTask
from tradewind.engine.run.priority import priority_weights


@dataclass(frozen=True, slots=True)
class Graph:
    """The order of tasks, which does not change during a run.

    `upstream[i]` and `downstream[i]` are the positions of the direct upstream and downstream tasks of task i. Sets of
    positions (`ancestors`, `descendants`) are the bits of an integer.
    """

    names: tuple[str, ...]
    position: dict[str, int]
    upstream: tuple[tuple[int, ...], ...]
    downstream: tuple[tuple[int, ...], ...]
    ancestors: tuple[int, ...]
    descendants: tuple[int, ...]
    leaves: tuple[int, ...]
    """The leaf tasks, which decide how the run finishes."""
    paired: tuple[frozenset[int], ...]
    """The upstream tasks in the same mapped group, where the edge goes from index to index."""
    deciders: tuple[tuple[int, ...], ...]
    """The upstream tasks whose output may skip this one: branches and short circuits."""
    weights: tuple[int, ...]
    """The priority of each task by its weightRule."""

    @classmethod
    def of(cls, tasks: Sequence[ResolvedTask]) -> "Graph":
        """The graph of validated tasks: every dependency exists and there is no cycle."""
        position = {task.name: index for index, task in enumerate(tasks)}
        written = [tuple(dict.fromkeys(position[name] for name in task.depends_on)) for task in tasks]
        ancestors, descendants = _reach(written)
        upstream = [
            _with_scope(tasks, index, before, position, ancestors, descendants) for index, before in enumerate(written)
        ]
        downstream: list[list[int]] = [[] for _ in tasks]
        for index, before in enumerate(upstream):
            for other in before:
                downstream[other].append(index)
        return cls(
            names=tuple(position),
            position=position,
            upstream=tuple(upstream),
            downstream=tuple(map(tuple, downstream)),
            ancestors=tuple(ancestors),
            descendants=tuple(descendants),
            leaves=tuple(index for index in range(len(tasks)) if _decides_the_run(tasks, index, downstream[index])),
            paired=tuple(
                frozenset(other for other in before if _share_mapping(tasks[index], tasks[other]))
                for index, before in enumerate(upstream)
            ),
            deciders=_deciders(tasks, upstream, ancestors),
            weights=priority_weights(tasks, ancestors, descendants),
        )


def positions(bits: int) -> Iterator[int]:
    """The positions in a set of them, ascending."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def _reach(upstream: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """The ancestors and the descendants of each task."""
    waiting = [len(before) for before in upstream]
    downstream: list[list[int]] = [[] for _ in upstream]
    for index, before in enumerate(upstream):
        for other in before:
            downstream[other].append(index)
    order = [index for index, count in enumerate(waiting) if not count]
    for index in order:
        for other in downstream[index]:
            waiting[other] -= 1
            if not waiting[other]:
                order.append(other)
    ancestors, descendants = [0] * len(upstream), [0] * len(upstream)
    for index in order:
        for other in upstream[index]:
            ancestors[index] |= ancestors[other] | 1 << other
    for index in reversed(order):
        for other in downstream[index]:
            descendants[index] |= descendants[other] | 1 << other
    return ancestors, descendants


def _with_scope(
    tasks: Sequence[ResolvedTask],
    index: int,
    before: tuple[int, ...],
    position: dict[str, int],
    ancestors: Sequence[int],
    descendants: Sequence[int],
) -> tuple[int, ...]:
    """The tasks that a task waits for. A teardown waits for all tasks between its setups and itself, not only for its
    direct upstream tasks, which may finish early by a trigger rule such as OneSuccess."""
    scope = 0
    for name in tasks[index].teardown_setups:
        scope |= descendants[position[name]] & ancestors[index]
    return tuple(dict.fromkeys((*before, *positions(scope))))


def _decides_the_run(tasks: Sequence[ResolvedTask], index: int, downstream: Sequence[int]) -> bool:
    """True if the task is a leaf task. Teardowns count neither as leaf tasks nor as downstream tasks, unless
    onFailureFailRun is set."""

    def counts(task: ResolvedTask) -> bool:
        return not task.teardown or task.on_failure_fail_run

    return counts(tasks[index]) and not any(counts(tasks[other]) for other in downstream)


def _share_mapping(task: ResolvedTask, other: ResolvedTask) -> bool:
    return task.mapped_group is not None and task.mapped_group == other.mapped_group


def _deciders(
    tasks: Sequence[ResolvedTask], upstream: Sequence[Sequence[int]], ancestors: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    stoppers = sum(1 << i for i, task in enumerate(tasks) if task.short_circuit and not task.respect_trigger_rules)
    found = []
    for index, before in enumerate(upstream):
        direct = [other for other in before if tasks[other].branch or tasks[other].short_circuit]
        found.append(tuple(dict.fromkeys((*direct, *positions(ancestors[index] & stoppers)))))
    return tuple(found)
