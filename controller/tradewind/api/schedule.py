"""`schedule` and `schedules` of a Dag: a cron expression or preset, or `{every: 15m}`."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, WithJsonSchema

from tradewind.api.duration import PATTERN
from tradewind.api.model import Duration, Model

ONCE = "@once"
"""One run, at startDate or when the Dag is created."""
CONTINUOUS = "@continuous"
"""The next run starts when the previous one finishes."""


class Every(Model):
    """A schedule of equal steps in elapsed time, independent of clock changes."""

    every: Duration
    """Time between runs, in whole seconds. It counts from startDate, or else from the creation of the Dag."""


def _kind(value: Any) -> str | None:
    # The brackets mark names that `path_of` in validation removes from the paths that users see.
    if isinstance(value, str):
        return "(text)"
    return "(every)" if isinstance(value, Mapping | Every) else None


# A structural schema has no union types. Keywords for strings do not apply to objects, and the reverse.
_SCHEMA = {
    "x-kubernetes-preserve-unknown-fields": True,
    "minLength": 1,
    "maxLength": 256,
    "required": ["every"],
    "maxProperties": 1,
    "properties": {
        "every": {
            "type": "string",
            "pattern": PATTERN,
            "maxLength": 32,
            "description": Every.model_fields["every"].description,
        }
    },
}

Schedule = Annotated[
    Annotated[str, Field(min_length=1, max_length=256), Tag("(text)")] | Annotated[Every, Tag("(every)")],
    Discriminator(
        _kind,
        custom_error_type="schedule",
        custom_error_message="must be a cron expression, a preset such as @daily, or an object such as {every: 15m}",
    ),
    WithJsonSchema(_SCHEMA),
]


def schedule_text(schedules: Iterable[str | Every]) -> str:
    """Return the schedules as text for lists and messages: `0 6 * * *, every 2h`."""
    return ", ".join(each.strip() if isinstance(each, str) else f"every {each.every}" for each in schedules)
