"""The webhook's server: reviews as large as the API server sends them, and an answer to each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from socket import socket
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession, ClientTimeout, web
from aiohttp.test_utils import TestClient, TestServer

from tradewind.controller.webhook import reviews
from tradewind.controller.webhook.certificates import make_bundle
from tradewind.controller.webhook.reviews import Denied, Review, ReviewServer
from tradewind.controller.webhook.tls import ServedCertificate

pytestmark = pytest.mark.unit

Json = dict[str, Any]


def review(spec: Json, old: Json | None = None, resource: str = "dags", **more: Any) -> Json:
    document = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "Dag", "metadata": {"name": "d", "namespace": "ns"}}
    request = {
        "uid": "7",
        "resource": {"group": "tradewind.dev", "version": "v1alpha1", "resource": resource},
        "operation": "UPDATE" if old else "CREATE",
        "userInfo": {"username": "ann"},
        "object": {**document, "spec": spec},
        "oldObject": {**document, "spec": old} if old else None,
        **more,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


class Decision:
    """Handles reviews, and keeps what it has seen."""

    def __init__(self) -> None:
        self.seen: list[Review] = []
        self.error: Exception | None = None

    async def __call__(self, review: Review) -> None:
        self.seen.append(review)
        if self.error:
            raise self.error


@pytest.fixture
def decision() -> Decision:
    return Decision()


@pytest.fixture
async def client(decision: Decision) -> AsyncIterator[Any]:
    app = web.Application(client_max_size=reviews.MAX_REVIEW)
    app.add_routes([web.post("/validate", ReviewServer({"dags": decision}).answer)])
    async with TestClient(TestServer(app)) as client:
        yield client


async def ask(client: Any, document: Json) -> Json:
    answer = await client.post("/validate", data=orjson.dumps(document))
    assert answer.status == 200, await answer.text()
    found: Json = orjson.loads(await answer.read())
    assert (found["apiVersion"], found["kind"], found["response"]["uid"]) == (
        "admission.k8s.io/v1",
        "AdmissionReview",
        "7",
    )
    return dict(found["response"])


async def test_let_in(client: Any, decision: Decision) -> None:
    assert (await ask(client, review({"a": 1})))["allowed"] is True
    [seen] = decision.seen
    assert (seen.object.name, seen.object.namespace, seen.object.spec) == ("d", "ns", {"a": 1})
    assert seen.user_info == {"username": "ann"}


async def test_refused(client: Any, decision: Decision) -> None:
    decision.error = Denied("no", 422)
    answer = await ask(client, review({}))
    assert (answer["allowed"], answer["status"]) == (False, {"message": "no", "code": 422})


async def test_a_fault_of_ours_lets_nothing_in(client: Any, decision: Decision) -> None:
    decision.error = KeyError("x")
    answer = await ask(client, review({}))
    assert (answer["allowed"], answer["status"]["code"]) == (False, 500)


@pytest.mark.parametrize("size", [900_000, 1_500_000, 7_000_000])
async def test_as_large_as_the_api_server_sends_them(client: Any, decision: Decision, size: int) -> None:
    decision.error = Denied("no", 422)
    answer = await ask(client, review({"docs": "x" * size}, {"docs": "y" * size}))
    assert answer["allowed"] is False
    assert len(decision.seen) == 1


async def test_many_large_ones_at_once(client: Any, decision: Decision) -> None:
    answers = await asyncio.gather(*(ask(client, review({"docs": "x" * 1_000_000})) for _ in range(12)))
    assert [answer["allowed"] for answer in answers] == [True] * 12


async def test_what_is_no_review(client: Any, decision: Decision) -> None:
    for body, status in (
        (b"nonsense", 400),
        (b"{}", 400),
        (orjson.dumps(review({}, resource="pods")), 404),
        (b"x" * (reviews.MAX_REVIEW + 1), 413),
    ):
        assert (await client.post("/validate", data=body)).status == status
    assert not decision.seen


@pytest.mark.parametrize(
    ("old", "new", "differs"),
    [({"a": 1}, {"a": 1}, False), ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False), ({"a": 1}, {"a": 2}, True)],
)
async def test_whether_the_spec_is_new(client: Any, decision: Decision, old: Json, new: Json, differs: bool) -> None:
    await ask(client, review(new, old))
    assert decision.seen[0].has_new_spec is differs


async def test_who_has_given_up_is_not_served(decision: Decision) -> None:
    shown, bundle = ServedCertificate(), make_bundle(["localhost"], datetime.now(UTC))
    shown.show(bundle.certificate, bundle.key)
    ended = asyncio.Event()

    async def slow(review: Review) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with AsyncExitStack() as stack:
        with socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        await ReviewServer({"dags": slow}).serve(port, shown.context, stack)
        session = await stack.enter_async_context(ClientSession(timeout=ClientTimeout(0.5)))
        with pytest.raises(TimeoutError):
            await session.post(f"https://localhost:{port}/validate", data=orjson.dumps(review({})), ssl=False)
        async with asyncio.timeout(5):
            await ended.wait()
