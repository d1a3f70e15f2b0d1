"""What the uninstall hook does: stop the controllers, release the Pods, delete the Lease; and when it may go on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from memory_api import ApiError, Json, MemoryApi, MemoryClient

from tradewind.controller import finalizers
from tradewind.controller.finalizers import StillRunning, delete_lease, release, stop_controllers

pytestmark = pytest.mark.unit

OURS, OTHER = "tradewind.dev/result", "example.com/other"
LABELS = {"app": "tradewind", "component": "controller"}
SELECTOR = "app=tradewind,component=controller"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> MemoryApi:
    """A namespace with a Deployment of two controllers, one of which leads; waits are shorter."""
    monkeypatch.setattr(finalizers, "POLL", 0.005)
    monkeypatch.setattr(finalizers, "STOP_WITHIN", 1.5)
    monkeypatch.setattr(finalizers, "LEASE_DURATION", 0.5)
    api = MemoryApi()
    api.create("deployments", "tradewind", spec={"replicas": 2}, status={"selector": SELECTOR})
    for name in ("one", "two"):
        api.create("pods", name)
        api.patch("pods", name, metadata={"labels": LABELS})
    renew(api, 0)
    return api


def renew(api: MemoryApi, number: int) -> None:
    spec = {"holderIdentity": "one", "leaseDurationSeconds": 0.5, "renewTime": str(number)}
    api.objects.pop(("leases", "ns", "lease"), None)
    api.create("leases", "lease", spec=spec)


def stop(api: MemoryApi) -> asyncio.Task[None]:
    return asyncio.create_task(stop_controllers(MemoryClient(api), "ns", "tradewind", "lease"))


async def keep_renewing(api: MemoryApi) -> None:
    for number in range(1000):
        renew(api, number)
        await asyncio.sleep(0.02)


async def test_it_waits_for_the_last_controller_whatever_the_lease_says(api: MemoryApi) -> None:
    stopping = stop(api)
    renewing = asyncio.create_task(keep_renewing(api))
    await asyncio.sleep(0.05)
    assert api.get("deployments", "tradewind")["spec"]["replicas"] == 0
    api.delete("pods", "one")
    renewing.cancel()
    # The leader has given it back, and the one that is left may take it.
    api.patch("leases", "lease", spec={"holderIdentity": None, "leaseDurationSeconds": 0.01})
    await asyncio.sleep(0.05)
    assert not stopping.done()
    api.delete("pods", "two")
    await asyncio.wait_for(stopping, 5)


async def test_pods_that_hang_are_not_waited_for_when_none_leads(api: MemoryApi) -> None:
    await asyncio.wait_for(stop(api), 5)
    assert len(api.all("pods")) == 2


async def test_a_leader_that_does_not_stop_is_an_error(api: MemoryApi) -> None:
    renewing = asyncio.create_task(keep_renewing(api))
    with pytest.raises(StillRunning, match="still renews the Lease ns/lease"):
        await stop(api)
    renewing.cancel()


async def test_without_its_deployment_the_lease_tells(api: MemoryApi) -> None:
    api.delete("deployments", "tradewind")
    stopping = stop(api)
    await asyncio.sleep(0.05)
    assert not stopping.done()
    await asyncio.wait_for(stopping, 5)


async def test_a_lease_that_never_was_is_no_trouble(api: MemoryApi) -> None:
    await delete_lease(MemoryClient(api), "ns", "lease")
    await delete_lease(MemoryClient(api), "ns", "lease")
    assert not api.all("leases")


async def test_it_takes_off_our_finalizer_and_no_other() -> None:
    api = MemoryApi()
    label = {"tradewind.dev/run": "sales-1"}
    for name, labels, held in (
        ("held", label, [OURS]),
        ("shared", label, [OTHER, OURS]),
        ("free", label, []),
        ("foreign", {}, [OURS]),
    ):
        api.create("pods", name)
        api.patch("pods", name, metadata={"labels": labels, **({"finalizers": held} if held else {})})

    assert await release(MemoryClient(api), ()) == (2, [])

    left = {pod["metadata"]["name"]: pod["metadata"].get("finalizers") for pod in api.all("pods")}
    assert left == {"held": None, "shared": [OTHER], "free": None, "foreign": [OURS]}


class Gone(MemoryClient):
    """A client that may not look into one namespace, as nobody may whose Role has gone with it."""

    async def request(self, method: str, path: str, **options: Any) -> Json:
        if "/namespaces/gone/" in path:
            raise ApiError(403, "Forbidden", "pods is forbidden")
        return await super().request(method, path, **options)


async def test_a_namespace_that_is_gone_is_passed_over_if_asked() -> None:
    api = MemoryApi()
    api.create("pods", "held")
    api.patch("pods", "held", metadata={"labels": {"tradewind.dev/run": "sales-1"}, "finalizers": [OURS]})
    with pytest.raises(ApiError, match="forbidden"):
        await release(Gone(api), ("gone", "ns"))
    assert await release(Gone(api), ("gone", "ns"), skip_forbidden=True) == (1, ["gone"])
    assert "finalizers" not in api.get("pods", "held")["metadata"]
