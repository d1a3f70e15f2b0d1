"""Requests, writes and Events against a real API server; the official client is the witness."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tradewind.kube import writes
from tradewind.kube.client import KubeClient
from tradewind.kube.credentials import FileCredentials, StaticCredentials
from tradewind.kube.errors import ApiError
from tradewind.kube.events import EventRecorder, Regarding
from tradewind.kube.resources import CONFIGMAPS, NAMESPACES, PODS, RESOURCEQUOTAS, SECRETS
from tradewind.kube.writer import Writer
from tradewind.kube.writes import APPLY_PATCH


def config_map(name: str, **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **fields}, "data": {"n": "1"}}


async def refused(awaitable: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await awaitable
    return caught.value


async def test_partial_answers_and_full_ones(client: KubeClient, writer: Writer, namespace: str, witness: Any) -> None:
    partial = await writer.create(CONFIGMAPS, namespace, config_map("a"))
    assert partial["kind"] == "PartialObjectMetadata"
    assert "data" not in partial
    seen = witness.read_namespaced_config_map("a", namespace)
    assert (seen.metadata.uid, seen.data) == (partial["metadata"]["uid"], {"n": "1"})
    full = await writer.create(CONFIGMAPS, namespace, config_map("b"), partial=False)
    assert full["data"] == {"n": "1"}
    listed = await client.list(CONFIGMAPS, namespace, partial=True)
    assert {item["kind"] for item in listed} == {"PartialObjectMetadata"}
    assert (await client.get(CONFIGMAPS, namespace, "a"))["data"] == {"n": "1"}


async def test_every_error_is_what_its_predicate_says(client: KubeClient, writer: Writer, namespace: str) -> None:
    await writer.create(CONFIGMAPS, namespace, config_map("a"))
    error = await refused(writer.create(CONFIGMAPS, namespace, config_map("a")))
    assert error.is_already_exists
    assert not error.is_conflict
    assert error.details["name"] == "a"
    assert (await refused(client.get(CONFIGMAPS, namespace, "none"))).is_not_found
    assert (await refused(writer.create(CONFIGMAPS, namespace, config_map("No_Name")))).is_invalid
    wrong = writer.patch(CONFIGMAPS, namespace, "a", {}, content_type="application/json-patch+json")
    assert (await refused(wrong)).is_bad_request
    big = config_map("big") | {"data": {"x": "x" * 3_200_000}}
    error = await refused(writer.create(CONFIGMAPS, namespace, big))
    assert error.is_too_large, error
    error = await refused(client.request("GET", CONFIGMAPS.path(namespace), params={"continue": "nonsense"}))
    assert error.is_bad_request


async def test_optimistic_lock(writer: Writer, namespace: str, witness: Any) -> None:
    created = await writer.create(CONFIGMAPS, namespace, config_map("a"))
    version = created["metadata"]["resourceVersion"]
    witness.patch_namespaced_config_map("a", namespace, {"data": {"n": "2"}})
    patch = {"metadata": {"resourceVersion": version}, "data": {"n": "3"}}
    error = await refused(writer.patch(CONFIGMAPS, namespace, "a", patch))
    assert error.is_conflict
    assert not error.is_transient
    error = await refused(writer.replace(CONFIGMAPS, namespace, "a", config_map("a", resourceVersion=version)))
    assert error.is_conflict
    assert witness.read_namespaced_config_map("a", namespace).data == {"n": "2"}
    fresh = witness.read_namespaced_config_map("a", namespace).metadata.resource_version
    patch["metadata"]["resourceVersion"] = fresh
    await writer.patch(CONFIGMAPS, namespace, "a", patch)
    assert witness.read_namespaced_config_map("a", namespace).data == {"n": "3"}


async def test_delete_only_the_object_that_is_meant(writer: Writer, namespace: str, witness: Any) -> None:
    created = await writer.create(CONFIGMAPS, namespace, config_map("a"))
    uid = "00000000-0000-0000-0000-000000000000"
    error = await refused(writer.delete(CONFIGMAPS, namespace, "a", uid=uid))
    assert error.is_conflict
    assert witness.read_namespaced_config_map("a", namespace).metadata.uid == created["metadata"]["uid"]
    await writer.delete(CONFIGMAPS, namespace, "a", uid=created["metadata"]["uid"])
    assert (await refused(writer.delete(CONFIGMAPS, namespace, "a"))).is_not_found


async def test_collection_is_deleted_in_pages(writer: Writer, namespace: str, witness: Any) -> None:
    bodies = [config_map(f"c{n:03}", labels={"run": "old" if n < 120 else "new"}) for n in range(130)]
    await asyncio.gather(*(writer.submit(writes.create(CONFIGMAPS, namespace, body)) for body in bodies))
    deleted = await writer.delete_collection(CONFIGMAPS, namespace, label_selector="run=old", limit=50)
    assert deleted == 120
    assert writer.writes["deletecollection", "configmaps", "200"] == 3
    left = witness.list_namespaced_config_map(namespace, label_selector="run").items
    assert {item.metadata.labels["run"] for item in left} == {"new"}
    assert len(left) == 10


async def test_collection_with_finalizers_comes_to_an_end(writer: Writer, namespace: str, witness: Any) -> None:
    bodies = [config_map(f"c{n}", finalizers=["example.dev/held"], labels={"run": "held"}) for n in range(5)]
    await asyncio.gather(*(writer.submit(writes.create(CONFIGMAPS, namespace, body)) for body in bodies))
    async with asyncio.timeout(10):
        assert await writer.delete_collection(CONFIGMAPS, namespace, label_selector="run=held", limit=2) == 5
    for item in witness.list_namespaced_config_map(namespace, label_selector="run=held").items:
        assert item.metadata.deletion_timestamp is not None
        witness.patch_namespaced_config_map(item.metadata.name, namespace, {"metadata": {"finalizers": None}})


async def test_order_of_writes_to_one_object(writer: Writer, namespace: str, witness: Any) -> None:
    writer.submit(writes.create(CONFIGMAPS, namespace, config_map("a")))
    for number in range(20):
        last = writer.submit(writes.patch(CONFIGMAPS, namespace, "a", {"data": {"n": str(number)}}))
    await last
    assert witness.read_namespaced_config_map("a", namespace).data == {"n": "19"}


async def test_server_side_apply_and_status(writer: Writer, namespace: str, witness: Any) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", **config_map("applied")}
    applier = Writer(writer._client, field_manager="tests")
    await applier.patch(CONFIGMAPS, namespace, "applied", body, content_type=APPLY_PATCH, force=True)
    seen = witness.read_namespaced_config_map("applied", namespace)
    assert [field.manager for field in seen.metadata.managed_fields] == ["tests"]
    await writer.patch(
        NAMESPACES, None, namespace, {"status": {"conditions": None}}, subresource="status", partial=False
    )
    assert writer.writes["patch", "namespaces/status", "200"] == 1


async def test_terminating_namespace(writer: Writer, namespace: str, witness: Any) -> None:
    await writer.create(CONFIGMAPS, namespace, config_map("held", finalizers=["example.dev/held"]))
    witness.delete_namespace(namespace)
    try:
        error = await refused(writer.create(CONFIGMAPS, namespace, config_map("late")))
        assert error.is_namespace_terminating
        assert not error.is_quota_exceeded
        assert not error.is_transient
    finally:
        witness.patch_namespaced_config_map("held", namespace, {"metadata": {"finalizers": None}})
        # The fixture deletes it once more.
        await until(lambda: not exists(witness, namespace))
        witness.create_namespace({"metadata": {"name": namespace}})


async def test_exceeded_quota(client: KubeClient, writer: Writer, namespace: str, witness: Any) -> None:
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"count/services": "0", "count/secrets": "0"}}}
    await writer.create(RESOURCEQUOTAS, namespace, quota)
    await until(lambda: witness.read_namespaced_resource_quota("q", namespace).status.used)
    error = await refused(writer.create(SECRETS, namespace, {"metadata": {"name": "s"}}))
    assert error.is_quota_exceeded
    assert error.is_forbidden
    assert not error.is_transient


async def test_service_account_token_from_a_file(
    client: KubeClient, namespace: str, witness: Any, tmp_path: Path
) -> None:
    await until(lambda: witness.list_namespaced_service_account(namespace).items)
    request = {"spec": {"expirationSeconds": 600}}
    token = witness.create_namespaced_service_account_token("default", namespace, request).status.token
    (tmp_path / "token").write_text(token)
    # Without the client certificate of the admin: an anonymous TLS context that trusts the same CA.
    tls = anonymous(client)
    connection = dataclasses.replace(client.connection, tls=tls, credentials=FileCredentials(tmp_path / "token"))
    async with KubeClient(connection) as restricted:
        error = await refused(restricted.list(PODS, namespace))
        assert error.is_forbidden
        assert f"system:serviceaccount:{namespace}:default" in error.message
    wrong = dataclasses.replace(connection, credentials=StaticCredentials("nonsense"))
    async with KubeClient(wrong) as stranger:
        assert (await refused(stranger.list(PODS, namespace))).is_unauthorized


def anonymous(client: KubeClient) -> Any:
    assert client.connection.tls is not None
    trusted = client.connection.tls.get_ca_certs(binary_form=True)
    pem = "".join(ssl.DER_cert_to_PEM_cert(certificate) for certificate in trusted)
    return ssl.create_default_context(cadata=pem)


async def test_events_are_seen_by_kubectl(client: KubeClient, writer: Writer, namespace: str, witness: Any) -> None:
    about = await writer.create(CONFIGMAPS, namespace, config_map("a"), partial=False)
    recorder = EventRecorder(writer, "example.dev/controller", "replica-1")
    regarding = Regarding.of({"apiVersion": "v1", "kind": "ConfigMap", **about})
    for number in range(3):
        recorder.record(regarding, "Warning", "PoolFull", "no slot in pool warehouse")
        assert await settled(writer), number
    recorder.record(regarding, "Normal", "Started", "ü" * 2000)
    recorder.record(Regarding("v1", "ConfigMap", namespace, "b" * 253, ""), "Normal", "Long", "")
    assert await settled(writer)
    assert recorder.dropped == 0
    events = witness.list_namespaced_event(namespace, field_selector=f"involvedObject.uid={regarding.uid}").items
    by_reason = {event.reason: event for event in events}
    assert set(by_reason) == {"PoolFull", "Started"}
    full = by_reason["PoolFull"]
    assert (full.type, full.message) == ("Warning", "no slot in pool warehouse")
    assert full.series.count == 3
    assert full.reporting_component == "example.dev/controller"
    assert 1020 <= len(by_reason["Started"].message.encode()) <= 1024
    # An expired Event is created again.
    witness.delete_collection_namespaced_event(namespace)
    for _ in range(2):
        recorder.record(regarding, "Warning", "PoolFull", "no slot in pool warehouse")
        assert await settled(writer)
    assert [event.reason for event in witness.list_namespaced_event(namespace).items] == ["PoolFull"]


async def settled(writer: Writer) -> bool:
    await until(lambda: not writer.queued)
    return True


async def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.05)


def exists(witness: Any, namespace: str) -> bool:
    return any(item.metadata.name == namespace for item in witness.list_namespace().items)
