"""When things happened, told by clocks that need not agree: those of nodes, of the API server, of controllers."""

from datetime import datetime


def believable(told: datetime | None, earliest: datetime | None, now: datetime) -> datetime:
    """The moment that was told, or now where none was: not later than now, and not before what came first."""
    moment = now if told is None else min(told, now)
    return moment if earliest is None else max(moment, earliest)
