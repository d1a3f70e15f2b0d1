"""The uninstall hook: it stops the controllers, removes the finalizers of Pods and deletes the Lease, and when it may
continue."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from tests.apiserver import ApiServer, MemoryClient, Request, Response
from tests.apiserver.kinds import LEASES, PODS
from tradewind.controller.process import finalizers
from tradewind.controller.process.finalizers import StillRunning, delete_leases, release, stop_controllers
from tradewind.kube.errors import ApiError

pytestmark = pytest.mark.unit

Json = dict[str, Any]
OURS, OTHER = "tradewind.dev/result", "example.com/other"
LABELS = {"app": "tradewind", "component": "controller"}
SPEC = {"containers": [{"name": "controller", "image": "tradewind"}]}
LEASE_PATH = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
PODS_PATH = "/api/v1/namespaces/default/pods"
SCALE_PATH = "/apis/apps/v1/namespaces/default/deployments/tradewind/scale"


class Namespace:
    """The namespace of a release: a Deployment of `replicas` controllers (None: there is none), their Pods and Lease;
    and what may not be looked into."""

    def __init__(self) -> None:
        self.server = ApiServer(now=lambda: datetime.now(UTC), new_uid=lambda: str(uuid.uuid4()))
        self.replicas: int | None = 2
        self.forbidden = ""

    def client(self) -> MemoryClient:
        return _Client(self)

    def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        content_type = "application/merge-patch+json" if method == "PATCH" else None
        data = orjson.dumps(body) if body is not None else None
        answer = self.server.handle(Request(method=method, path=path, body=data, content_type=content_type))
        assert answer.status < 400, answer.document
        return dict(answer.document)

    def pod(self, name: str, labels: Json, finalizers: list[str] | None = None) -> None:
        metadata = {"name": name, "labels": labels, "finalizers": finalizers or []}
        self.ask("POST", PODS_PATH, {"metadata": metadata, "spec": SPEC})

    def delete_pod(self, name: str) -> None:
        self.ask("DELETE", f"{PODS_PATH}/{name}")

    def lease(self, **spec: Any) -> None:
        self.ask("PATCH", f"{LEASE_PATH}/lease", {"spec": spec})

    def finalizers(self) -> dict[str, list[str]]:
        return {pod["metadata"]["name"]: pod["metadata"].get("finalizers", []) for pod in self.server.all(PODS)}


class _Client(MemoryClient):
    """Knows Deployments, of which the server knows nothing."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace.server)
        self._namespace = namespace

    async def _exchange_in_memory(self, request: Request, timeout: float) -> Response:
        if self._namespace.forbidden and f"/namespaces/{self._namespace.forbidden}/" in request.path:
            raise ApiError(403, "Forbidden", "pods is forbidden")
        if request.path == SCALE_PATH:
            assert request.method == "PATCH"
            if self._namespace.replicas is None:
                raise ApiError(404, "NotFound", "deployments.apps not found")
            self._namespace.replicas = orjson.loads(request.body or b"")["spec"]["replicas"]
            selector = ",".join(f"{name}={value}" for name, value in LABELS.items())
            return Response(200, orjson.dumps({"kind": "Scale", "status": {"selector": selector}}))
        return await super()._exchange_in_memory(request, timeout)


@pytest.fixture
def namespace(monkeypatch: pytest.MonkeyPatch) -> Namespace:
    """Two controllers, one of which leads; waits are shorter."""
    monkeypatch.setattr(finalizers, "POLL", 0.005)
    monkeypatch.setattr(finalizers, "STOP_WITHIN", 1.5)
    monkeypatch.setattr(finalizers, "LEASE_DURATION", 0.5)
    namespace = Namespace()
    for name in ("one", "two"):
        namespace.pod(name, LABELS)
    spec = {"holderIdentity": "one", "leaseDurationSeconds": 1}
    namespace.ask("POST", LEASE_PATH, {"metadata": {"name": "lease"}, "spec": spec})
    return namespace


def stop(namespace: Namespace) -> asyncio.Task[None]:
    return asyncio.create_task(stop_controllers(namespace.client(), "default", "tradewind", "lease"))


async def keep_renewing(namespace: Namespace) -> None:
    while True:
        namespace.lease(renewTime=datetime.now(UTC).isoformat())
        await asyncio.sleep(0.02)


