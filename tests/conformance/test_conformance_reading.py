"""Lists as tables, and what there is to be read at all."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.kinds import ALL
from tests.conformance.calls import Calls, refused
from tradewind.cache.resources import DAGRUNS, POOLS
from tradewind.kube.resources import CONFIGMAPS, Resource

Json = dict[str, Any]


async def rows(calls: Calls, resource: Resource, **params: Any) -> list[Json]:
    return await calls.client.list(resource, calls.namespace, partial="table", **params)


async def test_a_table_has_the_printer_columns_and_metadata_only(calls: Calls) -> None:
    made = await calls.create(DAGRUNS, "r", spec={"dag": "d", "logicalDate": "2026-03-02T06:00:00Z"})
    [row] = await rows(calls, DAGRUNS)
    assert set(row) == {"metadata", "cells"}
    assert row["metadata"]["uid"] == made["metadata"]["uid"]
    cells = row["cells"]
    assert {name: cells[name] for name in ("Name", "Dag", "Phase", "Type")} == {
        "Name": "r",
        "Dag": "d",
        "Phase": None,
        "Type": "Manual",
    }
    status = {"phase": "Succeeded", "logicalDate": "2026-03-02T06:00:00Z", "message": "x"}
    await calls.patch(DAGRUNS, "r", {"status": status}, subresource="status")
    [row] = await rows(calls, DAGRUNS)
    assert (row["cells"]["Phase"], row["cells"]["Logical Date"]) == ("Succeeded", "2026-03-02T06:00:00Z")
    assert row["cells"]["Message"] == "x"
    assert (row["cells"]["Finished"], row["cells"]["Revision"]) == (None, None)
    status = {"finishedAt": "2026-03-02T06:05:00.123Z", "revision": "d-0123456789"}
    await calls.patch(DAGRUNS, "r", {"status": status, "metadata": {"labels": {"a": "b"}}}, subresource="status")
    [row] = await rows(calls, DAGRUNS, field_selector="status.phase=Succeeded")
    # In full, not as the time that has passed since: history goes by it.
    assert (row["cells"]["Finished"], row["cells"]["Revision"]) == ("2026-03-02T06:05:00.123Z", "d-0123456789")
    assert row["metadata"]["namespace"] == calls.namespace


async def test_tables_are_selected_and_paged_like_lists(calls: Calls) -> None:
    for number in range(5):
        await calls.create(DAGRUNS, f"r{number}", spec={"dag": f"d{number % 2}"})
    found = await rows(calls, DAGRUNS, field_selector="spec.dag=d0", limit=2)
    assert [row["metadata"]["name"] for row in found] == ["r0", "r2", "r4"]
    assert await rows(calls, POOLS) == []


async def test_a_table_of_one_kind_has_its_own_columns(calls: Calls) -> None:
    await calls.create(POOLS, "p", spec={"slots": 3})
    [row] = await rows(calls, POOLS)
    assert row["cells"]["Name"] == "p"
    assert row["cells"]["Slots"] == 3


@pytest.mark.parametrize("path", ["/api/v1", "/apis/apps/v1", "/apis/tradewind.dev/v1alpha1"])
async def test_discovery(calls: Calls, path: str) -> None:
    served = await calls.client.request("GET", path)
    assert served["kind"] == "APIResourceList"
    resources = {each["name"]: each for each in served["resources"]}
    group, version = path.split("/")[2:-1], path.rpartition("/")[2]
    for kind in ALL.values():
        if (kind.group, kind.version) == ("".join(group), version):
            found = resources[kind.plural]
            assert (found["kind"], found["namespaced"]) == (kind.name, kind.namespaced)
            assert {"get", "list", "watch"} <= set(found["verbs"])
            assert (f"{kind.plural}/status" in resources) == kind.has_status


@pytest.mark.parametrize("path", ["/apis/apps/v3", "/apis/no.such.group/v1", "/api/v7"])
async def test_an_api_that_there_is_not(calls: Calls, path: str) -> None:
    error = await refused(calls.client.request("GET", path))
    assert error.is_not_found


async def test_a_watch_of_one_object_by_its_name(calls: Calls) -> None:
    await calls.create(CONFIGMAPS, "other")
    listed = await calls.list(CONFIGMAPS, fieldSelector="metadata.name=one")
    assert listed["items"] == []
    watching = await calls.watch(CONFIGMAPS, listed, fieldSelector="metadata.name=one")
    for name in ("third", "one"):
        await calls.create(CONFIGMAPS, name)
    [event] = await watching.next()
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "one")
    await watching.none()
