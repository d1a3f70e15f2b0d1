"""Whether the edges between tasks make a graph that can be run: known ends, no duplicates, no cycle."""

import difflib
from collections.abc import Mapping, Sequence

from tradewind.api.dag import DagSpec
from tradewind.api.validation.problem import Problem

_SHOWN = 5
"""Tasks of a long cycle that are named, from its start and from its end."""


def check_dependencies(spec: DagSpec) -> list[Problem]:
    """Unknown and repeated dependencies, and one cycle, spelled out."""
    names = {task.name for task in spec.tasks}
    problems = []
    for task in spec.tasks:
        seen: set[str] = set()
        for dependency in task.depends_on or ():
            field = f"spec.tasks[{task.name}].dependsOn"
            if dependency not in names:
                near = difflib.get_close_matches(dependency, names, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                problems.append(Problem("UnknownDependency", field, f"there is no task {dependency!r}{hint}"))
            elif dependency in seen:
                problems.append(Problem("DuplicateDependency", field, f"{dependency!r} is listed twice"))
            seen.add(dependency)
    cycle = find_cycle({task.name: [d for d in task.depends_on or () if d in names] for task in spec.tasks})
    if cycle:
        middle = [f"… {len(cycle) - 1 - 2 * _SHOWN} more …"] if len(cycle) > 2 * _SHOWN + 2 else []
        path = " → ".join([*cycle[:_SHOWN], *middle, *cycle[-_SHOWN:]] if middle else cycle)
        problems.append(Problem("Cycle", "spec.tasks", f"tasks wait for each other in a cycle: {path}"))
    return problems


def find_cycle(upstream: Mapping[str, Sequence[str]]) -> list[str]:
    """One cycle in the order in which its tasks would run, first task repeated: `[a, b, a]`; empty when there is none.

    Kahn's algorithm: what is left when nothing more can be taken off lies on a cycle or behind one.
    """
    waiting = {name: len(set(dependencies)) for name, dependencies in upstream.items()}
    downstream: dict[str, list[str]] = {name: [] for name in upstream}
    for name, dependencies in upstream.items():
        for dependency in set(dependencies):
            downstream[dependency].append(name)
    free = [name for name, count in waiting.items() if count == 0]
    while free:
        name = free.pop()
        del waiting[name]
        for follower in downstream[name]:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                free.append(follower)
    if not waiting:
        return []
    # Every task that is left waits for another one that is left: walking upstream must come back.
    path = [min(waiting)]
    while path[-1] not in path[:-1]:
        path.append(min(name for name in upstream[path[-1]] if name in waiting))
    cycle = path[path.index(path[-1]) :][::-1]
    start = cycle.index(min(cycle))
    return [*cycle[start:-1], *cycle[:start], cycle[start]]
