"""The tasks of a Dag and their edges, by position in the spec."""

from collections.abc import Sequence
from dataclasses import dataclass

from tradewind.api.resolve import ResolvedTask


@dataclass(frozen=True, slots=True)
class Graph:
    """`upstream[i]` and `downstream[i]` are the positions of the tasks right before and after task i."""

    names: tuple[str, ...]
    position: dict[str, int]
    upstream: tuple[tuple[int, ...], ...]
    downstream: tuple[tuple[int, ...], ...]
    leaves: tuple[int, ...]

    @classmethod
    def of(cls, tasks: Sequence[ResolvedTask]) -> "Graph":
        """The graph of validated tasks: every dependency exists and there is no cycle."""
        position = {task.name: index for index, task in enumerate(tasks)}
        upstream = tuple(tuple(dict.fromkeys(position[name] for name in task.depends_on)) for task in tasks)
        downstream: list[list[int]] = [[] for _ in tasks]
        for index, before in enumerate(upstream):
            for other in before:
                downstream[other].append(index)
        return cls(
            names=tuple(position),
            position=position,
            upstream=upstream,
            downstream=tuple(map(tuple, downstream)),
            leaves=tuple(index for index, after in enumerate(downstream) if not after),
        )
