"""The task instances that a request selects.

A choice is `{position: indexes}`; indexes are None if the task has no instances by index (it is not mapped, or its
items are not known).
"""

from collections.abc import Callable, Iterable

from tradewind.engine.requests.refusal import Refused
from tradewind.engine.run.index_set import IndexSet
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode

Choice = dict[int, IndexSet | None]
SKIPPED_WITH_RUN = frozenset({"FailFast", "RunTimeout", "Deadlock", "Stopped"})
"""Reasons of tasks that were skipped only because their run finished."""
_FAILED = frozenset({TaskState.FAILED, TaskState.UPSTREAM_FAILED})


def everything(run: RunState) -> Choice:
    """All instances of all tasks."""
    return {node.position: _all(node) for node in run.nodes}


def named(run: RunState, names: Iterable[str]) -> Choice:
    """Tasks, the tasks of groups, and single instances (`load[3]`), by name. Raises Refused for an index that does not
    exist; the names themselves are already validated."""
    choice: Choice = {}
    for name in names:
        task, _, index = name.rstrip("]").partition("[")
        members = run.dag.groups[task].tasks if task in run.dag.groups else (task,)
        for member in members:
            node = run.node(member)
            _add(choice, node.position, IndexSet([_index(node, int(index))]) if index else _all(node))
    return choice


def reach(run: RunState, choice: Choice, *, upstream: bool = False, downstream: bool = False) -> Choice:
    """The choice with all of its upstream or downstream tasks; inside a mapped group only the same index."""
    found = _copy(choice)
    for wanted, edges in ((upstream, run.graph.upstream), (downstream, run.graph.downstream)):
        beyond = _copy(choice)
        pending = list(choice) if wanted else []
        while pending:
            position = pending.pop()
            for other in edges[position]:
                if _add(beyond, other, _alongside(run, position, other, beyond[position])):
                    pending.append(other)
        for position, indexes in beyond.items():
            _add(found, position, indexes)
    return found


def failed(run: RunState, choice: Choice, *, with_run: bool = True) -> Choice:
    """Instances that are Failed or UpstreamFailed; `with_run` adds those that were skipped because the run finished."""

    def counts(instance: TaskInstance) -> bool:
        skipped_with_run = instance.state is TaskState.SKIPPED and instance.reason in SKIPPED_WITH_RUN
        return instance.state in _FAILED or (with_run and skipped_with_run)

    return only(run, choice, counts)


def begun(run: RunState, choice: Choice) -> Choice:
    """Instances that are in any state but None."""
    return only(run, choice, lambda instance: instance.state is not TaskState.NONE)


def not_in(run: RunState, choice: Choice, state: TaskState) -> Choice:
    """Instances that are in any other state."""
    return only(run, choice, lambda instance: instance.state is not state)


def without(choice: Choice, other: Choice) -> Choice:
    """The difference of two choices."""
    found: Choice = {}
    for position, indexes in choice.items():
        if position not in other:
            found[position] = indexes
        elif indexes is not None:
            left = indexes - (other[position] or IndexSet())
            if left:
                found[position] = left
    return found


def with_scope(run: RunState, choice: Choice) -> Choice:
    """The choice with the setups whose scope it is in, and their teardowns: it needs what the setups prepare."""
    found = _copy(choice)
    graph, tasks = run.graph, run.dag.tasks
    torn_down: set[int] = set()
    scopes: list[tuple[int, int, int | None]] = []  # (tasks in scope, setup, teardown)
    for after, task in enumerate(tasks):
        for name in task.teardown_setups:
            setup = graph.position[name]
            torn_down.add(setup)
            inside = graph.descendants[setup] & graph.ancestors[after] | 1 << setup
            scopes.append((inside, setup, after))
    scopes += [
        (graph.descendants[setup], setup, None)
        for setup, task in enumerate(tasks)
        if task.setup and setup not in torn_down
    ]
    for position, indexes in choice.items():
        for inside, setup, teardown in scopes:
            if inside >> position & 1:
                for beside in (setup, teardown):
                    if beside is not None:
                        _add(found, beside, _alongside(run, position, beside, indexes))
    return found


