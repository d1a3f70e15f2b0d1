"""Times from clocks that may disagree: those of nodes, of the API server and of controllers."""

from datetime import datetime


def believable(reported: datetime | None, earliest: datetime | None, now: datetime) -> datetime:
    """A reported time (now if None), clamped to the range from `earliest` to now."""
    moment = now if reported is None else min(reported, now)
    return moment if earliest is None else max(moment, earliest)
