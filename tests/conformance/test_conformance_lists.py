"""Lists in pages, selectors, and the deletion of collections."""

from __future__ import annotations

import base64

import orjson
import pytest

from tests.conformance.calls import Calls, refused, version
from tradewind.cache.resources import DAGRUNS, POOLS
from tradewind.kube.resources import CONFIGMAPS, PODS

ONLY_OURS = {"labelSelector": "ours"}


async def make(calls: Calls, *names: str) -> None:
    for name in names:
        await calls.create(CONFIGMAPS, name, metadata={"labels": {"ours": "", "name": name}})


async def test_lists_are_in_order_of_names(calls: Calls) -> None:
    await make(calls, "b", "a-1", "c", "a", "a.1")
    assert await calls.names(CONFIGMAPS, **ONLY_OURS) == ["a", "a-1", "a.1", "b", "c"]


async def test_pages_are_of_one_moment(calls: Calls) -> None:
    await make(calls, "a", "b", "c", "d", "e")
    first = await calls.list(CONFIGMAPS, limit=2, **ONLY_OURS)
    assert [item["metadata"]["name"] for item in first["items"]] == ["a", "b"]
    await make(calls, "c-1")
    await calls.delete(CONFIGMAPS, "d")
    await calls.patch(CONFIGMAPS, "e", {"data": {"n": "2"}})
    second = await calls.list(CONFIGMAPS, limit=2, **{"continue": first["metadata"]["continue"]}, **ONLY_OURS)
    assert [item["metadata"]["name"] for item in second["items"]] == ["c", "d"]
    assert version(second) == version(first)
    third = await calls.list(CONFIGMAPS, limit=2, **{"continue": second["metadata"]["continue"]}, **ONLY_OURS)
    assert [item["metadata"]["name"] for item in third["items"]] == ["e"]
    assert "data" not in third["items"][0]
    assert not third["metadata"].get("continue")


async def test_the_last_page_may_be_empty(calls: Calls) -> None:
    await make(calls, "a", "b")
    await calls.create(CONFIGMAPS, "z")
    first = await calls.list(CONFIGMAPS, limit=2, **ONLY_OURS)
    second = await calls.list(CONFIGMAPS, limit=2, **{"continue": first["metadata"]["continue"]}, **ONLY_OURS)
    assert (second["items"], second["metadata"].get("continue", "")) == ([], "")
    for name in ("a", "b"):
        await calls.create(POOLS, name, spec={"slots": 1})
    assert not (await calls.list(POOLS, limit=2))["metadata"].get("continue")


async def test_a_token_that_is_too_old_or_none(calls: Calls) -> None:
    await make(calls, "a", "b", "c")
    await calls.compact()
    first = await calls.list(CONFIGMAPS, limit=1, **ONLY_OURS)
    token = first["metadata"]["continue"]
    document = orjson.loads(base64.urlsafe_b64decode(token + "=="))
    old = base64.urlsafe_b64encode(orjson.dumps(document | {"rv": 2})).decode().rstrip("=")
    error = await refused(calls.list(CONFIGMAPS, limit=1, **{"continue": old}))
    assert (error.status, error.reason) == (410, "Expired")
    assert (await refused(calls.list(CONFIGMAPS, limit=1, **{"continue": "nonsense"}))).is_bad_request


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("x=1", "a"),
        ("x==1", "a"),
        ("x!=1", "bc"),
        ("x", "ab"),
        ("!x", "c"),
        ("x in (1, 2)", "ab"),
        ("x in (2),y", "b"),
        ("x notin (1)", "bc"),
        ("x=1,y=1", ""),
        ("x=", ""),
        ("y=", "b"),
    ],
)
async def test_label_selectors(calls: Calls, selector: str, selected: str) -> None:
    await calls.create(POOLS, "a", metadata={"labels": {"x": "1"}}, spec={"slots": 1})
    await calls.create(POOLS, "b", metadata={"labels": {"x": "2", "y": ""}}, spec={"slots": 1})
    await calls.create(POOLS, "c", spec={"slots": 1})
    assert "".join(await calls.names(POOLS, labelSelector=selector)) == selected


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("status.phase=Running", "b"),
        ("status.phase!=Running", "ac"),
        ("status.phase!=Succeeded,status.phase!=Failed", "ab"),
        ("status.phase=", "a"),
        ("spec.dag=two", "bc"),
        ("spec.dag=two,status.phase=Succeeded", "c"),
        ("metadata.name!=a", "bc"),
    ],
)
async def test_field_selectors_of_custom_resources(calls: Calls, selector: str, selected: str) -> None:
    await calls.create(DAGRUNS, "a", spec={"dag": "one"})
    for name, phase in (("b", "Running"), ("c", "Succeeded")):
        await calls.create(DAGRUNS, name, spec={"dag": "two"})
        await calls.patch(DAGRUNS, name, {"status": {"phase": phase}}, subresource="status")
    assert "".join(await calls.names(DAGRUNS, fieldSelector=selector)) == selected


async def test_selectors_that_are_not_understood(calls: Calls) -> None:
    for kind in (DAGRUNS, PODS):
        error = await refused(calls.list(kind, fieldSelector="spec.nonsense=1"))
        assert (error.status, error.reason) == (400, "BadRequest")
        assert "field label not supported: spec.nonsense" in error.message
    assert (await refused(calls.list(PODS, labelSelector="a b"))).is_bad_request


async def test_a_collection_is_deleted_page_by_page(calls: Calls) -> None:
    for name, labels in (("a", {"x": "1"}), ("b", {"x": "1"}), ("c", {"x": "1"}), ("d", {"x": "2"})):
        await calls.create(CONFIGMAPS, name, metadata={"labels": labels})
    path = CONFIGMAPS.path(calls.namespace)
    params: dict[str, str | int] = {"labelSelector": "x=1", "limit": 2}
    first = await calls.client.request("DELETE", path, params=params, partial="list")
    assert [item["metadata"]["name"] for item in first["items"]] == ["a", "b"]
    assert await calls.names(CONFIGMAPS, labelSelector="x") == ["c", "d"]
    params["continue"] = first["metadata"]["continue"]
    second = await calls.client.request("DELETE", path, params=params, partial="list")
    assert [item["metadata"]["name"] for item in second["items"]] == ["c"]
    assert not second["metadata"].get("continue")
    assert await calls.names(CONFIGMAPS, labelSelector="x") == ["d"]
