"""Conditions and the time of their last transition."""

from datetime import datetime
from typing import Any

from tradewind.api.times import format_time


def with_times(wanted: list[dict[str, Any]], before: list[dict[str, Any]], moment: datetime) -> list[dict[str, Any]]:
    """Return `wanted` with lastTransitionTime set: kept from `before` where status is unchanged, else `moment`."""
    now = format_time(moment.replace(microsecond=0))
    known = {condition["type"]: condition for condition in before}
    dated = []
    for condition in wanted:
        old = known.get(condition["type"])
        same = old is not None and old["status"] == condition["status"]
        since = old["lastTransitionTime"] if same and old and "lastTransitionTime" in old else now
        dated.append({**condition, "lastTransitionTime": since})
    return dated
