"""`shortCircuit` of a task: true, false, or an object with options."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag, WithJsonSchema

from tradewind.api.model import Model


class ShortCircuitOptions(Model):
    """Options of a short circuit."""

    respect_trigger_rules: bool | None = None
    """Whether only the direct downstream tasks are skipped, and trigger rules decide about the tasks after them.
    Default: false, all downstream tasks except teardowns are skipped."""


def _kind(value: Any) -> str | None:
    # The brackets mark names that `path_of` in validation removes from the paths that users see.
    if isinstance(value, bool):
        return "(flag)"
    return "(options)" if isinstance(value, Mapping | ShortCircuitOptions) else None


# A structural schema has no union types. Keywords for objects do not apply to true and false.
_SCHEMA = {
    "x-kubernetes-preserve-unknown-fields": True,
    "maxProperties": 1,
    "properties": ShortCircuitOptions.model_json_schema(by_alias=True)["properties"],
}

ShortCircuit = Annotated[
    Annotated[bool, Tag("(flag)")] | Annotated[ShortCircuitOptions, Tag("(options)")],
    Discriminator(
        _kind,
        custom_error_type="short_circuit",
        custom_error_message="must be true, false, or an object such as {respectTriggerRules: true}",
    ),
    WithJsonSchema(_SCHEMA),
]
