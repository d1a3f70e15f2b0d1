"""Deletion: grace periods, finalizers, preconditions, owners."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.conformance.calls import Calls, Json, answer_of, config_map, dag_spec, owner, pod_spec, refused, until
from tradewind.cache.resources import DAGRUNS, DAGS, POOLS
from tradewind.kube.resources import CONFIGMAPS, PODS, RESOURCEQUOTAS, SECRETS

HELD = ["example.dev/held"]


async def running_pod(calls: Calls, name: str, **metadata: Any) -> Json:
    """A Pod on a node that is not there: only this test acts for its kubelet."""
    await calls.create(PODS, name, spec=pod_spec(), metadata=metadata)
    target = {"apiVersion": "v1", "kind": "Node", "name": "no-node"}
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
    await calls.client.request("POST", PODS.path(calls.namespace, name, "binding"), body=body)
    return await calls.patch(PODS, name, {"status": {"phase": "Running"}}, subresource="status")


async def test_answers_to_deletions(calls: Calls) -> None:
    made = await calls.create(POOLS, "a", spec={"slots": 1})
    answer = await calls.delete(POOLS, "a")
    assert (answer["kind"], answer["status"]) == ("Status", "Success")
    details = {"name": "a", "group": "tradewind.dev", "kind": "pools", "uid": made["metadata"]["uid"]}
    assert answer["details"] == details
    await calls.create(PODS, "a", spec=pod_spec())
    assert (await calls.delete(PODS, "a"))["kind"] == "Pod"
    assert (await refused(calls.delete(PODS, "a"))).is_not_found


async def test_the_uid_as_a_precondition(calls: Calls) -> None:
    made = await calls.create(CONFIGMAPS, "a")
    uid, other = made["metadata"]["uid"], "00000000-0000-0000-0000-000000000000"
    error = await refused(calls.delete(CONFIGMAPS, "a", preconditions={"uid": other}))
    assert (error.status, error.reason) == (409, "Conflict")
    why = f"the UID in the precondition ({other}) does not match the UID in record ({uid}). The object might have been"
    assert error.message == f'Operation cannot be fulfilled on ConfigMap "a": {why} deleted and then recreated'
    await calls.delete(CONFIGMAPS, "a", preconditions={"uid": uid})
    assert await calls.find(CONFIGMAPS, "a") is None


async def test_a_finalizer_holds_an_object(calls: Calls) -> None:
    made = await calls.create(POOLS, "a", metadata={"finalizers": HELD}, spec={"slots": 1})
    answer = await calls.delete(POOLS, "a")
    assert answer["kind"] == "Pool"
    marked = await calls.get(POOLS, "a")
    assert answer == marked
    assert marked["metadata"]["deletionTimestamp"]
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 0
    assert marked["metadata"]["generation"] == made["metadata"]["generation"] + 1
    await calls.delete(POOLS, "a")
    assert await calls.get(POOLS, "a") == marked, "once is enough"
    error = await refused(calls.patch(POOLS, "a", {"metadata": {"finalizers": [*HELD, "example.dev/more"]}}))
    assert error.is_invalid
    assert (await refused(calls.create(POOLS, "a", spec={"slots": 1}))).is_already_exists
    changed = await calls.patch(POOLS, "a", {"spec": {"slots": 2}})
    assert changed["spec"] == {"slots": 2}, "it can still be changed"
    await calls.patch(POOLS, "a", {"metadata": {"finalizers": None}})
    assert await calls.find(POOLS, "a") is None


async def test_a_running_pod_has_time_to_end(calls: Calls) -> None:
    made = await running_pod(calls, "a")
    marked = await calls.delete(PODS, "a")
    metadata = marked["metadata"]
    assert metadata["deletionGracePeriodSeconds"] == 30
    assert metadata["generation"] == made["metadata"]["generation"] + 1
    assert marked["status"]["phase"] == "Running"
    assert await calls.delete(PODS, "a") == marked
    assert await calls.delete(PODS, "a", gracePeriodSeconds=60) == marked, "it can only become shorter"
    sooner = await calls.delete(PODS, "a", gracePeriodSeconds=5)
    assert sooner["metadata"]["deletionGracePeriodSeconds"] == 5
    ends = [datetime.fromisoformat(each["metadata"]["deletionTimestamp"]) for each in (marked, sooner)]
    assert ends[0] - ends[1] == timedelta(seconds=25)
    status = {"status": {"phase": "Failed"}}
    assert (await calls.patch(PODS, "a", status, subresource="status"))["metadata"]["deletionTimestamp"]
    await calls.delete(PODS, "a", gracePeriodSeconds=0, preconditions={"uid": metadata["uid"]})
    assert await calls.find(PODS, "a") is None


async def test_a_pod_that_has_finished_is_deleted_at_once(calls: Calls) -> None:
    await running_pod(calls, "a")
    await calls.patch(PODS, "a", {"status": {"phase": "Succeeded"}}, subresource="status")
    await calls.delete(PODS, "a")
    assert await calls.find(PODS, "a") is None


async def test_a_pod_with_a_finalizer(calls: Calls) -> None:
    await running_pod(calls, "a", finalizers=HELD)
    assert (await calls.delete(PODS, "a"))["metadata"]["deletionGracePeriodSeconds"] == 30
    await calls.patch(PODS, "a", {"metadata": {"finalizers": None}})
    assert await calls.find(PODS, "a"), "its kubelet has not done with it"
    await calls.delete(PODS, "a", gracePeriodSeconds=0)
    assert await calls.find(PODS, "a") is None
    await running_pod(calls, "b", finalizers=HELD)
    await calls.delete(PODS, "b")
    held = await calls.delete(PODS, "b", gracePeriodSeconds=0)
    assert held["metadata"]["deletionGracePeriodSeconds"] == 0
    assert await calls.delete(PODS, "b", gracePeriodSeconds=0) == held
    await calls.patch(PODS, "b", {"status": {"phase": "Failed"}}, subresource="status")
    await calls.patch(PODS, "b", {"metadata": {"finalizers": None}})
    assert await calls.find(PODS, "b") is None


async def test_a_collection_with_finalizers_is_marked(calls: Calls) -> None:
    await calls.create(CONFIGMAPS, "a", metadata={"labels": {"x": "1"}, "finalizers": HELD})
    await calls.create(CONFIGMAPS, "b", metadata={"labels": {"x": "1"}})
    path, params = CONFIGMAPS.path(calls.namespace), {"labelSelector": "x=1"}
    answer = await calls.client.request("DELETE", path, params=params)
    assert [item["metadata"]["name"] for item in answer["items"]] == ["a", "b"]
    assert "deletionTimestamp" in (await calls.get(CONFIGMAPS, "a"))["metadata"]
    assert await calls.find(CONFIGMAPS, "b") is None
    await calls.patch(CONFIGMAPS, "a", {"metadata": {"finalizers": None}})


async def test_what_a_pod_may_change(calls: Calls) -> None:
    await running_pod(calls, "a")
    for deadline in (90, 60):
        patched = await calls.patch(PODS, "a", {"spec": {"activeDeadlineSeconds": deadline}})
        assert patched["spec"]["activeDeadlineSeconds"] == deadline
    for wrong in (61, 0, None):
        assert (await refused(calls.patch(PODS, "a", {"spec": {"activeDeadlineSeconds": wrong}}))).is_invalid
    assert (await refused(calls.patch(PODS, "a", {"spec": {"restartPolicy": "Never"}}))).is_invalid
    containers = [{"name": "task", "image": "none", "args": ["other"]}]
    error = await refused(calls.patch(PODS, "a", {"spec": {"containers": containers}}))
    assert error.is_invalid
    patch = {"metadata": {"labels": {"x": "y"}}, "status": {"phase": "Failed"}}
    labelled = await calls.patch(PODS, "a", patch)
    assert (labelled["metadata"]["labels"], labelled["status"]["phase"]) == ({"x": "y"}, "Running")
    await calls.delete(PODS, "a", gracePeriodSeconds=0)


async def test_a_quota(calls: Calls) -> None:
    hard = {"count/secrets": "1"}
    await calls.create(RESOURCEQUOTAS, "q", spec={"hard": hard})

    async def counted() -> bool:
        used = (await calls.get(RESOURCEQUOTAS, "q")).get("status", {}).get("used", {})
        return set(used) == set(hard)

    await until(counted, "the quota is counted")
    await calls.create(SECRETS, "a")
    error = await refused(calls.create(SECRETS, "b"))
    what = "exceeded quota: q, requested: count/secrets=1, used: count/secrets=1, limited: count/secrets=1"
    assert answer_of(error) == (403, "Forbidden", f'secrets "b" is forbidden: {what}')
    assert error.is_quota_exceeded
    error = await refused(calls.create(SECRETS, "a"))
    assert error.is_quota_exceeded, "the quota is asked before it is known that the name is taken"


async def test_what_is_owned_goes_with_its_owner(calls: Calls) -> None:
    dag = await calls.create(DAGS, "d", spec=dag_spec())
    run = await calls.create(DAGRUNS, "r", spec={"dag": "d"}, metadata={"ownerReferences": [owner(dag)]})
    reference = owner(run, controller=True)
    await calls.create(PODS, "p", spec=pod_spec(), metadata={"ownerReferences": [reference]})
    await calls.create(PODS, "held", spec=pod_spec(), metadata={"ownerReferences": [reference], "finalizers": HELD})
    await calls.delete(DAGS, "d", propagationPolicy="Background")
    await calls.gone(DAGRUNS, "r")
    await calls.gone(PODS, "p")

    async def marked() -> bool:
        return "deletionTimestamp" in (await calls.get(PODS, "held"))["metadata"]

    await until(marked, "the Pod is to be deleted")
    await calls.patch(PODS, "held", {"metadata": {"finalizers": None}})
    await calls.gone(PODS, "held")


async def test_what_is_created_after_its_owner_was_deleted(calls: Calls) -> None:
    first = await calls.create(CONFIGMAPS, "owner", **config_map())
    await calls.delete(CONFIGMAPS, "owner")
    second = await calls.create(CONFIGMAPS, "owner", **config_map())
    await calls.create(CONFIGMAPS, "late", metadata={"ownerReferences": [owner(first)]})
    await calls.create(CONFIGMAPS, "fine", metadata={"ownerReferences": [owner(second)]})
    await calls.gone(CONFIGMAPS, "late")
    assert await calls.find(CONFIGMAPS, "fine"), "the UID counts, not the name"


async def test_two_owners(calls: Calls) -> None:
    one, two = await calls.create(CONFIGMAPS, "one"), await calls.create(CONFIGMAPS, "two")
    await calls.create(POOLS, "a", spec={"slots": 1}, metadata={"ownerReferences": [owner(one), owner(two)]})
    await calls.delete(CONFIGMAPS, "one")

    async def one_left() -> bool:
        owners = (await calls.get(POOLS, "a"))["metadata"]["ownerReferences"]
        return [each["name"] for each in owners] == ["two"]

    await until(one_left, "one owner is left")
    await calls.delete(CONFIGMAPS, "two")
    await calls.gone(POOLS, "a")


async def test_deletion_in_the_foreground_and_orphans(calls: Calls) -> None:
    dag = await calls.create(DAGS, "d", spec=dag_spec())
    reference = owner(dag, blockOwnerDeletion=True)
    await calls.create(POOLS, "a", spec={"slots": 1}, metadata={"ownerReferences": [reference], "finalizers": HELD})
    answer = await calls.delete(DAGS, "d", propagationPolicy="Foreground")
    assert answer["metadata"]["finalizers"] == ["foregroundDeletion"]

    async def marked() -> bool:
        return "deletionTimestamp" in (await calls.get(POOLS, "a"))["metadata"]

    await until(marked, "the dependent is to be deleted")
    assert await calls.find(DAGS, "d"), "it waits for what it owns"
    await calls.patch(POOLS, "a", {"metadata": {"finalizers": None}})
    await calls.gone(DAGS, "d")
    dag = await calls.create(DAGS, "d", spec=dag_spec())
    await calls.create(POOLS, "a", spec={"slots": 1}, metadata={"ownerReferences": [owner(dag)]})
    await calls.delete(DAGS, "d", propagationPolicy="Orphan")
    await calls.gone(DAGS, "d")
    assert "ownerReferences" not in (await calls.get(POOLS, "a"))["metadata"]
