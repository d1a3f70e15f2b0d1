"""Watches: which changes they show and as what, where they begin, bookmarks, and histories that are gone."""

from __future__ import annotations

import asyncio

from tests.conformance.calls import PATIENCE, Calls, config_map, pod_spec, seen, version
from tradewind.cache.resources import DAGRUNS, POOLS
from tradewind.kube.resources import CONFIGMAPS, PODS

NOT_FINISHED = {"fieldSelector": "status.phase!=Succeeded,status.phase!=Failed"}


async def test_each_change_is_shown_in_order(calls: Calls) -> None:
    watching = await calls.watch(POOLS, await calls.list(POOLS))
    made = await calls.create(POOLS, "a", spec={"slots": 1})
    changed = await calls.patch(POOLS, "a", {"spec": {"slots": 2}})
    await calls.delete(POOLS, "a")
    added, modified, deleted = await watching.next(3)
    assert [event["type"] for event in (added, modified, deleted)] == ["ADDED", "MODIFIED", "DELETED"]
    assert added["object"] == made
    assert modified["object"] == changed
    assert deleted["object"]["spec"] == {"slots": 2}
    assert version(deleted["object"]) > version(changed), "the version of the deletion itself"
    rest = {**deleted["object"]["metadata"], "resourceVersion": changed["metadata"]["resourceVersion"]}
    assert rest == changed["metadata"]


async def test_a_watch_begins_after_its_version(calls: Calls) -> None:
    first = await calls.create(POOLS, "a", spec={"slots": 1})
    await calls.create(POOLS, "b", spec={"slots": 1})
    await calls.delete(POOLS, "a")
    watching = await calls.watch(POOLS, first)
    assert [seen(event) for event in await watching.next(2)] == [("ADDED", "b"), ("DELETED", "a")]
    await watching.none()


async def test_a_watch_without_a_version_begins_with_what_there_is(calls: Calls) -> None:
    await calls.create(POOLS, "a", spec={"slots": 1})
    await calls.create(POOLS, "b", spec={"slots": 1})
    for since in ("", "0"):
        watching = await calls.watch(POOLS, since)
        assert sorted(seen(event) for event in await watching.next(2)) == [("ADDED", "a"), ("ADDED", "b")]
        await watching.none()


async def test_other_namespaces_and_kinds_are_not_shown(calls: Calls) -> None:
    watching = await calls.watch(POOLS, await calls.list(POOLS))
    await calls.create(CONFIGMAPS, "a")
    await Calls(calls.client, "default").create(POOLS, calls.namespace, spec={"slots": 1})
    await calls.create(POOLS, "c", spec={"slots": 1})
    assert [seen(event) for event in await watching.next()] == [("ADDED", "c")]
    everywhere = await calls.client.request("GET", POOLS.path())
    assert calls.namespace in [item["metadata"]["name"] for item in everywhere["items"]]
    await Calls(calls.client, "default").delete(POOLS, calls.namespace)


async def test_labels_that_come_and_go(calls: Calls) -> None:
    watching = await calls.watch(CONFIGMAPS, await calls.list(CONFIGMAPS), labelSelector="x=1")
    await calls.create(CONFIGMAPS, "a", **config_map())
    entered = await calls.patch(CONFIGMAPS, "a", {"metadata": {"labels": {"x": "1"}}})
    left = await calls.patch(CONFIGMAPS, "a", {"metadata": {"labels": {"x": "2"}}, "data": {"n": "2"}})
    await calls.patch(CONFIGMAPS, "a", {"data": {"n": "3"}})
    again = await calls.patch(CONFIGMAPS, "a", {"metadata": {"labels": {"x": "1"}}})
    await calls.delete(CONFIGMAPS, "a")
    events = await watching.next(4)
    assert [event["type"] for event in events] == ["ADDED", "DELETED", "ADDED", "DELETED"]
    assert events[0]["object"] == entered
    assert events[1]["object"]["data"] == {"n": "1"}, "the last state that was selected"
    assert events[1]["object"]["metadata"]["labels"] == {"x": "1"}
    assert version(events[1]["object"]) == version(left), "with the version of the change"
    assert events[2]["object"] == again
    await watching.none()


