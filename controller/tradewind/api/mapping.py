"""`forEach` of a task or group: what it is mapped over, as written and as resolved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, WithJsonSchema

from tradewind.api.model import IDENTIFIER, LIST_ATOMIC, Json, Model

MAX_MAP_LENGTH = 10_000
"""The most instances that `maxMapLength` may allow."""
MAX_SOURCES = 8

Combine = Literal["Product", "Zip"]


class ForEachSource(Model):
    """What a task is mapped over: exactly one of items, param and output."""

    name: Annotated[str, Field(pattern=IDENTIFIER, max_length=63)] | None = None
    """Makes the value of this source `{{ item.<name> }}`. Without names, those of several sources are `{{ item[0] }}`,
    `{{ item[1] }}`, …, and that of a single one is `{{ item }}`."""
    items: Annotated[list[Json], Field(max_length=MAX_MAP_LENGTH, json_schema_extra=LIST_ATOMIC)] | None = None
    """The values themselves, any JSON; strings in them are templates."""
    param: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """Name of a param of the Dag, whose value is a list, or an object: then `item.key` and `item.value`."""
    output: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """A task, and where in its output the list or object is: `extract` or `extract.stores`. The task comes before what
    is mapped, whether dependsOn says so or not."""


def _kind(value: Any) -> str | None:
    # The brackets keep the names out of the paths that users see.
    if isinstance(value, Mapping | ForEachSource):
        return "(one)"
    return "(several)" if isinstance(value, Sequence) and not isinstance(value, str) else None


_SOURCE = ForEachSource.model_json_schema(by_alias=True) | {"minProperties": 1, "maxProperties": 2}
# A structural schema has no choice of types. What is said of lists does not apply to objects, nor the reverse.
_SCHEMA = {
    "x-kubernetes-preserve-unknown-fields": True,
    "minItems": 1,
    "maxItems": MAX_SOURCES,
    "items": _SOURCE,
    "minProperties": 1,
    "maxProperties": 2,
    "properties": _SOURCE["properties"],
}

Sources = Annotated[
    Annotated[ForEachSource, Tag("(one)")]
    | Annotated[list[ForEachSource], Field(min_length=1, max_length=MAX_SOURCES), Tag("(several)")],
    Discriminator(
        _kind,
        custom_error_type="for_each",
        custom_error_message="must be an object such as {items: [a, b]}, {param: stores} or {output: extract.stores}, "
        "or a list of them",
    ),
    WithJsonSchema(_SCHEMA),
]


@dataclass(frozen=True, slots=True)
class Source:
    """One thing to map over: exactly one of `items`, `param` and `output_task` is set. `output_path` are the fields to
    follow in the output."""

    name: str | None = None
    items: tuple[Any, ...] | None = None
    param: str | None = None
    output_task: str | None = None
    output_path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ForEach:
    """What is mapped over. With several sources Product makes an instance for every combination (the last source
    changes fastest), Zip one for every position."""

    sources: tuple[Source, ...]
    combine: Combine = "Product"


def source_list(for_each: ForEachSource | list[ForEachSource] | None) -> list[ForEachSource]:
    """The sources as a list; empty where nothing is mapped."""
    if for_each is None:
        return []
    return [for_each] if isinstance(for_each, ForEachSource) else for_each


def output_tasks(for_each: ForEachSource | list[ForEachSource] | None) -> list[str]:
    """The tasks whose output is mapped over, in order."""
    return [source.output.partition(".")[0] for source in source_list(for_each) if source.output is not None]


def resolve_for_each(for_each: ForEachSource | list[ForEachSource] | None, combine: Combine | None) -> ForEach | None:
    """`forEach` and `combine` as the engine uses them; None where nothing is mapped."""
    sources = tuple(_resolve_source(source) for source in source_list(for_each))
    return ForEach(sources, combine or "Product") if sources else None


def _resolve_source(source: ForEachSource) -> Source:
    if source.items is not None:
        return Source(source.name, items=tuple(source.items))
    if source.param is not None:
        return Source(source.name, param=source.param)
    task, *path = (source.output or "").split(".")
    return Source(source.name, output_task=task, output_path=tuple(path))
