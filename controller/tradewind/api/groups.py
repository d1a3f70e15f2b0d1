"""Dependencies as they are between tasks: groups replaced by the tasks in them, implied edges added.

What is mapped over an output comes after the task of that output, and a teardown after its setups, whether dependsOn
says so or not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tradewind.api.dag import DagSpec
from tradewind.api.mapping import output_tasks
from tradewind.api.task import Task
from tradewind.api.task_group import TaskGroup

MAX_NESTING = 20
"""Groups inside each other."""


@dataclass(frozen=True, slots=True)
class GroupTasks:
    """The tasks of one group, those of the groups inside it included, in the order of the spec. `roots` come after no
    task of the group; after `leaves` comes none but teardowns."""

    tasks: tuple[str, ...]
    roots: tuple[str, ...]
    leaves: tuple[str, ...]


def own_dependencies(item: Task | TaskGroup) -> list[str]:
    """What a task or group names as coming before it, tasks and groups, without duplicates."""
    named = [*(item.depends_on or ()), *output_tasks(item.for_each)]
    if isinstance(item, Task) and item.teardown:
        named += item.teardown.setups
    return list(dict.fromkeys(named))


class Groups:
    """The groups of a spec, expanded: `by_name`; `inside` names the groups in each one, at any depth, `parent` the
    one that each is directly in.

    Validation uses it before it knows that the spec is sound: groups that do not exist count for nothing, and groups
    that are inside themselves, or inside too many others, are taken to be inside no group.
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
        # Those further inside first: the ends of a group follow from the ends of the groups in it.
        for name in sorted(self.named, key=lambda name: -len(self.enclosing(name))):
            self.by_name[name] = self._ends(tasks[name], self.inside[name], before)
        self._roots = {name: frozenset(group.roots) for name, group in self.by_name.items()}

    def dependencies(self, task: Task) -> tuple[str, ...]:
        """The tasks right before `task`: its own, then those that its groups bring, innermost first."""
        found = dict.fromkeys(self._expand(own_dependencies(task)))
        for name in self.enclosing(task.group):
            if task.name in self._roots[name]:
                found |= dict.fromkeys(self._expand(own_dependencies(self.named[name])))
        return tuple(found)

    def enclosing(self, group: str | None) -> list[str]:
        """The group and all groups around it, innermost first."""
        found: list[str] = []
        while group in self.parent:
            found.append(group)
            group = self.parent[group]
        return found

    def mapped(self, group: str | None) -> str | None:
        """The group with forEach that something in `group` lies in."""
        return next((name for name in self.enclosing(group) if self.named[name].for_each), None)

    def _expand(self, names: Iterable[str]) -> Iterable[str]:
        """Tasks and groups as tasks only."""
        for name in names:
            if name in self.by_name:
                yield from self.by_name[name].leaves
            else:
                yield name

    def _ends(self, tasks: list[str], inside: list[str], before: Mapping[str, frozenset[str]]) -> GroupTasks:
        """The roots and leaves of a group of `tasks`, in which the groups of `inside` are done already. `before` is
        what each task and group names as coming before it."""
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
            # In a group of teardowns alone each of them counts, else what depends on the group would not wait at all.
            leaves=leaves or tuple(tasks),
        )


def _parents(groups: Mapping[str, TaskGroup]) -> dict[str, str | None]:
    """The group that each one is directly inside of; None too for those inside themselves or too many others."""
    found: dict[str, str | None] = {}
    for name, group in groups.items():
        around = [name]
        outer = group.group
        while outer is not None and outer in groups and outer not in around and len(around) <= MAX_NESTING:
            around.append(outer)
            outer = groups[outer].group
        found[name] = None if outer == name or len(around) > MAX_NESTING else group.group
    return found
