"""Validation of dependencies: names exist, no duplicates, no cycle."""

from collections.abc import Iterator, Mapping, Sequence

from tradewind.api.dag import DagSpec
from tradewind.api.groups import Groups, own_dependencies
from tradewind.api.task import Task
from tradewind.api.task_group import TaskGroup
from tradewind.api.validation.known import Known
from tradewind.api.validation.order import dependency_graph, readable_cycle
from tradewind.api.validation.problem import Problem

MAX_EDGES = 200_000
"""The maximum number of dependencies between tasks with groups expanded; more than fit into a spec as text."""
_SHOWN = 5
"""The number of tasks shown from the start and from the end of a long cycle."""


def check_dependencies(spec: DagSpec, groups: Groups) -> list[Problem]:
    """Check for unknown and duplicate dependencies, and for a cycle, which the message spells out."""
    names = [*(task.name for task in spec.tasks), *groups.named]
    known = Known("task or group" if groups.named else "task", names)
    problems: list[Problem] = []
    for task in spec.tasks:
        problems += _check_names(task.depends_on, f"spec.tasks[{task.name}].dependsOn", known)
    for name, group in groups.named.items():
        problems += _check_names(group.depends_on, f"spec.groups[{name}].dependsOn", known)
    around = list(_check_own_group(spec, groups))
    # An enclosing group that is also upstream is a cycle too, but has a clearer message.
    return [*problems, *(around or _check_cycle(spec, groups) or _check_size(spec, groups))]


def _check_names(depends_on: Sequence[str] | None, field: str, known: Known) -> Iterator[Problem]:
    seen: set[str] = set()
    for dependency in depends_on or ():
        if dependency not in known:
            yield Problem("UnknownDependency", field, known.unknown(dependency))
        elif dependency in seen:
            yield Problem("DuplicateDependency", field, f"{dependency!r} is listed twice")
        seen.add(dependency)


def _check_own_group(spec: DagSpec, groups: Groups) -> Iterator[Problem]:
    """Check for tasks that depend on an enclosing group, and for groups that depend on their own members."""
    for task in spec.tasks:
        around = set(groups.enclosing(task.group))
        for dependency in own_dependencies(task):
            if dependency in around:
                message = f"the task is in group {dependency!r}: list tasks of the group instead, or remove it"
                yield Problem("Cycle", f"spec.tasks[{task.name}].dependsOn", message)
    for name, group in groups.named.items():
        around, inside = set(groups.enclosing(name)), {*groups.by_name[name].tasks, *groups.inside[name]}
        for dependency in own_dependencies(group):
            if dependency in around:
                message = f"the group is {dependency!r} or inside it: list upstream tasks and groups outside of it"
            elif dependency in inside:
                message = f"{dependency!r} is in the group: list only tasks and groups outside of it"
            else:
                continue
            field = "dependsOn" if dependency in (group.depends_on or ()) else "forEach"
            yield Problem("Cycle", f"spec.groups[{name}].{field}", message)


def _check_cycle(spec: DagSpec, groups: Groups) -> list[Problem]:
    cycle = find_cycle(dependency_graph(spec, groups))
    if not cycle:
        return []
    cycle = readable_cycle(cycle, groups)
    what = "tasks and groups" if groups.named.keys() & set(cycle) else "tasks"
    return [Problem("Cycle", "spec.tasks", f"{what} depend on each other in a cycle: {path_text(cycle)}")]


def _check_size(spec: DagSpec, groups: Groups) -> list[Problem]:
    def size(item: Task | TaskGroup) -> int:
        named = own_dependencies(item)
        return sum(len(groups.by_name[name].leaves) if name in groups.named else 1 for name in named)

    edges = sum(size(task) for task in spec.tasks)
    edges += sum(size(group) * len(groups.by_name[name].roots) for name, group in groups.named.items())
    if edges <= MAX_EDGES:
        return []
    message = (
        f"groups that depend on groups expand to {edges} dependencies between tasks; the limit is {MAX_EDGES}: "
        "put a task with noop: true between them"
    )
    return [Problem("TooLarge", "spec.groups", message)]


def path_text(path: Sequence[str]) -> str:
    """Return a path as text, `a → b → a`; a long path is shortened in the middle."""
    middle = [f"… {len(path) - 1 - 2 * _SHOWN} more …"] if len(path) > 2 * _SHOWN + 2 else []
    return " → ".join([*path[:_SHOWN], *middle, *path[-_SHOWN:]] if middle else path)


def find_cycle(upstream: Mapping[str, Sequence[str]]) -> list[str]:
    """Return one cycle in the order in which its tasks would run, with the first task repeated: `[a, b, a]`; empty if
    there is none.

    Kahn's algorithm: the nodes that remain lie on a cycle or downstream of one.
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
    # Every remaining task waits for another remaining task, so walking upstream must return to a task on the path.
    path = [min(waiting)]
    while path[-1] not in path[:-1]:
        path.append(min(name for name in upstream[path[-1]] if name in waiting))
    cycle = path[path.index(path[-1]) :][::-1]
    start = cycle.index(min(cycle))
    return [*cycle[start:-1], *cycle[:start], cycle[start]]
