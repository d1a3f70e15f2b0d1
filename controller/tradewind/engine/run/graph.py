"""The tasks of a Dag and their edges, by position in the spec."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tradewind.api.resolve import ResolvedTask
from tradewind.engine.run.priority import priority_weights


@dataclass(frozen=True, slots=True)
class Graph:
    """Everything about the order of tasks that does not change while a run goes on.

    `upstream[i]` and `downstream[i]` are the positions of the tasks right before and after task i. Sets of positions
    (`ancestors`, `descendants`) are the bits of an integer.
    """

    names: tuple[str, ...]
    position: dict[str, int]
    upstream: tuple[tuple[int, ...], ...]
    downstream: tuple[tuple[int, ...], ...]
    ancestors: tuple[int, ...]
    descendants: tuple[int, ...]
    leaves: tuple[int, ...]
    """The tasks that decide how the run ends."""
    paired: tuple[frozenset[int], ...]
    """Those of upstream that lie in the same mapped group: the edge goes from index to index."""
    deciders: tuple[tuple[int, ...], ...]
    """The tasks upstream whose output may say that this one is skipped: branches and short circuits."""
    weights: tuple[int, ...]
    """Priority of each task as its weightRule counts it."""

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
    """What comes before and after each task, however far."""
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
    """What a task waits for: a teardown for all that lies between its setups and itself, not just for what is right
    before it (which may have ended early, by a trigger rule such as OneSuccess)."""
    scope = 0
    for name in tasks[index].teardown_setups:
        scope |= descendants[position[name]] & ancestors[index]
    return tuple(dict.fromkeys((*before, *positions(scope))))


def _decides_the_run(tasks: Sequence[ResolvedTask], index: int, downstream: Sequence[int]) -> bool:
    """Whether the task is a leaf: teardowns count neither as one nor as something after others, unless they say so."""

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
