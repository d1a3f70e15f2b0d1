"""Validation of time limits."""

from collections.abc import Iterator

from tradewind.api.duration import parse_duration
from tradewind.api.validation.problem import Problem


def check_duration(text: str | None, field: str) -> Iterator[Problem]:
    """Check that a time limit is not zero."""
    if text is not None and not parse_duration(text):
        yield Problem("InvalidSpec", field, f"{text!r} must be longer than 0")
