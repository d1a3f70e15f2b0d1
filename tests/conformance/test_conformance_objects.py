"""Objects: made, read, changed; optimistic locks; what is refused, and in which words."""

from __future__ import annotations

import pytest

from tests.conformance.calls import (
    Calls,
    Json,
    answer_of,
    causes,
    config_map,
    dag_spec,
    pod_spec,
    refused,
    until,
    version,
)
from tradewind.cache.resources import DAGRUNS, DAGS, POOLS
from tradewind.kube.resources import CONFIGMAPS, CONTROLLERREVISIONS, EVENTS, LEASES, NAMESPACES, PODS
from tradewind.kube.writes import MERGE_PATCH

NOT_CHECKED = ("<nil>", "FieldValueInvalid")
"""Of the rules that are not looked at while fields are wrong."""


async def test_a_new_object_has_what_the_server_gives_it(calls: Calls) -> None:
    made = await calls.create(CONFIGMAPS, "a", **config_map(), metadata={"labels": {"x": "y"}, "annotations": {}})
    metadata = made["metadata"]
    assert (made["kind"], made["apiVersion"], made["data"]) == ("ConfigMap", "v1", {"n": "1"})
    assert (metadata["name"], metadata["namespace"], metadata["labels"]) == ("a", calls.namespace, {"x": "y"})
    assert len(metadata["uid"]) == 36
    assert len(metadata["creationTimestamp"]) == len("2026-01-01T00:00:00Z")
    assert "annotations" not in metadata, "what is empty is left out"
    assert "generation" not in metadata
    assert version(made) > 0
    assert await calls.get(CONFIGMAPS, "a") == made


async def test_versions_grow_across_kinds(calls: Calls) -> None:
    made = [
        await calls.create(CONFIGMAPS, "a"),
        await calls.create(POOLS, "a", spec={"slots": 1}),
        await calls.create(CONFIGMAPS, "b"),
    ]
    assert sorted(map(version, made)) == list(map(version, made))
    assert len(set(map(version, made))) == 3


