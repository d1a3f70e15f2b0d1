"""The graph of dependencies between tasks and groups, in which a group is a node for its start and a node for its end.

The graph is no larger than the spec. Between tasks alone, a group that depends on a group would add as many edges as
leaves times roots.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from tradewind.api.dag import DagSpec
from tradewind.api.groups import Groups, own_dependencies


def start_of(group: str) -> str:
    """Return the node that everything in the group depends on."""
    return f"{group} begins"


def end_of(group: str) -> str:
    """Return the node that tasks and groups downstream of the group depend on."""
    return f"{group} ends"


def dependency_graph(spec: DagSpec, groups: Groups) -> dict[str, list[str]]:
    """Return the direct upstream nodes of every task and of the start and end of every group. Unknown names are
    ignored."""
    tasks = {task.name for task in spec.tasks}

    def before(names: Sequence[str]) -> list[str]:
        return [
            end_of(name) if name in groups.named else name for name in names if name in tasks or name in groups.named
        ]

    found = {}
    for task in spec.tasks:
        around = [start_of(name) for name in groups.enclosing(task.group)[:1]]
        found[task.name] = [*before(own_dependencies(task)), *around]
    for name, group in groups.named.items():
        around = [start_of(outer) for outer in groups.enclosing(name)[1:2]]
        found[start_of(name)] = [*before(own_dependencies(group)), *around]
        found[end_of(name)] = list(groups.by_name[name].leaves)
    return found


class Upstream:
    """The upstream nodes of each node of a dependency graph. In a graph with a cycle, every node counts as upstream."""

    def __init__(self, graph: Mapping[str, Sequence[str]]) -> None:
        self._graph = graph
        self._position = {name: position for position, name in enumerate(graph)}

    def has(self, node: str, before: str) -> bool:
        """True if `before` is upstream of `node`."""
        masks = self._masks
        return masks is None or bool(masks[node] >> self._position[before] & 1)

    @cached_property
    def _masks(self) -> dict[str, int] | None:
        """For each node, a bit mask of its upstream nodes: thousands of tasks take milliseconds."""
        masks: dict[str, int] = {}
        try:
            for name in TopologicalSorter(self._graph).static_order():
                masks[name] = 0
                for other in self._graph[name]:
                    masks[name] |= masks[other] | 1 << self._position[other]
        except CycleError:
            return None
        return masks


def readable_cycle(cycle: Sequence[str], groups: Groups) -> list[str]:
    """Return a cycle of a dependency graph, its first node repeated, as names of tasks and groups. Nodes between the
    start and the end of a group are omitted."""
    nodes = list(cycle[:-1])
    for name, group in groups.by_name.items():
        if start_of(name) in nodes and end_of(name) in nodes:
            turn = nodes.index(start_of(name))
            nodes = nodes[turn:] + nodes[:turn]
            end = nodes.index(end_of(name))
            inside = {*group.tasks, *(start_of(other) for other in groups.named)}
            if inside.issuperset(nodes[1:end]):
                nodes = [name, *nodes[end + 1 :]]
    names = [node.partition(" ")[0] for node in nodes]
    names = [name for name, following in pairwise([*names, names[0]]) if name != following] or names[:1]
    start = names.index(min(names))
    return [*names[start:], *names[:start], names[start]]