async def test_it_waits_for_the_last_controller_whatever_the_lease_says(namespace: Namespace) -> None:
    stopping = stop(namespace)
    await asyncio.sleep(0.05)
    assert namespace.replicas == 0
    namespace.delete_pod("one")
    # The leader has given it back, and the one that is left may take it.
    namespace.lease(holderIdentity=None)
    await asyncio.sleep(0.05)
    assert not stopping.done()
    namespace.delete_pod("two")
    await asyncio.wait_for(stopping, 5)


async def test_pods_that_hang_are_not_waited_for_when_none_leads(namespace: Namespace) -> None:
    await asyncio.wait_for(stop(namespace), 5)
    assert len(namespace.finalizers()) == 2


async def test_a_lease_that_is_valid_for_longer_is_waited_for_as_long(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finalizers, "STOP_WITHIN", 10)
    namespace.lease(leaseDurationSeconds=2)
    stopping = stop(namespace)
    await asyncio.sleep(1)
    assert not stopping.done()
    await asyncio.wait_for(stopping, 5)


@pytest.mark.parametrize("spec", [None, {}])
async def test_no_lease_or_one_without_a_duration_is_waited_for_as_long_as_ours(
    namespace: Namespace, spec: Json | None
) -> None:
    namespace.ask("DELETE", f"{LEASE_PATH}/lease")
    if spec is not None:
        namespace.ask("POST", LEASE_PATH, {"metadata": {"name": "lease"}, "spec": spec})
    await asyncio.wait_for(stop(namespace), 1.4)


async def test_a_leader_that_does_not_stop_is_an_error(namespace: Namespace) -> None:
    renewing = asyncio.create_task(keep_renewing(namespace))
    with pytest.raises(StillRunning, match="still renews Lease default/lease"):
        await stop(namespace)
    renewing.cancel()


async def test_without_its_deployment_the_lease_tells(namespace: Namespace) -> None:
    namespace.replicas = None
    stopping = stop(namespace)
    await asyncio.sleep(0.05)
    assert not stopping.done()
    await asyncio.wait_for(stopping, 5)


async def test_the_leases_of_any_number_of_shards_are_deleted_and_no_other(namespace: Namespace) -> None:
    for name in ("lease-0-of-2", "lease-2-of-3", "lease-of-others", "other"):
        namespace.ask("POST", LEASE_PATH, {"metadata": {"name": name}, "spec": {}})
    for _ in range(2):
        await delete_leases(namespace.client(), "default", "lease")
        assert [lease["metadata"]["name"] for lease in namespace.server.all(LEASES)] == ["lease-of-others", "other"]


@pytest.mark.parametrize(("status", "reason"), [(404, "NotFound"), (403, "Forbidden")])
async def test_a_lease_that_is_deleted_meanwhile_is_no_error_but_one_that_may_not_be_deleted_is(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch, status: int, reason: str
) -> None:
    namespace.ask("POST", LEASE_PATH, {"metadata": {"name": "lease-0-of-2"}, "spec": {}})
    client = namespace.client()
    request = client.request

    async def refuse_first(method: str, path: str, **rest: Any) -> Any:
        if method == "DELETE" and path.endswith("/lease"):
            raise ApiError(status, reason, "no")
        return await request(method, path, **rest)

    monkeypatch.setattr(client, "request", refuse_first)
    if status == 404:
        await delete_leases(client, "default", "lease")
        assert [lease["metadata"]["name"] for lease in namespace.server.all(LEASES)] == ["lease"]
    else:
        with pytest.raises(ApiError, match="Forbidden"):
            await delete_leases(client, "default", "lease")


async def test_it_takes_off_our_finalizer_and_no_other() -> None:
    namespace, label = Namespace(), {"tradewind.dev/run": "sales-1"}
    namespace.pod("held", label, [OURS])
    namespace.pod("shared", label, [OTHER, OURS])
    namespace.pod("free", label)
    namespace.pod("foreign", {}, [OURS])

    assert await release(namespace.client(), ()) == (2, [])

    assert namespace.finalizers() == {"held": [], "shared": [OTHER], "free": [], "foreign": [OURS]}


async def test_a_namespace_that_is_deleted_is_passed_over_if_asked() -> None:
    """The namespace cannot be read: its Role was deleted with it."""
    namespace = Namespace()
    namespace.forbidden = "gone"
    namespace.pod("held", {"tradewind.dev/run": "sales-1"}, [OURS])
    with pytest.raises(ApiError, match="forbidden"):
        await release(namespace.client(), ("gone", "default"))
    assert await release(namespace.client(), ("gone", "default"), skip_forbidden=True) == (1, ["gone"])
    assert namespace.finalizers() == {"held": []}
