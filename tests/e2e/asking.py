"""Requests on runs in a namespace under test."""

import secrets
from typing import Any

from tests.cluster import Manifest
from tests.e2e.spaces import Space


def ask(space: Space, run: str, kind: str, **fields: Any) -> str:
    """Ask something of a run; the id of the request."""
    request = {"id": secrets.token_hex(8), "type": kind, "requestedBy": "alice", **fields}
    space.witness.patch(space.name, "dagruns", run, {"spec": {"request": request}})
    return str(request["id"])


def wait_asked(space: Space, run: str, request: str) -> Manifest:
    """The record of a request, once it was dealt with and is removed."""

    def record() -> Manifest | None:
        found = space.witness.get(space.name, "dagruns", run)
        if "request" in found["spec"]:
            return None
        records = found.get("status", {}).get("requests", ())
        return next((dict(each) for each in records if each["id"] == request), None)

    found: Manifest = space.eventually(record, f"the request {request} on {run} is dealt with")
    return found


def ask_and_wait(space: Space, run: str, kind: str, **fields: Any) -> Manifest:
    """The record of a request that was applied."""
    record = wait_asked(space, run, ask(space, run, kind, **fields))
    assert record["state"] == "Applied", record
    return record


def tries(space: Space, run: str) -> dict[str, int]:
    """The number of the last try of each task."""
    return {name: entry["try"] for name, entry in space.tasks(run).items() if "try" in entry}


def suspend(space: Space, run: str, suspended: bool) -> None:
    """Suspend a run, or resume it."""
    space.witness.patch(space.name, "dagruns", run, {"spec": {"suspend": suspended}})


def complete(space: Space, run: str) -> Manifest:
    """The condition Complete of a run, {} before there is one."""
    found = (each for each in space.status(run).get("conditions", ()) if each["type"] == "Complete")
    return next(map(dict, found), {})
