"""What the chart's service accounts have asked the API server for, by its audit log."""

import json
from collections.abc import Iterator
from pathlib import Path

from cluster import Manifest

Right = tuple[str, str, str]
"""(API group, resource or resource/subresource, verb)"""


def asked(log: Path, namespace: str, account: str) -> tuple[set[Right], set[Right]]:
    """What a service account has asked for, and what of that it was forbidden."""
    rights: set[Right] = set()
    forbidden: set[Right] = set()
    for event in _events(log):
        target = event.get("objectRef")
        if event["user"]["username"] != f"system:serviceaccount:{namespace}:{account}" or target is None:
            continue
        resource = "/".join(filter(None, (target.get("resource"), target.get("subresource"))))
        right = target.get("apiGroup", ""), resource, event["verb"]
        rights.add(right)
        if event["annotations"].get("authorization.k8s.io/decision") == "forbid":
            forbidden.add(right)
    return rights, forbidden


def _events(log: Path) -> Iterator[Manifest]:
    with log.open() as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)
