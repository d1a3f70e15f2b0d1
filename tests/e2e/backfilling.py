"""Backfills in a namespace under test."""

from datetime import UTC, datetime
from typing import Any

from tests.cluster import Manifest
from tests.e2e.spaces import API_VERSION, FINISHED, Space


def backfill(space: Space, name: str, dag: str, start: str, end: str, **spec: Any) -> Manifest:
    """Make a Backfill."""
    body = {
        "apiVersion": API_VERSION,
        "kind": "Backfill",
        "metadata": {"name": name},
        "spec": {"dag": dag, "from": start, "to": end, **spec},
    }
    return space.witness.create(space.name, "backfills", body)


def status_of(space: Space, name: str) -> Manifest:
    """A Backfill's status, {} before there is one."""
    status: Manifest = space.witness.get(space.name, "backfills", name).get("status", {})
    return status


def wait_ended(space: Space, name: str, seconds: float = 90) -> Manifest:
    """The status of a finished Backfill."""
    space.eventually(lambda: status_of(space, name).get("phase") in FINISHED, f"Backfill {name} ends", seconds)
    return status_of(space, name)


def wait_reason(space: Space, name: str, reason: str, seconds: float = 20) -> Manifest:
    """The status of a Backfill once it gives that reason."""
    space.eventually(lambda: status_of(space, name).get("reason") == reason, f"Backfill {name}: {reason}", seconds)
    return status_of(space, name)


def counts(status: Manifest) -> dict[str, int]:
    """The numbers of a Backfill's status."""
    return {name: status[name] for name in ("total", "created", "active", "succeeded", "failed", "skipped")}


def run_name(dag: str, moment: str) -> str:
    """Name of the run of a tick, given in ISO form."""
    return f"{dag}-{datetime.fromisoformat(moment).astimezone(UTC):%Y%m%dt%H%M%S}"


def run_names(space: Space, dag: str) -> list[str]:
    """Names of a Dag's runs, sorted."""
    return [run["metadata"]["name"] for run in space.runs(dag)]
