"""What `schedule` and `schedules` of a Dag may say: a cron expression or preset, or `{every: 15m}`."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, WithJsonSchema

from tradewind.api.duration import PATTERN
from tradewind.api.model import Duration, Model

ONCE = "@once"
"""One run, at startDate or when the Dag is made."""
CONTINUOUS = "@continuous"
"""The next run as soon as the last has ended."""


class Every(Model):
    """A schedule of equal steps in elapsed time, whatever clocks do."""

    every: Duration
    """Time from one run to the next, in whole seconds. Counts from startDate, else from when the Dag was made."""


def _kind(value: Any) -> str | None:
    # The brackets keep the names out of the paths that users see.
    if isinstance(value, str):
        return "(text)"
    return "(every)" if isinstance(value, Mapping | Every) else None


# A structural schema has no choice of types. What is said of strings does not apply to objects, nor the reverse.
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
    """As a person says it, for lists and messages: `0 6 * * *, every 2h`."""
    return ", ".join(each.strip() if isinstance(each, str) else f"every {each.every}" for each in schedules)
