"""A user without permission to create Pods must not create them through a Dag: the requests to the API server, and the
use of its responses."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from tradewind.controller.webhook.admission import Admission
from tradewind.controller.webhook.reviews import Denied, Review
from tradewind.kube.errors import Unreachable

pytestmark = pytest.mark.unit

DAG: dict[str, Any] = {
    "apiVersion": "tradewind.dev/v1alpha1",
    "kind": "Dag",
    "metadata": {"name": "sales", "namespace": "ns"},
    "spec": {"tasks": [{"name": "load", "image": "busybox"}]},
}
ANN = {"username": "ann", "uid": "7", "groups": ["devs"], "extra": {"scopes": ("x",)}}


class Reviews:
    """An API server that answers reviews, and keeps them."""

    def __init__(self, status: dict[str, Any] | None) -> None:
        self.status = status
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    async def request(self, method: str, path: str, *, body: Any = None, **_: Any) -> dict[str, Any]:
        self.asked.append((method, path, body))
        if self.status is None:
            raise Unreachable("no route to host")
        return {"status": self.status}


async def refusal(reviews: Reviews | None, body: dict[str, Any] = DAG, old: Any = None) -> tuple[int, str] | None:
    document = {"uid": "1", "resource": {"resource": "dags"}, "object": body, "oldObject": old, "userInfo": ANN}
    try:
        await Admission(None, reviews).dag(msgspec.json.decode(orjson.dumps(document), type=Review))  # type: ignore[arg-type]
    except Denied as error:
        return error.code, str(error)
    return None


async def test_who_may_create_pods_may_write_dags() -> None:
    reviews = Reviews({"allowed": True})
    assert await refusal(reviews) is None
    [(method, path, body)] = reviews.asked
    assert (method, path) == ("POST", "/apis/authorization.k8s.io/v1/namespaces/ns/localsubjectaccessreviews")
    assert body["spec"] == {
        "user": "ann",
        "uid": "7",
        "groups": ["devs"],
        "extra": {"scopes": ["x"]},
        "resourceAttributes": {"namespace": "ns", "verb": "create", "resource": "pods"},
    }


@pytest.mark.parametrize("status", [{"allowed": False}, {}, {"allowed": "true"}, {"allowed": False, "denied": True}])
async def test_without_the_permission_the_message_says_so(status: dict[str, Any]) -> None:
    code, why = await refusal(Reviews(status)) or (0, "")
    assert code == 403
    assert "Dag 'sales': user 'ann' may not create Pods in namespace 'ns'" in why


async def test_when_no_one_can_be_asked_it_is_refused() -> None:
    code, why = await refusal(Reviews(None)) or (0, "")
    assert code == 403
    assert "cannot check whether user 'ann' may create Pods in namespace 'ns'" in why


async def test_labels_can_be_changed_by_all_who_may_write_dags() -> None:
    reviews = Reviews({"allowed": False})
    assert await refusal(reviews, {**DAG, "metadata": {**DAG["metadata"], "labels": {"a": "b"}}}, old=DAG) is None
    assert not reviews.asked
    suspended = {**DAG, "spec": {**DAG["spec"], "suspend": True}}
    assert await refusal(reviews, suspended, old=DAG), "by suspend: false a Dag that was stopped runs"


async def test_a_bad_dag_is_rejected_for_its_errors_first() -> None:
    reviews = Reviews({"allowed": False})
    code, _ = await refusal(reviews, {**DAG, "spec": {"tasks": []}}) or (0, "")
    assert code == 422
    assert not reviews.asked


async def test_it_can_be_turned_off() -> None:
    assert await refusal(None) is None
