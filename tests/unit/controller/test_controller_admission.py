"""Admission of DagRuns: all problems of a new one, and of a change only the problems of new requests."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from tests.unit.controller.memory_cluster import Json, MemoryCluster
from tradewind.api import names
from tradewind.api.revision import content_hash
from tradewind.api.shards import bucket_of
from tradewind.controller.webhook.admission import Admission
from tradewind.controller.webhook.reviews import Denied, Review

pytestmark = pytest.mark.unit


def run(request: Json | None = None, status: Json | None = None, **spec: Any) -> Json:
    asked = {"request": {"id": "1", "type": "Rerun", "requestedBy": "ann", **request}} if request is not None else {}
    return {
        "apiVersion": "tradewind.dev/v1alpha1",
        "kind": "DagRun",
        "metadata": {"name": "r", "namespace": "ns"},
        "spec": {"dag": "sales", **spec, **asked},
        "status": status or {},
    }


@pytest.fixture
async def sales(cluster: MemoryCluster) -> MemoryCluster:
    """A cluster with a Dag whose only task is `load`."""
    cluster.dag("sales", params={"region": {"enum": ["eu"], "default": "eu"}})
    await cluster.eventually(lambda: ("ns", "sales") in cluster.controller.cluster.dags, "the Dag is seen")
    return cluster


async def refusal(cluster: MemoryCluster, body: Json, old: Json | None = None, user: str = "ann") -> str:
    """Return the message of the webhook; empty if it accepts the run."""
    document = {"uid": "1", "resource": {"resource": "dagruns"}, "userInfo": {"username": user}}
    review = msgspec.json.decode(orjson.dumps({**document, "object": body, "oldObject": old}), type=Review)
    try:
        await Admission(cluster.controller.cluster).dag_run(review)
    except Denied as error:
        assert error.code == 422
        return str(error)
    return ""


async def test_a_new_run(sales: MemoryCluster) -> None:
    assert await refusal(sales, run()) == ""
    assert await refusal(sales, run({}, params={"region": "eu"})) == ""
    assert "spec.params" in await refusal(sales, run(params={"region": "us"}))
    assert "did you mean 'load'?" in await refusal(sales, run({"tasks": ["laod"]}))
    assert "is 'ann'; it must be the requesting user, 'bob'" in await refusal(sales, run({}), user="bob")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, ""),
        ({"spec": {"slots": -2}}, "spec.slots"),
        ({"spec": {"slots": 1, "slot": 2}}, "spec.slot"),
        ({"metadata": {"name": "x" * 64, "namespace": "ns"}}, "has 64 characters; the limit is 63"),
    ],
)
async def test_a_pool(cluster: MemoryCluster, changes: Json, says: str) -> None:
    body = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "Pool", "spec": {"slots": 1}}
    body |= {"metadata": {"name": "db", "namespace": "ns"}, **changes}
    document = {"uid": "1", "resource": {"resource": "pools"}, "object": body}
    review = msgspec.json.decode(orjson.dumps(document), type=Review)
    admission = Admission(cluster.controller.cluster)
    if says:
        with pytest.raises(Denied, match=says):
            await admission.pool(review)
    else:
        await admission.pool(review)


async def test_the_label_of_another_namespaces_bucket_is_refused(sales: MemoryCluster) -> None:
    """As of a run that was copied: with several shards none would see it."""

    def labelled(bucket: str) -> Json:
        body = run()
        return body | {"metadata": body["metadata"] | {"labels": {"tradewind.dev/bucket": bucket}}}

    right = str(bucket_of("ns"))
    assert await refusal(sales, labelled(right)) == ""
    says = f"metadata.labels[tradewind.dev/bucket]: is '3' but must be '{right}' in this namespace: remove the label"
    assert says in await refusal(sales, labelled("3"))
    assert says in await refusal(sales, labelled("3"), run())
    assert await refusal(sales, labelled("3"), labelled("3")) == ""


async def test_a_request_is_checked_when_it_is_made(sales: MemoryCluster) -> None:
    assert await refusal(sales, run({"tasks": ["load"]}), run()) == ""
    for request, says in (
        (
            {"requestedBy": "bob"},
            "DagRun 'r': spec.request.requestedBy: is 'bob'; it must be the requesting user, 'ann'",
        ),
        ({"requestedBy": None}, "is not set; it must be the requesting user, 'ann'"),
        ({"tasks": ["laod"]}, "no task or group named 'laod'; did you mean 'load'?"),
        ({"tasks": ["load[0]"]}, "is not mapped"),
        ({"state": "Failed"}, "applies only to Mark: remove it for Rerun"),
        ({"type": "Clear"}, "'Clear' must be"),
    ):
        assert says in await refusal(sales, run(request), run())


async def test_what_was_there_before_is_no_concern_of_who_changes_something_else(sales: MemoryCluster) -> None:
    bad = {"requestedBy": "mallory", "tasks": ["nix"]}
    assert await refusal(sales, run(bad, suspend=True), run(bad)) == ""
    assert await refusal(sales, run(), run(bad)) == ""
    params = {"region": "us"}
    assert await refusal(sales, run(params=params, suspend=True), run(params=params)) == ""
    assert "must be the requesting user" in await refusal(sales, run(bad), run({"id": "2"}))


async def test_names_are_judged_by_the_dag_that_the_run_goes_by(sales: MemoryCluster) -> None:
    now = sales.get("dags", "sales")
    current = names.revision_name("sales", content_hash(now["metadata"]["uid"], now["spec"]))
    gone = {"tasks": ["gone"]}
    for status, request, refused in (
        ({"revision": current}, gone, True),
        ({"revision": "sales-earlier"}, gone, False),
        ({"revision": "sales-earlier"}, gone | {"revision": "Latest"}, True),
        ({}, gone, True),
    ):
        assert bool(await refusal(sales, run(request, status), run())) is refused
    assert await refusal(sales, run(gone, revision="sales-earlier"), run(revision="sales-earlier")) == ""
    assert await refusal(sales, run(gone, dag="other"), run(dag="other")) == ""