async def test_a_run_that_finishes_leaves_the_selection(calls: Calls) -> None:
    watching = await calls.watch(DAGRUNS, await calls.list(DAGRUNS), **NOT_FINISHED)
    await calls.create(DAGRUNS, "a", spec={"dag": "d"})
    for phase in ("Running", "Succeeded"):
        last = await calls.patch(DAGRUNS, "a", {"status": {"phase": phase}}, subresource="status")
    await calls.patch(DAGRUNS, "a", {"metadata": {"labels": {"x": "y"}}})
    await calls.delete(DAGRUNS, "a")
    added, running, left = await watching.next(3)
    assert [event["type"] for event in (added, running, left)] == ["ADDED", "MODIFIED", "DELETED"]
    assert left["object"]["status"] == {"phase": "Running"}
    assert version(left["object"]) == version(last)
    await watching.none()


async def test_a_history_that_was_compacted(calls: Calls) -> None:
    watching = await calls.watch(CONFIGMAPS, "1")
    [error] = await watching.next()
    assert error["type"] == "ERROR"
    assert (error["object"]["kind"], error["object"]["code"], error["object"]["reason"]) == ("Status", 410, "Expired")
    assert error["object"]["message"].startswith("too old resource version: 1 (")
    await asyncio.wait_for(watching.ended.wait(), PATIENCE)


async def test_a_bookmark_comes_before_the_end(calls: Calls) -> None:
    start = await calls.list(POOLS)
    quiet = await calls.watch(POOLS, start, timeoutSeconds=4, allowWatchBookmarks="true", labelSelector="no=thing")
    silent = await calls.watch(POOLS, start, timeoutSeconds=4, labelSelector="no=thing")
    made = await calls.create(POOLS, "a", spec={"slots": 1})
    [bookmark] = await quiet.next()
    assert (bookmark["type"], bookmark["object"]["kind"]) == ("BOOKMARK", "Pool")
    assert version(bookmark["object"]) >= version(made)
    await asyncio.wait_for(quiet.ended.wait(), PATIENCE)
    await asyncio.wait_for(silent.ended.wait(), PATIENCE)
    await silent.none()


async def test_an_object_that_a_finalizer_held(calls: Calls) -> None:
    held = ["example.dev/held"]
    made = await calls.create(CONFIGMAPS, "a", metadata={"finalizers": held}, **config_map())
    # Kubernetes puts a ConfigMap of its own into each namespace.
    watching = await calls.watch(CONFIGMAPS, made, fieldSelector="metadata.name=a")
    await calls.delete(CONFIGMAPS, "a")
    await calls.patch(CONFIGMAPS, "a", {"metadata": {"finalizers": None}, "data": {"n": "2"}})
    marked, deleted = await watching.next(2)
    assert [marked["type"], deleted["type"]] == ["MODIFIED", "DELETED"]
    assert "deletionTimestamp" in marked["object"]["metadata"]
    assert deleted["object"]["metadata"]["finalizers"] == held, "the last update is not stored"
    assert deleted["object"]["data"] == {"n": "1"}


async def test_a_pod_that_ran_nowhere_is_marked_and_then_deleted(calls: Calls) -> None:
    made = await calls.create(PODS, "a", spec=pod_spec())
    watching = await calls.watch(PODS, made)
    await calls.delete(PODS, "a")
    marked, deleted = await watching.next(2)
    assert [marked["type"], deleted["type"]] == ["MODIFIED", "DELETED"]
    assert marked["object"]["metadata"]["deletionGracePeriodSeconds"] == 0
    assert deleted["object"]["metadata"]["deletionTimestamp"] == marked["object"]["metadata"]["deletionTimestamp"]
