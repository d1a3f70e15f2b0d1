"""`forEach` of a task or group, as written and as resolved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, WithJsonSchema

from tradewind.api.model import IDENTIFIER, LIST_ATOMIC, Json, Model

MAX_MAP_LENGTH = 10_000
"""The maximum of `maxMapLength`."""
MAX_SOURCES = 8

Combine = Literal["Product", "Zip"]


class ForEachSource(Model):
    """A source of items: exactly one of items, param and output."""

    name: Annotated[str, Field(pattern=IDENTIFIER, max_length=63)] | None = None
    """Name of this source's value in templates: `{{ item.<name> }}`. Without names, the values of several sources are
    `{{ item[0] }}`, `{{ item[1] }}`, …, and the value of a single source is `{{ item }}`."""
    items: Annotated[list[Json], Field(max_length=MAX_MAP_LENGTH, json_schema_extra=LIST_ATOMIC)] | None = None
    """The values, any JSON; strings in them are templates."""
    param: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """Name of a param whose value is a list, or an object with `item.key` and `item.value` for each entry."""
    output: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """A task, with an optional path to the list or object in its output: `extract` or `extract.stores`. The mapped task
    or group depends on that task, even if dependsOn does not list it."""


def _kind(value: Any) -> str | None:
    # The brackets mark names that `path_of` in validation removes from the paths that users see.
    if isinstance(value, Mapping | ForEachSource):
        return "(one)"
    return "(several)" if isinstance(value, Sequence) and not isinstance(value, str) else None


_SOURCE = ForEachSource.model_json_schema(by_alias=True) | {"minProperties": 1, "maxProperties": 2}
# A structural schema has no union types. Keywords for lists do not apply to objects, and the reverse.
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
    """One source: exactly one of `items`, `param` and `output_task` is set. `output_path` has the fields to follow in
    the output."""

    name: str | None = None
    items: tuple[Any, ...] | None = None
    param: str | None = None
    output_task: str | None = None
    output_path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ForEach:
    """The sources of a mapping. With several sources Product creates an instance for every combination (the last source
    changes fastest), Zip one for every position."""

    sources: tuple[Source, ...]
    combine: Combine = "Product"


def source_list(for_each: ForEachSource | list[ForEachSource] | None) -> list[ForEachSource]:
    """Return the sources as a list; empty without a mapping."""
    if for_each is None:
        return []
    return [for_each] if isinstance(for_each, ForEachSource) else for_each


def output_tasks(for_each: ForEachSource | list[ForEachSource] | None) -> list[str]:
    """Return the tasks whose output is mapped over, in order."""
    return [source.output.partition(".")[0] for source in source_list(for_each) if source.output is not None]


def resolve_for_each(for_each: ForEachSource | list[ForEachSource] | None, combine: Combine | None) -> ForEach | None:
    """Return `forEach` and `combine` as the engine uses them; None without a mapping."""
    sources = tuple(_resolve_source(source) for source in source_list(for_each))
    return ForEach(sources, combine or "Product") if sources else None


def _resolve_source(source: ForEachSource) -> Source:
    if source.items is not None:
        return Source(source.name, items=tuple(source.items))
    if source.param is not None:
        return Source(source.name, param=source.param)
    task, *path = (source.output or "").split(".")
    return Source(source.name, output_task=task, output_path=tuple(path))
