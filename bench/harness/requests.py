"""Requests that the API server has answered, from its own metrics, of all clients."""

from __future__ import annotations

import re
from collections import Counter

Requests = Counter[tuple[str, str]]
"""Number by (verb, resource[/subresource])."""

WRITES = frozenset(["POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"])
OURS = frozenset(
    ["dags", "dags/status", "dagruns", "dagruns/status", "backfills", "backfills/status", "pools", "pools/status"]
)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


def parse(metrics: str) -> Requests:
    """The writes in a page of metrics."""
    found: Requests = Counter()
    for line in metrics.splitlines():
        if not line.startswith("apiserver_request_total{"):
            continue
        labels, _, value = line.rpartition(" ")
        label = dict(_LABEL.findall(labels))
        if label["verb"] in WRITES:
            resource, subresource = label["resource"], label["subresource"]
            found[label["verb"], f"{resource}/{subresource}" if subresource else resource] += int(float(value))
    return found


def of_controller(made: Requests, *, events: int = 0, by_bench: int = 0) -> Requests:
    """Return the number of those of our controller: to our kinds, to Pods (nodes write their status), to revisions.
    `events` is the controller's own count, because these metrics do not separate the writers of Events. `by_bench`
    creates of DagRuns were the bench's own."""
    ours: Requests = Counter()
    for (verb, resource), number in made.items():
        if resource in OURS or resource in ("pods", "controllerrevisions"):
            ours[verb, resource] = number
    ours["POST", "events"] = events
    ours["POST", "dagruns"] -= by_bench
    return +ours
