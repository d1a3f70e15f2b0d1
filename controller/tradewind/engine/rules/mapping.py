"""forEach: the items of the instances of a mapped task."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tradewind.api.resolve import ForEach, ResolvedTask, Source
from tradewind.api.templates import TemplateError, fuel_for, render
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_node import TaskNode

_TYPES = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a string"}


class ForEachError(ValueError):
    """The items cannot be determined; the message says why."""


def for_each_of(run: RunState, task: ResolvedTask) -> ForEach:
    """The forEach of a mapped task: its own, or that of its group."""
    found = task.for_each or run.dag.groups[task.mapped_group or ""].for_each
    if found is None:
        raise ValueError(f"task {task.name!r} is not mapped")
    return found


def sources_of(run: RunState, task: ResolvedTask) -> list[TaskNode]:
    """The tasks whose outputs have the items of a mapped task or of its group."""
    return [run.node(source.output_task) for source in for_each_of(run, task).sources if source.output_task]


def end_without_items(run: RunState, task: ResolvedTask) -> Outcome | None:
    """The outcome of a mapped task whose items will never be known, because a source task did not succeed; else None.

    The trigger rule does not matter. A mapped source gives the outputs of the instances that succeeded.
    """
    skipped = None
    for source in sources_of(run, task):
        if source.count or not source.finished or source.state is TaskState.SUCCEEDED:
            continue
        if source.state in (TaskState.FAILED, TaskState.UPSTREAM_FAILED):
            message = f"forEach: {source.task.name!r} failed and gave no items"
            return Outcome(TaskState.UPSTREAM_FAILED, "NoItems", message)
        message = f"forEach: {source.task.name!r} was skipped and gave no items"
        skipped = Outcome(TaskState.SKIPPED, "NoItems", message)
    return skipped


def items_of(run: RunState, for_each: ForEach, values: Mapping[str, Any]) -> list[Any]:
    """The items in the order of their indexes. `values` are the template values.

    With several sources, each item is an object by the names of the sources, or a list if they have no names. Raises
    ForEachError.
    """
    lists = [_items(run, source, values) for source in for_each.sources]
    limit = run.dag.max_map_length
    count = min(map(len, lists)) if for_each.combine == "Zip" else math.prod(map(len, lists))
    if count > limit:
        raise ForEachError(f"has {count} items; maxMapLength is {limit}")
    if len(lists) == 1 and for_each.sources[0].name is None:
        return list(lists[0])
    names = [source.name for source in for_each.sources]
    together = zip(*lists, strict=False) if for_each.combine == "Zip" else itertools.product(*lists)
    if names[0] is None:
        return [list(each) for each in together]
    return [dict(zip(names, each, strict=True)) for each in together]


def _items(run: RunState, source: Source, values: Mapping[str, Any]) -> Sequence[Any]:
    if source.items is not None:
        fuel = fuel_for(list(_texts(source.items)), values)
        return [_rendered(item, values, fuel) for item in source.items]
    if source.param is not None:
        return _as_list(run.info.params.get(source.param), f"param {source.param!r}")
    return _output(run, source)


def _output(run: RunState, source: Source) -> Sequence[Any]:
    node = run.node(source.output_task or "")
    has_output, found = node.output
    label = f"the output of {source.output_task!r}"
    if not has_output:
        raise ForEachError(f"{source.output_task!r} has no output to take items from")
    for step in source.output_path:
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            raise ForEachError(f"{label} has no {step!r} (looked for {'.'.join(source.output_path)})")
        label += f".{step}"
    return _as_list(found, label)


def _as_list(found: Any, label: str) -> Sequence[Any]:
    if isinstance(found, list):
        return found
    if isinstance(found, Mapping):
        return [{"key": key, "value": value} for key, value in found.items()]
    raise ForEachError(f"{label} must be a list or an object, but is {_TYPES.get(type(found), type(found).__name__)}")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | Mapping):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)


def _rendered(item: Any, values: Mapping[str, Any], fuel: int) -> Any:
    """An item with its templates rendered. Raises ForEachError."""
    if isinstance(item, str):
        try:
            return render(item, values, fuel)
        except TemplateError as error:
            raise ForEachError(f"items: {error}") from error
    if isinstance(item, list):
        return [_rendered(each, values, fuel) for each in item]
    if isinstance(item, Mapping):
        return {key: _rendered(value, values, fuel) for key, value in item.items()}
    return item
