"""How much a validation may do. Work is counted and not timed, so that the same object gets the same answer anywhere.

A unit is about a microsecond; a keyword of a JSON Schema that looks at one value takes two.
"""

MAX_WORK = 400_000
"""Units that the params of a run, or the schemas of a Dag's params, may cost."""
LITTLE_WORK = 20_000
"""Units that may be done where everything else waits meanwhile."""
MAX_AT_ONCE = 50_000
"""Units in a call that no other thread can interrupt."""


class TooMuchWork(Exception):  # noqa: N818
    """There is more to do than may be done."""


class Work:
    """Counts what is done; `spend` raises TooMuchWork beyond the limit."""

    __slots__ = ("_left",)

    def __init__(self, limit: int) -> None:
        self._left = limit

    def spend(self, units: int) -> None:
        """Called before the work is done."""
        self._left -= units
        if self._left < 0:
            raise TooMuchWork