def reexpanded(run: RunState, choice: Choice, *, always: bool = False) -> set[int]:
    """The mapped tasks of a choice whose items are evaluated again, because the task that outputs them runs again too
    (or `always`). Adds all of their instances, and all tasks of their group, to the choice."""
    found: set[int] = set()
    while True:
        more = {
            other
            for position in choice
            if position not in found and (always or _source_runs_again(run, run.nodes[position], choice))
            for other in _mapped_together(run, run.nodes[position])
        }
        if more <= found:
            return found
        found |= more
        for position in more:
            _add(choice, position, _all(run.nodes[position]))


def instances(run: RunState, choice: Choice) -> Iterable[TaskInstance]:
    """The current instances of a choice, read-only."""
    for position in sorted(choice):
        node, indexes = run.nodes[position], choice[position]
        if indexes is None:
            yield node.whole
        else:
            yield from (found for index in indexes if (found := node.peek(index)) is not None)


def label(run: RunState, choice: Choice) -> list[str]:
    """The names of a choice: `load`, or `load[0-3,7]` for some of the instances of a task."""
    names = []
    for position in sorted(choice):
        node, indexes = run.nodes[position], choice[position]
        part = indexes is not None and len(indexes) != node.count
        names.append(f"{node.task.name}[{indexes}]" if part else node.task.name)
    return names


def _all(node: TaskNode) -> IndexSet | None:
    return IndexSet.range(node.count) if node.count else None


def _index(node: TaskNode, index: int) -> int:
    name = node.task.name
    if not node.count:
        raise Refused(f"{name}[{index}]: the instances of {name!r} are not known yet; name {name}")
    if index >= node.count:
        last = f", 0 to {node.count - 1}" if node.count > 1 else ""
        raise Refused(f"{name}[{index}]: {name!r} has {node.count} instance{'s'[: node.count > 1]}{last}")
    return index


def _add(choice: Choice, position: int, indexes: IndexSet | None) -> bool:
    """Add instances to a choice. Return True if it has grown."""
    if position not in choice:
        choice[position] = None if indexes is None else indexes.copy()
        return True
    known = choice[position]
    if known is None or indexes is None:
        return False
    choice[position] = merged = known | indexes
    return len(merged) > len(known)


def _copy(choice: Choice) -> Choice:
    return {position: None if indexes is None else IndexSet.parse(str(indexes)) for position, indexes in choice.items()}


def _alongside(run: RunState, position: int, other: int, indexes: IndexSet | None) -> IndexSet | None:
    """The instances of another task that belong to some of this one: in the same mapped group those of the same index,
    else all."""
    node, beside = run.nodes[position], run.nodes[other]
    together = node.task.mapped_group is not None and node.task.mapped_group == beside.task.mapped_group
    return indexes if together and indexes is not None and beside.count == node.count else _all(beside)


def only(run: RunState, choice: Choice, counts: Callable[[TaskInstance], bool]) -> Choice:
    """The instances for which `counts` is true."""
    found: Choice = {}
    for position, indexes in choice.items():
        node = run.nodes[position]
        if indexes is None:
            if counts(node.whole):
                found[position] = None
        else:
            some = IndexSet(index for index in indexes if (each := node.peek(index)) is not None and counts(each))
            if some:
                found[position] = some
    return found


def _source_runs_again(run: RunState, node: TaskNode, choice: Choice) -> bool:
    if not node.mapped:
        return False
    for_each = node.task.for_each or run.dag.groups[node.task.mapped_group or ""].for_each
    sources = for_each.sources if for_each else ()
    return any(run.graph.position.get(source.output_task or "", -1) in choice for source in sources)


def _mapped_together(run: RunState, node: TaskNode) -> list[int]:
    """The tasks whose instances come from the same forEach."""
    if not node.mapped:
        return []
    if node.task.mapped_group is None:
        return [node.position]
    return [run.graph.position[name] for name in run.dag.groups[node.task.mapped_group].tasks]
