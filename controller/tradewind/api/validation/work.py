"""A limit on the work of a validation. Work is counted instead of timed, so that the same object gets the same result
everywhere.

A unit is about a microsecond; a keyword of a JSON Schema that checks one value takes two.
"""

MAX_WORK = 400_000
"""Units for the params of a run, or for the schemas of a Dag's params."""
MAX_BLOCKING_WORK = 20_000
"""Units for work that blocks everything else."""
MAX_AT_ONCE = 50_000
"""Units of a call that no other thread can interrupt."""


class TooMuchWork(Exception):  # noqa: N818
    """The limit is exceeded."""


class Work:
    """Counts units of work; `spend` raises TooMuchWork beyond the limit."""

    __slots__ = ("_left",)

    def __init__(self, limit: int) -> None:
        self._left = limit

    def spend(self, units: int) -> None:
        """Count units before the work is done."""
        self._left -= units
        if self._left < 0:
            raise TooMuchWork
