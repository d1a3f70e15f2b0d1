"""status.requests: the requests about a run, who made them, and their results."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tradewind.api.run_request import RunRequest
from tradewind.api.times import format_time
from tradewind.engine.run.json_size import shorten, stored_size

REQUESTS_BUDGET = 64 * 1024
"""Bytes of all requests of a run in status; the oldest are dropped."""
MAX_NAMED = 100
MESSAGE_BYTES = 1024


def is_known(status: Mapping[str, Any], request_id: str) -> bool:
    """True if the request is recorded already."""
    return any(entry["id"] == request_id for entry in status.get("requests", ()))


def with_record(
    requests: Sequence[Mapping[str, Any]], request: RunRequest, *, applied: bool, message: str, now: datetime
) -> list[dict[str, Any]]:
    """`requests` and the record of one more."""
    names = request.tasks or []
    more = [f"and {len(names) - MAX_NAMED} more"] if len(names) > MAX_NAMED else []
    facts: dict[str, Any] = {
        "id": request.id,
        "type": request.type,
        "requestedBy": request.requested_by,
        "tasks": [*names[:MAX_NAMED], *more] or None,
        "onlyFailed": request.only_failed,
        "upstream": request.upstream,
        "downstream": request.downstream,
        "revision": request.revision,
        "requestedState": request.state,
        "requestMessage": request.message,
        "state": "Applied" if applied else "Rejected",
        "message": shorten(message, MESSAGE_BYTES),
        "time": format_time(now),
    }
    entries = [*map(dict, requests), {name: value for name, value in facts.items() if value is not None}]
    while len(entries) > 1 and stored_size(entries) > REQUESTS_BUDGET:
        del entries[0]
    return entries
