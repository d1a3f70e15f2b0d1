"""The leases that are faked for the orders of an election, where it plays too many for a whole API server, are its."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.apiserver import ApiServer, MemoryClient
from tests.unit.kube.memory_client import LeaseClient
from tradewind.kube.errors import ApiError

pytestmark = pytest.mark.unit

LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
NEVER = "99999"


async def answer(client: Any, method: str, path: str, body: Any) -> Any:
    """(status, reason), or a summary of a lease or a list of them."""
    try:
        found = await client.request(method, path, body=body)
    except ApiError as error:
        return error.status, error.reason
    return [summary(item) for item in found["items"]] if "items" in found else summary(found)


def summary(lease: dict[str, Any]) -> Any:
    return lease["metadata"]["name"], lease["metadata"].get("labels"), lease["spec"]


async def version(client: Any, path: str) -> Any:
    try:
        return (await client.request("GET", path))["metadata"]["resourceVersion"]
    except ApiError:
        return None


async def test_reads_and_writes_are_answered_alike() -> None:
    chance, seen = random.Random(5), set()
    clients = (
        LeaseClient({}),
        MemoryClient(ApiServer(now=lambda: datetime.now(UTC), new_uid=lambda: "uid")),
    )
    old: dict[str, list[Any]] = {}
    for number in range(1000):
        name = chance.choice(["a", "b"])
        path, method = f"{LEASES}/{name}", chance.choice(["GET", "LIST", "POST", "PUT", "PUT"])
        versions = [await version(client, path) for client in clients]
        known = chance.choice([old.setdefault(name, versions), versions])
        old[name] = chance.choice([known, versions])
        answers = []
        for client, known_version in zip(clients, known, strict=True):
            body: dict[str, Any] = {"metadata": {"name": name}, "spec": {"holderIdentity": f"h{number}"}}
            if method == "PUT":
                body["metadata"]["resourceVersion"] = known_version or NEVER
            where = LEASES if method in ("LIST", "POST") else path
            write = body if method in ("POST", "PUT") else None
            answers.append(await answer(client, "GET" if method == "LIST" else method, where, write))
        assert answers[0] == answers[1], (method, name)
        seen.add((method, str(answers[0])[:4]))
    assert len(seen) > 6, seen
