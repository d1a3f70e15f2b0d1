"""Dependencies between tasks, with groups replaced by their tasks and implied dependencies added.

A task that maps over an output depends on the task of that output, and a teardown depends on its setups, even if
dependsOn does not list them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tradewind.api.dag import DagSpec
from tradewind.api.mapping import output_tasks
from tradewind.api.task import Task
from tradewind.api.task_group import TaskGroup

MAX_NESTING = 20
"""The maximum nesting depth of groups."""


@dataclass(frozen=True, slots=True)
class GroupTasks:
    """The tasks of one group, including those of nested groups, in the order of the spec. `roots` depend on no task of
    the group; no task of the group, except teardowns, depends on `leaves`."""

    tasks: tuple[str, ...]
    roots: tuple[str, ...]
    leaves: tuple[str, ...]


def own_dependencies(item: Task | TaskGroup) -> list[str]:
    """Return the tasks and groups that `item` itself depends on, without duplicates."""
    named = [*(item.depends_on or ()), *output_tasks(item.for_each)]
    if isinstance(item, Task) and item.teardown:
        named += item.teardown.setups
    return list(dict.fromkeys(named))


class Groups:
    """The groups of a spec, expanded: `by_name` has their tasks, `inside` the names of the groups nested in each one at
    any depth, and `parent` the directly enclosing group.

    Validation uses it before the spec is known to be valid: groups that do not exist are ignored, and groups that
    enclose themselves or are nested too deeply count as top-level.
    """

    def __init__(self, spec: DagSpec) -> None:
        self.named = {group.name: group for group in spec.groups or ()}
        self.by_name: dict[str, GroupTasks] = {}
        self._tasks = {task.name: task for task in spec.tasks}
        self.parent = _parents(self.named)
        tasks: dict[str, list[str]] = {name: [] for name in self.named}
        for task in spec.tasks:
            for name in self.enclosing(task.group):
                tasks[name].append(task.name)
        self.inside: dict[str, list[str]] = {name: [] for name in self.named}
        for name in self.named:
            for outer in self.enclosing(self.parent[name]):
                self.inside[outer].append(name)
        items: list[Task | TaskGroup] = [*spec.tasks, *self.named.values()]
        before = {item.name: frozenset(own_dependencies(item)) for item in items}
        # Innermost first: the roots and leaves of a group follow from those of its nested groups.
        for name in sorted(self.named, key=lambda name: -len(self.enclosing(name))):
            self.by_name[name] = self._ends(tasks[name], self.inside[name], before)
        self._roots = {name: frozenset(group.roots) for name, group in self.by_name.items()}

    def dependencies(self, task: Task) -> tuple[str, ...]:
        """Return the direct upstream tasks of `task`: its own, then those of its groups, innermost first."""
        found = dict.fromkeys(self._expand(own_dependencies(task)))
        for name in self.enclosing(task.group):
            if task.name in self._roots[name]:
                found |= dict.fromkeys(self._expand(own_dependencies(self.named[name])))
        return tuple(found)

    def enclosing(self, group: str | None) -> list[str]:
        """Return the group and all groups around it, innermost first."""
        found: list[str] = []
        while group in self.parent:
            found.append(group)
            group = self.parent[group]
        return found

    def mapped(self, group: str | None) -> str | None:
        """Return the group with forEach that is or encloses `group`, if any."""
        return next((name for name in self.enclosing(group) if self.named[name].for_each), None)

    def _expand(self, names: Iterable[str]) -> Iterable[str]:
        """Replace groups by their leaf tasks."""
        for name in names:
            if name in self.by_name:
                yield from self.by_name[name].leaves
            else:
                yield name

    def _ends(self, tasks: list[str], inside: list[str], before: Mapping[str, frozenset[str]]) -> GroupTasks:
        """Return the roots and leaves of a group with these `tasks`, after the groups of `inside` are computed.
        `before` maps each task and group to its own dependencies."""
        members = {*tasks, *inside}
        preceded: set[str] = set()
        followed: set[str] = set()
        ends = [*((name, (name,)) for name in tasks), *((name, self.by_name[name].roots) for name in inside)]
        for name, first in ends:
            within = before[name] & members
            if any(self._expand(within)):
                preceded.update(first)
            if not all(self._tasks[task].teardown for task in first):
                followed |= within
        followed = set(self._expand(followed))
        leaves = tuple(name for name in tasks if name not in followed and not self._tasks[name].teardown)
        return GroupTasks(
            tasks=tuple(tasks),
            roots=tuple(name for name in tasks if name not in preceded),
            # In a group of teardowns only, all of them are leaves; otherwise nothing would wait for the group.
            leaves=leaves or tuple(tasks),
        )


def _parents(groups: Mapping[str, TaskGroup]) -> dict[str, str | None]:
    """Return the directly enclosing group of each group; None for groups that enclose themselves or are nested too
    deeply."""
    found: dict[str, str | None] = {}
    for name, group in groups.items():
        around = [name]
        outer = group.group
        while outer is not None and outer in groups and outer not in around and len(around) <= MAX_NESTING:
            around.append(outer)
            outer = groups[outer].group
        found[name] = None if outer == name or len(around) > MAX_NESTING else group.group
    return found
