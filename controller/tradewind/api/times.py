"""Moments as Kubernetes writes them: RFC 3339, in UTC."""

from datetime import UTC, datetime


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC; milliseconds only where there are any."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="milliseconds" if utc.microsecond >= 1000 else "seconds") + "Z"


def format_exactly(moment: datetime) -> str:
    """The same in full: for what is to be compared again."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat() + "Z" if utc.microsecond % 1000 else format_time(moment)


def parse_time(text: str | None) -> datetime | None:
    """The moment that `format_time` (or Kubernetes) wrote."""
    return datetime.fromisoformat(text) if text else None
