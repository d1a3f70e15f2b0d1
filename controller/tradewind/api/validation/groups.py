"""Validation of groups: their names are known, they do not enclose themselves, are not empty, and are mapped at most
once."""

from collections.abc import Iterator

from tradewind.api.dag import DagSpec
from tradewind.api.groups import MAX_NESTING, Groups
from tradewind.api.validation.dependencies import find_cycle, path_text
from tradewind.api.validation.known import Known
from tradewind.api.validation.problem import Problem


def check_groups(spec: DagSpec, groups: Groups) -> list[Problem]:
    """Check `groups` and the `group` of tasks, except for dependencies and sources of forEach."""
    return [*_check_names(spec), *_check_places(spec, groups), *_check_mapped_once(spec, groups)]


def _check_names(spec: DagSpec) -> Iterator[Problem]:
    tasks = {task.name for task in spec.tasks}
    seen: set[str] = set()
    for group in spec.groups or ():
        field = f"spec.groups[{group.name}]"
        if group.name in seen:
            yield Problem("DuplicateGroup", field, "another group has the same name: rename one of them")
        elif group.name in tasks:
            message = "a task has the same name, so dependsOn is ambiguous: rename one of them"
            yield Problem("DuplicateGroup", field, message)
        seen.add(group.name)


def _check_places(spec: DagSpec, groups: Groups) -> Iterator[Problem]:
    tasks = {task.name for task in spec.tasks}
    known = Known("group", groups.named)
    places = [(f"spec.tasks[{task.name}].group", task.group) for task in spec.tasks]
    places += [(f"spec.groups[{name}].group", group.group) for name, group in groups.named.items()]
    for field, group in places:
        if group is not None and group not in known:
            message = known.unknown(group)
            if group in tasks:
                message = f"{group!r} is a task, not a group; declare groups in spec.groups"
            elif not known:
                message = f"no group named {group!r}: declare it in spec.groups"
            yield Problem("UnknownGroup", field, message)
    inside = {name: [group.group] if group.group in groups.named else [] for name, group in groups.named.items()}
    cycle = find_cycle({name: [str(outer) for outer in around] for name, around in inside.items()})
    if cycle:
        message = f"groups enclose each other: {path_text(cycle)}"
        yield Problem("Cycle", "spec.groups", message)
        return
    deep = [name for name, group in groups.named.items() if group.group in groups.named and not groups.parent[name]]
    if deep:
        message = f"is nested in more than {MAX_NESTING - 1} groups: move it to an outer group"
        yield Problem("TooLarge", f"spec.groups[{deep[0]}].group", message)
    filled = {task.group for task in spec.tasks} | {group.group for group in groups.named.values()}
    for name in groups.named:
        if name not in filled:
            message = f"has no tasks: set `group: {name}` in its tasks, or remove the group"
            yield Problem("EmptyGroup", f"spec.groups[{name}]", message)


def _check_mapped_once(spec: DagSpec, groups: Groups) -> Iterator[Problem]:
    fix = "use one forEach with a list of sources, or remove one of the two"
    for task in spec.tasks:
        mapped = groups.mapped(task.group)
        if task.for_each and mapped:
            message = f"the task is in group {mapped!r}, which also has forEach: {fix}"
            yield Problem("InvalidMapping", f"spec.tasks[{task.name}].forEach", message)
    for name, group in groups.named.items():
        around = [outer for outer in groups.enclosing(name)[1:] if groups.named[outer].for_each]
        if group.for_each and around:
            message = f"the group is in group {around[0]!r}, which also has forEach: {fix}"
            yield Problem("InvalidMapping", f"spec.groups[{name}].forEach", message)