async def test_answers_with_metadata_only(calls: Calls) -> None:
    path = CONFIGMAPS.path(calls.namespace)
    body = {"metadata": {"name": "a"}, "data": {"n": "1"}}
    made = await calls.client.request("POST", path, body=body, partial=True)
    assert set(made) == {"kind", "apiVersion", "metadata"}
    assert (made["kind"], made["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
    [listed] = [
        item
        for item in await calls.client.list(CONFIGMAPS, calls.namespace, partial=True)
        if item["metadata"]["name"] == "a"
    ]
    assert "data" not in listed
    error = await refused(calls.client.request("GET", path, partial=True))
    assert (error.status, error.reason) == (406, "NotAcceptable"), "for a list, lists have to be asked for"
    path = CONFIGMAPS.path(calls.namespace, "a")
    assert (await refused(calls.client.request("GET", path, partial="list"))).status == 406
    patched = await calls.client.request(
        "PATCH", path, body={"data": {"n": "2"}}, content_type=MERGE_PATCH, partial=True
    )
    assert "data" not in patched
    assert version(patched) > version(made)


async def test_the_same_name_twice(calls: Calls) -> None:
    await calls.create(CONFIGMAPS, "a")
    error = await refused(calls.create(CONFIGMAPS, "a"))
    assert answer_of(error) == (409, "AlreadyExists", 'configmaps "a" already exists')
    assert error.details == {"name": "a", "kind": "configmaps"}
    await calls.create(POOLS, "a", spec={"slots": 1})
    error = await refused(calls.create(POOLS, "a", spec={"slots": 1}))
    assert answer_of(error) == (409, "AlreadyExists", 'pools.tradewind.dev "a" already exists')
    assert error.details == {"name": "a", "group": "tradewind.dev", "kind": "pools"}


async def test_what_is_not_there(calls: Calls) -> None:
    expected = (404, "NotFound", 'pools.tradewind.dev "none" not found')
    assert answer_of(await refused(calls.get(POOLS, "none"))) == expected
    assert answer_of(await refused(calls.patch(POOLS, "none", {"spec": {"slots": 2}}))) == expected
    assert answer_of(await refused(calls.delete(POOLS, "none"))) == expected
    assert (await refused(calls.patch(POOLS, "none", {"status": {}}, subresource="status"))).is_not_found
    error = await refused(calls.client.request("GET", f"/api/v1/namespaces/{calls.namespace}/nonsense"))
    assert error.status == 404


async def test_a_namespace_that_is_not_there(calls: Calls) -> None:
    elsewhere = Calls(calls.client, "no-such-namespace")
    error = await refused(elsewhere.create(CONFIGMAPS, "a"))
    assert answer_of(error) == (404, "NotFound", 'namespaces "no-such-namespace" not found')
    assert (await elsewhere.list(CONFIGMAPS))["items"] == []


@pytest.mark.parametrize("resource", [CONFIGMAPS, POOLS], ids=["built in", "custom"])
async def test_an_optimistic_lock(calls: Calls, resource: object) -> None:
    assert resource in (CONFIGMAPS, POOLS)
    kind = CONFIGMAPS if resource is CONFIGMAPS else POOLS
    first = await calls.create(kind, "a", **(config_map() if kind is CONFIGMAPS else {"spec": {"slots": 1}}))
    second = await calls.patch(kind, "a", {"metadata": {"labels": {"x": "y"}}})
    old = first["metadata"]["resourceVersion"]
    text = "the object has been modified; please apply your changes to the latest version and try again"
    name = "configmaps" if kind is CONFIGMAPS else "pools.tradewind.dev"
    expected = (409, "Conflict", f'Operation cannot be fulfilled on {name} "a": {text}')
    stale = {"metadata": {"resourceVersion": old, "labels": {"x": "z"}}}
    assert answer_of(await refused(calls.patch(kind, "a", stale))) == expected
    assert answer_of(await refused(calls.replace(kind, "a", first))) == expected
    assert await calls.get(kind, "a") == second
    fresh = {"metadata": {"resourceVersion": second["metadata"]["resourceVersion"], "labels": {"x": "z"}}}
    assert (await calls.patch(kind, "a", fresh))["metadata"]["labels"] == {"x": "z"}


async def test_replacing_without_a_version(calls: Calls) -> None:
    made = await calls.create(CONFIGMAPS, "a", **config_map())
    replaced = await calls.replace(CONFIGMAPS, "a", {"metadata": {"name": "a"}, "data": {"n": "2"}})
    assert replaced["data"] == {"n": "2"}
    made["metadata"]["resourceVersion"] = replaced["metadata"]["resourceVersion"]
    assert replaced["metadata"] == made["metadata"], "namespace, UID and age are not up to whoever replaces it"
    made = await calls.create(POOLS, "a", spec={"slots": 1})
    del made["metadata"]["resourceVersion"]
    error = await refused(calls.replace(POOLS, "a", made))
    assert (error.status, causes(error)) == (422, [("metadata.resourceVersion", "FieldValueInvalid")])
    made = await calls.create(LEASES, "a", spec={"holderIdentity": "me"})
    del made["metadata"]["resourceVersion"]
    error = await refused(calls.replace(LEASES, "a", made))
    assert (error.status, causes(error)) == (422, [("metadata.resourceVersion", "FieldValueInvalid")])


async def test_an_object_that_is_not_the_one_meant(calls: Calls) -> None:
    made = await calls.create(CONFIGMAPS, "a", **config_map())
    other = "00000000-0000-0000-0000-000000000000"
    error = await refused(calls.patch(CONFIGMAPS, "a", {"metadata": {"uid": other}, "data": {"n": "2"}}))
    assert (error.status, error.reason, set(causes(error))) == (422, "Invalid", {("metadata.uid", "FieldValueInvalid")})
    error = await refused(calls.replace(CONFIGMAPS, "a", {**made, "metadata": {**made["metadata"], "uid": other}}))
    assert (error.status, error.reason) == (409, "Conflict")
    assert await calls.get(CONFIGMAPS, "a") == made


async def test_a_write_that_changes_nothing(calls: Calls) -> None:
    for kind, fields in ((CONFIGMAPS, config_map()), (POOLS, {"spec": {"slots": 1}})):
        made = await calls.create(kind, "a", **fields)
        watching = await calls.watch(kind, made)
        assert await calls.patch(kind, "a", fields) == made
        assert await calls.replace(kind, "a", made) == made
        await watching.none()


async def test_merge_patches(calls: Calls) -> None:
    data: Json = {"metadata": {"labels": {"x": "1", "y": "2"}}, "data": {"a": "1", "b": "2"}}
    await calls.create(CONFIGMAPS, "a", **data)
    patch = {"metadata": {"labels": {"x": None, "z": "3"}}, "data": {"a": None, "c": "3"}}
    patched = await calls.patch(CONFIGMAPS, "a", patch)
    assert patched["metadata"]["labels"] == {"y": "2", "z": "3"}
    assert patched["data"] == {"b": "2", "c": "3"}
    assert "labels" not in (await calls.patch(CONFIGMAPS, "a", {"metadata": {"labels": None}}))["metadata"]
    await calls.create(DAGS, "a", spec=dag_spec(tags=["one", "two"]))
    assert (await calls.patch(DAGS, "a", {"spec": {"tags": ["three"]}}))["spec"]["tags"] == ["three"]


async def test_what_only_the_server_writes_is_left_alone(calls: Calls) -> None:
    given = {"uid": "mine", "creationTimestamp": "2020-01-01T00:00:00Z", "generation": 7}
    made = await calls.create(CONFIGMAPS, "a", metadata=given)
    assert made["metadata"]["uid"] != "mine"
    assert not made["metadata"]["creationTimestamp"].startswith("2020")
    assert await calls.patch(CONFIGMAPS, "a", {"metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}}) == made
    error = await refused(calls.patch(CONFIGMAPS, "a", {"metadata": {"deletionTimestamp": "2020-01-01T00:00:00Z"}}))
    assert (error.status, set(causes(error))) == (422, {("metadata.deletionTimestamp", "FieldValueInvalid")})
    error = await refused(calls.create(CONFIGMAPS, "b", metadata={"resourceVersion": "5"}))
    assert answer_of(error) == (500, "", "resourceVersion should not be set on objects to be created")


async def test_status_is_written_apart(calls: Calls) -> None:
    made = await calls.create(DAGRUNS, "a", spec={"dag": "d"}, status={"phase": "Running"})
    assert "status" not in made
    assert made["metadata"]["generation"] == 1
    patch = {"metadata": {"labels": {"x": "y"}}, "spec": {"dag": "e"}, "status": {"phase": "Queued"}}
    queued = await calls.patch(DAGRUNS, "a", patch, subresource="status")
    assert queued["status"] == {"phase": "Queued"}
    assert queued["spec"] == made["spec"], "spec is not touched by a write of status"
    assert "labels" not in queued["metadata"], "nor are labels"
    labelled = await calls.patch(DAGRUNS, "a", {"metadata": {"labels": {"x": "y"}}, "status": {"phase": "Failed"}})
    assert labelled["status"] == {"phase": "Queued"}
    assert labelled["metadata"]["labels"] == {"x": "y"}
    assert labelled["metadata"]["generation"] == 1
    stale = {"metadata": {"resourceVersion": queued["metadata"]["resourceVersion"]}, "status": {"phase": "Running"}}
    assert (await refused(calls.patch(DAGRUNS, "a", stale, subresource="status"))).is_conflict
    assert (await refused(calls.patch(CONFIGMAPS, "a", {}, subresource="status"))).is_not_found


async def test_generation_counts_changes_of_spec(calls: Calls) -> None:
    await calls.create(DAGS, "a", spec=dag_spec())
    assert (await calls.patch(DAGS, "a", {"metadata": {"labels": {"x": "y"}}}))["metadata"]["generation"] == 1
    assert (await calls.patch(DAGS, "a", {"spec": {"suspend": True}}))["metadata"]["generation"] == 2
    status = {"status": {"activeRuns": 1}}
    assert (await calls.patch(DAGS, "a", status, subresource="status"))["metadata"]["generation"] == 2


async def test_custom_resources_are_pruned_defaulted_and_checked(calls: Calls) -> None:
    made = await calls.create(DAGRUNS, "a", spec={"dag": "d", "unknown": 1, "params": {"any": {"thing": [1]}}}, extra=1)
    assert made["spec"] == {"dag": "d", "type": "Manual", "params": {"any": {"thing": [1]}}}
    assert "extra" not in made
    error = await refused(calls.create(DAGRUNS, "b", spec={"type": "Nonsense"}))
    assert error.status == 422
    assert sorted(causes(error)) == [
        NOT_CHECKED,
        ("spec.dag", "FieldValueRequired"),
        ("spec.type", "FieldValueNotSupported"),
    ]
    assert error.details["kind"] == "DagRun"
    error = await refused(calls.patch(POOLS, "a", {"spec": {"slots": "many"}}))
    assert error.is_not_found
    await calls.create(POOLS, "a", spec={"slots": 1})
    error = await refused(calls.patch(POOLS, "a", {"spec": {"slots": "many"}}))
    assert (error.status, causes(error)) == (422, [("spec.slots", "FieldValueTypeInvalid")]), "a Pool has no rules"
    error = await refused(calls.patch(DAGRUNS, "a", {"status": {"phase": "Nonsense"}}, subresource="status"))
    assert (error.status, causes(error)) == (422, [("status.phase", "FieldValueNotSupported"), NOT_CHECKED])
    for change in ({"dag": "e"}, {"params": None}):
        error = await refused(calls.patch(DAGRUNS, "a", {"spec": change}))
        assert (error.status, causes(error)) == (422, [("spec", "FieldValueInvalid")])
    assert (await calls.patch(DAGRUNS, "a", {"spec": {"suspend": True}}))["spec"]["suspend"] is True
    await calls.patch(DAGRUNS, "a", {"spec": {"request": {"id": "1", "type": "Stop"}}})
    error = await refused(calls.patch(DAGRUNS, "a", {"spec": {"request": {"id": "2", "type": "Stop"}}}))
    assert (error.status, causes(error)) == (422, [("spec", "FieldValueInvalid")])
    patched = await calls.patch(DAGRUNS, "a", {"status": {"phase": "Queued", "unknown": 1}}, subresource="status")
    assert patched["status"] == {"phase": "Queued"}


async def test_names_and_labels_are_checked(calls: Calls) -> None:
    error = await refused(calls.create(CONFIGMAPS, "No_Name"))
    assert (error.status, error.reason, causes(error)) == (422, "Invalid", [("metadata.name", "FieldValueInvalid")])
    assert error.details["kind"] == "ConfigMap"
    error = await refused(calls.create(CONFIGMAPS, "a", metadata={"labels": {"x": "y" * 64}}))
    assert causes(error) == [("metadata.labels", "FieldValueInvalid")]
    error = await refused(calls.create(CONFIGMAPS, "a", metadata={"finalizers": ["unqualified name"]}))
    assert ("metadata.finalizers", "FieldValueInvalid") in causes(error)
    half = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": ""}
    error = await refused(calls.create(CONFIGMAPS, "a", metadata={"ownerReferences": [half]}))
    assert causes(error) == [("metadata.ownerReferences.uid", "FieldValueInvalid")]
    error = await refused(calls.create(DAGRUNS, "d" * 64, spec={"dag": "d"}))
    assert (error.status, causes(error)) == (422, [("<nil>", "FieldValueInvalid")])
    assert error.message.endswith("a DagRun's name has at most 63 characters: it is a label of its Pods")


async def test_a_lease_is_checked(calls: Calls) -> None:
    error = await refused(calls.create(LEASES, "a", spec={"holderIdentity": "me", "leaseDurationSeconds": 0}))
    assert (error.status, causes(error)) == (422, [("spec.leaseDurationSeconds", "FieldValueInvalid")])
    made = await calls.create(LEASES, "a", spec={"holderIdentity": "me", "leaseDurationSeconds": 15})
    moment = "2026-01-31T06:00:00.123456Z"
    renewed = {**made, "spec": {**made["spec"], "renewTime": moment}}
    assert (await calls.replace(LEASES, "a", renewed))["spec"]["renewTime"] == moment
    assert (await refused(calls.replace(LEASES, "a", renewed))).is_conflict


async def test_a_revision_does_not_change(calls: Calls) -> None:
    await calls.create(CONTROLLERREVISIONS, "a", data={"spec": {"x": 1}}, revision=1)
    error = await refused(calls.patch(CONTROLLERREVISIONS, "a", {"data": {"spec": {"x": 2}}}))
    assert (error.status, causes(error)) == (422, [("data", "FieldValueInvalid")])
    assert (await calls.get(CONTROLLERREVISIONS, "a"))["data"] == {"spec": {"x": 1}}


async def test_events(calls: Calls) -> None:
    about = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "Dag", "name": "d", "namespace": calls.namespace}
    event: Json = {
        "eventTime": "2026-01-31T06:00:00.123456Z",
        "type": "Normal",
        "reason": "Started",
        "action": "Start",
        "note": "it started",
        "regarding": about,
        "reportingController": "tradewind",
        "reportingInstance": "one",
    }
    await calls.create(EVENTS, "a", **event)
    series = {"count": 2, "lastObservedTime": "2026-01-31T06:01:00.123456Z"}
    assert (await calls.patch(EVENTS, "a", {"series": series}))["series"] == series
    error = await refused(calls.patch(EVENTS, "a", {"note": "something else"}))
    assert (error.status, causes(error)) == (422, [("message", "FieldValueInvalid")])
    error = await refused(calls.create(EVENTS, "b", **{**event, "type": "Curious"}))
    assert error.is_invalid


async def test_pods_are_checked(calls: Calls) -> None:
    error = await refused(calls.create(PODS, "a", spec=pod_spec(containers=[])))
    assert (error.status, causes(error)) == (422, [("spec.containers", "FieldValueRequired")])
    containers = [{"name": "x"}, {"name": "x", "image": "none"}]
    error = await refused(calls.create(PODS, "a", spec=pod_spec(containers=containers)))
    assert sorted(causes(error)) == [
        ("spec.containers[0].image", "FieldValueRequired"),
        ("spec.containers[1].name", "FieldValueDuplicate"),
    ]


async def test_a_terminating_namespace(calls: Calls) -> None:
    name = f"{calls.namespace}-ends"
    await calls.client.request("POST", NAMESPACES.path(), body={"metadata": {"name": name}})
    ending = Calls(calls.client, name)
    await ending.create(CONFIGMAPS, "held", metadata={"finalizers": ["example.dev/held"]})
    await ending.create(POOLS, "free", spec={"slots": 1})
    await calls.client.request("DELETE", NAMESPACES.path(None, name))
    error = await refused(ending.create(POOLS, "late", spec={"slots": 1}))
    why = f"unable to create new content in namespace {name} because it is being terminated"
    assert answer_of(error) == (403, "Forbidden", f'pools.tradewind.dev "late" is forbidden: {why}')
    assert error.is_namespace_terminating
    await ending.gone(POOLS, "free")

    async def marked() -> bool:
        return "deletionTimestamp" in (await ending.get(CONFIGMAPS, "held"))["metadata"]

    await until(marked, "what a finalizer holds is to be deleted")
    await ending.patch(CONFIGMAPS, "held", {"metadata": {"finalizers": None}})
    await Calls(calls.client, "").gone(NAMESPACES, name)
