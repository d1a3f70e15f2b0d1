"""Times as Kubernetes writes them: RFC 3339, in UTC."""

from datetime import UTC, datetime


def format_time(moment: datetime) -> str:
    """Return RFC 3339 in UTC; milliseconds only if they are not zero."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="milliseconds" if utc.microsecond >= 1000 else "seconds") + "Z"


def format_exactly(moment: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds, so that parsed times compare equal."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat() + "Z" if utc.microsecond % 1000 else format_time(moment)


def parse_time(text: str | None) -> datetime | None:
    """Parse a time of `format_time` or Kubernetes; None if it is empty."""
    return datetime.fromisoformat(text) if text else None
