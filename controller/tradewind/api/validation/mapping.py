"""Validation of `forEach` and `combine`."""

import math
import re
from collections.abc import Iterator, Mapping

from tradewind.api.dag import DagSpec
from tradewind.api.groups import Groups
from tradewind.api.kinds import task_kind
from tradewind.api.mapping import ForEachSource, source_list
from tradewind.api.resolve import DEFAULT_MAX_MAP_LENGTH
from tradewind.api.task import Task
from tradewind.api.task_group import TaskGroup
from tradewind.api.validation.known import Known
from tradewind.api.validation.problem import Problem
from tradewind.api.validation.shape import kind_of

_OUTPUT = re.compile(r"[^.\s]+(\.[^.\s]+)*")


class _Facts:
    """The parts of a Dag that can be mapped over."""

    def __init__(self, spec: DagSpec, groups: Groups) -> None:
        self.longest = spec.max_map_length or DEFAULT_MAX_MAP_LENGTH
        self.groups = groups.named
        self.tasks = {task.name: task for task in spec.tasks}
        self.known_tasks = Known("task", self.tasks)
        self.params = spec.params or {}
        self.known_params = Known("param", self.params)


def check_mapping(spec: DagSpec, groups: Groups) -> list[Problem]:
    """Check `forEach` and `combine` of tasks and groups."""
    facts = _Facts(spec, groups)
    problems: list[Problem] = []
    for task in spec.tasks:
        problems += _check(facts, task, f"spec.tasks[{task.name}]")
    for name, group in groups.named.items():
        problems += _check(facts, group, f"spec.groups[{name}]")
    return problems


def source_fields(for_each: ForEachSource | list[ForEachSource] | None) -> list[tuple[str, ForEachSource]]:
    """Return every source with its field: `forEach`, or `forEach[region]` and `forEach[1]` in a list."""
    if isinstance(for_each, list):
        return [(f"forEach[{source.name or position}]", source) for position, source in enumerate(for_each)]
    return [("forEach", source) for source in source_list(for_each)]


def _check(facts: _Facts, item: Task | TaskGroup, where: str) -> Iterator[Problem]:
    sources = source_list(item.for_each)
    if item.combine and len(sources) < 2:
        message = "applies only to several sources: give forEach a list of sources, or remove combine"
        yield Problem("InvalidMapping", f"{where}.combine", message)
    yield from _check_source_names(sources, f"{where}.forEach")
    longest = facts.longest
    for field, source in source_fields(item.for_each):
        yield from _check_source(facts, item, source, f"{where}.{field}")
    lengths = [len(source.items) for source in sources if source.items is not None]
    if len(lengths) > 1 and item.combine != "Zip" and max(lengths) <= longest < math.prod(lengths):
        message = f"creates {math.prod(lengths)} instances; maxMapLength is {longest}: raise it, or use combine: Zip"
        yield Problem("InvalidMapping", f"{where}.forEach", message)


def _check_source_names(sources: list[ForEachSource], field: str) -> Iterator[Problem]:
    names = [source.name for source in sources if source.name is not None]
    if names and len(names) < len(sources):
        message = "some sources have a name and others not: name all ({{ item.<name> }}) or none ({{ item[0] }})"
        yield Problem("InvalidMapping", field, message)
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        yield Problem("InvalidMapping", field, f"two sources are named {twice[0]!r}: rename one of them")


def _check_source(facts: _Facts, item: Task | TaskGroup, source: ForEachSource, field: str) -> Iterator[Problem]:
    kinds = [kind for kind in ("items", "param", "output") if getattr(source, kind) is not None]
    if len(kinds) != 1:
        given = f"has {' and '.join(kinds)}" if kinds else "has no source"
        yield Problem("InvalidMapping", field, f"{given}: give exactly one of items, param and output")
    elif source.items is not None:
        yield from _check_length(len(source.items), f"{field}.items", facts.longest)
    elif source.param is not None:
        yield from _check_param(facts, source.param, f"{field}.param")
    elif source.output is not None:
        yield from _check_output(facts, item, source.output, f"{field}.output")


def _check_length(length: int, field: str, longest: int) -> Iterator[Problem]:
    if length > longest:
        message = f"has {length} values; maxMapLength is {longest}: raise it (up to 10000), or use fewer"
        yield Problem("InvalidMapping", field, message)


def _check_param(facts: _Facts, name: str, field: str) -> Iterator[Problem]:
    if name not in facts.known_params:
        message = f"{facts.known_params.unknown(name)}; declare params in spec.params"
        yield Problem("InvalidMapping", field, message)
        return
    schema = facts.params[name] if isinstance(facts.params[name], Mapping) else {}
    if "default" in schema:
        default = schema["default"]
        if not isinstance(default, list | dict):
            message = f"the default of {name!r} is {kind_of(default)}: only a list or an object can be mapped over"
            yield Problem("InvalidMapping", field, message)
        else:
            yield from _check_length(len(default), field, facts.longest)
    elif isinstance(schema.get("type"), str) and schema["type"] not in ("array", "object"):
        message = f"{name!r} is of type {schema['type']}: only an array or an object can be mapped over"
        yield Problem("InvalidMapping", field, message)


def _check_output(facts: _Facts, item: Task | TaskGroup, output: str, field: str) -> Iterator[Problem]:
    name = output.partition(".")[0]
    if not _OUTPUT.fullmatch(output):
        message = f"{output!r} must be a task, or a task and a path in its output: extract or extract.stores"
    elif name in facts.groups:
        message = f"{name!r} is a group and has no output: use one of its tasks"
    elif name not in facts.tasks:
        message = facts.known_tasks.unknown(name)
    elif facts.tasks[name] is item:
        message = "a task cannot be mapped over its own output"
    elif not task_kind(facts.tasks[name]).has_output:
        message = f"{name!r} runs nothing and has no output"
    else:
        return
    yield Problem("InvalidMapping", field, message)
