"""What waits for what: tasks, and groups with a beginning and an end, in a graph no larger than the spec.

Among tasks alone, a group that depends on a group makes as many edges as leaves times roots.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from tradewind.api.dag import DagSpec
from tradewind.api.groups import Groups, own_dependencies


def beginning(group: str) -> str:
    """The node of `waits` that everything in the group comes after."""
    return f"{group} begins"


def end_of(group: str) -> str:
    """The node of `waits` that what depends on the group comes after."""
    return f"{group} ends"


def waits(spec: DagSpec, groups: Groups) -> dict[str, list[str]]:
    """For every task, and every beginning and end of a group, what comes right before it. Names that do not exist are
    left out."""
    tasks = {task.name for task in spec.tasks}

    def before(names: Sequence[str]) -> list[str]:
        return [
            end_of(name) if name in groups.named else name for name in names if name in tasks or name in groups.named
        ]

    found = {}
    for task in spec.tasks:
        around = [beginning(name) for name in groups.enclosing(task.group)[:1]]
        found[task.name] = [*before(own_dependencies(task)), *around]
    for name, group in groups.named.items():
        around = [beginning(outer) for outer in groups.enclosing(name)[1:2]]
        found[beginning(name)] = [*before(own_dependencies(group)), *around]
        found[end_of(name)] = list(groups.by_name[name].leaves)
    return found


class Upstream:
    """Answers what has ended when a node of `waits` starts. In a graph with a cycle, which has no answer, everything
    has."""

    def __init__(self, graph: Mapping[str, Sequence[str]]) -> None:
        self._graph = graph
        self._position = {name: position for position, name in enumerate(graph)}

    def has(self, node: str, before: str) -> bool:
        """Whether `before` has ended when `node` starts."""
        masks = self._masks
        return masks is None or bool(masks[node] >> self._position[before] & 1)

    @cached_property
    def _masks(self) -> dict[str, int] | None:
        """For each node a bit for every node before it: thousands of tasks take milliseconds."""
        masks: dict[str, int] = {}
        try:
            for name in TopologicalSorter(self._graph).static_order():
                masks[name] = 0
                for other in self._graph[name]:
                    masks[name] |= masks[other] | 1 << self._position[other]
        except CycleError:
            return None
        return masks


def spoken(cycle: Sequence[str], groups: Groups) -> list[str]:
    """A cycle of `waits`, its first node repeated, in names of tasks and groups: what happens inside a group between
    its beginning and its end is left out."""
    nodes = list(cycle[:-1])
    for name, group in groups.by_name.items():
        if beginning(name) in nodes and end_of(name) in nodes:
            turn = nodes.index(beginning(name))
            nodes = nodes[turn:] + nodes[:turn]
            end = nodes.index(end_of(name))
            inside = {*group.tasks, *(beginning(other) for other in groups.named)}
            if inside.issuperset(nodes[1:end]):
                nodes = [name, *nodes[end + 1 :]]
    names = [node.partition(" ")[0] for node in nodes]
    names = [name for name, following in pairwise([*names, names[0]]) if name != following] or names[:1]
    start = names.index(min(names))
    return [*names[start:], *names[:start], names[start]]
