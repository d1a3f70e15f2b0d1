"""The sizes of these tests, and the report of their measurements."""

import os
from collections.abc import Callable

Figure = Callable[[str, object], None]
"""Tells a figure by name: it is shown after the tests."""


def size(name: str, default: int) -> int:
    """As the environment says, or a number that keeps the whole suite short."""
    return int(os.environ.get(name) or default)
