"""What `shortCircuit` of a task may say: true, or an object with options."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag, WithJsonSchema

from tradewind.api.model import Model


class ShortCircuitOptions(Model):
    """A short circuit, and how far it reaches."""

    respect_trigger_rules: bool | None = None
    """Whether only the tasks right after this one are skipped, and what comes after them is left to its trigger rules.
    Default: false, all tasks after this one are skipped, teardowns excepted."""


def _kind(value: Any) -> str | None:
    # The brackets keep the names out of the paths that users see.
    if isinstance(value, bool):
        return "(flag)"
    return "(options)" if isinstance(value, Mapping | ShortCircuitOptions) else None


# A structural schema has no choice of types. What is said of objects does not apply to true and false.
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
