"""Watches of objects that tasks wait for: few connections, however many objects are requested, and no subscriber is
forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.apiserver import Request
from tests.unit.controller.memory_cluster import MemoryCluster
from tradewind.cache import object_watches
from tradewind.cache.object_watches import ALONE, ObjectWatches, Seen
from tradewind.kube.errors import ApiError
from tradewind.kube.resources import CONFIGMAPS, PODS

pytestmark = pytest.mark.unit


class Asker:
    """Subscribes to ConfigMaps by name."""

    def __init__(self, watches: ObjectWatches) -> None:
        self.watches = watches
        self.seen: dict[str, Seen] = {}
        self.ends: dict[str, Callable[[], None]] = {}

    def ask(self, *names: str) -> None:
        for name in names:
            self.ends[name] = self.watches.subscribe(
                CONFIGMAPS, "ns", name, lambda seen, n=name: self.on_change(n, seen)
            )  # type: ignore[misc]

    def on_change(self, name: str, seen: Seen) -> None:
        self.seen[name] = seen

    def found(self, name: str) -> Any:
        seen = self.seen.get(name)
        return seen and seen.found and seen.found["data"]


def objects(cluster: MemoryCluster) -> Any:
    leader: Any = cluster.controller.leader
    return leader.carriers["WaitFor"].objects


async def test_a_task_mapped_over_a_thousand_objects_opens_a_handful_of_watches(cluster: MemoryCluster) -> None:
    discovered: list[str] = []

    def note(request: Request) -> None:
        if request.path == "/api/v1":
            discovered.append(request.path)

    cluster.before_request = note
    before = len(cluster.server.watches)
    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x-{{ item }}", "jsonPath": ".data.ready", "value": "1"}
    each = {"name": "w", "forEach": {"items": list(range(1000))}, "waitFor": {"object": wanted}}
    cluster.dag("d", tasks=[each])
    cluster.run("d", "r")

    def done() -> str:
        return str(cluster.status("dagruns", "r").get("done"))

    await cluster.eventually(lambda: len(objects(cluster)) == 1000, "all are wanted")
    assert len(cluster.server.watches) <= before + ALONE + 1
    for number in (0, 500, 999):
        cluster.create("configmaps", f"x-{number}", data={"ready": "1"})
    await cluster.eventually(lambda: done() == "3/1000", "results so far count")
    assert len(cluster.server.watches) == before + ALONE + 1 - 1, "x-0 had one of its own"
    for number in range(1000):
        if number not in (0, 500, 999):
            cluster.create("configmaps", f"x-{number}", data={"ready": "1"})
    await cluster.wait_phase("r", "Succeeded")
    await cluster.eventually(lambda: len(cluster.server.watches) == before, "nothing is watched any more")
    assert len(discovered) == 1


async def test_one_that_is_wanted_later_is_found_as_it_is(cluster: MemoryCluster) -> None:
    asker = Asker(objects(cluster))
    first = [f"first-{number}" for number in range(10)]
    cluster.create("configmaps", "late", data={"n": "1"})
    cluster.create("configmaps", "not-requested", data={"n": "1"})
    asker.ask(*first)
    await cluster.eventually(lambda: len(asker.seen) == 10, "none of them is there")
    assert all(seen == Seen() for seen in asker.seen.values())
    asker.ask("late", "later")
    await cluster.eventually(lambda: asker.found("late") == {"n": "1"}, "it is there")
    await cluster.eventually(lambda: asker.seen.get("later") == Seen(), "that is not")
    cluster.patch("configmaps", "late", data={"n": "2"})
    cluster.create("configmaps", "later", data={})
    cluster.create("configmaps", "first-0", data={})
    await cluster.eventually(lambda: asker.found("late") == {"n": "2"}, "it changes")
    await cluster.eventually(lambda: asker.seen["later"].found and asker.seen["first-0"].found, "they come")
    cluster.delete("configmaps", "late")
    await cluster.eventually(lambda: asker.seen["late"] == Seen(), "it goes")
    assert "not-requested" not in asker.seen


async def test_each_ends_with_the_last_who_wants_it(cluster: MemoryCluster) -> None:
    before = len(cluster.server.watches)
    one, two = Asker(objects(cluster)), Asker(objects(cluster))
    names = [f"x-{number}" for number in range(10)]
    one.ask(*names)
    two.ask(*names[:1], *names[9:])
    await cluster.eventually(lambda: len(cluster.server.watches) == before + ALONE + 1, "a handful of watches")
    for name in names:
        one.ends[name]()
        one.ends[name]()
    await cluster.eventually(lambda: len(cluster.server.watches) == before + 2, "one alone, and that of the kind")
    for end in two.ends.values():
        end()
    await cluster.eventually(lambda: len(cluster.server.watches) == before, "none is left")
    assert len(objects(cluster)) == 0
    one.ask("x-3")
    await cluster.eventually(lambda: len(cluster.server.watches) == before + 1, "it starts again")


async def test_more_than_may_be_open_take_turns(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_watches, "OPEN", 2)
    monkeypatch.setattr(object_watches, "TURN", 0.05)
    leader: Any = cluster.controller.leader
    before = len(cluster.server.watches)
    watches = ObjectWatches(cluster._client, spawn=leader._background.spawn, clock=cluster._clock, alone=100)  # type: ignore[arg-type]
    asker = Asker(watches)
    names = [f"x-{number}" for number in range(9)]
    asker.ask(*names)
    most = 0

    def all_know(expected: Any) -> bool:
        nonlocal most
        most = max(most, len(cluster.server.watches) - before)
        return all(name in asker.seen and asker.found(name) == expected for name in names)

    await cluster.eventually(lambda: all_know(None), "each has had a turn")
    for name in names:
        cluster.create("configmaps", name, data={"n": "1"})
    await cluster.eventually(lambda: all_know({"n": "1"}), "and another")
    for name in names:
        cluster.delete("configmaps", name)
    await cluster.eventually(lambda: all_know(None), "also of what goes between two turns")
    assert most == 2
    for end in asker.ends.values():
        end()


async def test_a_right_that_is_missing_is_reported_to_all_and_one_that_comes_too(cluster: MemoryCluster) -> None:
    forbidden = True

    def refuse(request: Request) -> None:
        if (
            forbidden
            and request.method == "GET"
            and request.path.endswith("/configmaps")
            and "labelSelector" not in str(request.params)
        ):
            raise ApiError(403, "Forbidden", "no")

    cluster.before_request = refuse
    asker = Asker(objects(cluster))
    asker.ask(*(f"x-{number}" for number in range(6)))
    await cluster.eventually(
        lambda: len(asker.seen) == 6 and all(s.error for s in asker.seen.values()), "all are notified"
    )
    forbidden = False
    await cluster.eventually(lambda: all(seen == Seen() for seen in asker.seen.values()), "and that they may now")


async def test_two_kinds_have_nothing_to_do_with_each_other(cluster: MemoryCluster) -> None:
    before = len(cluster.server.watches)
    asker, ends = Asker(objects(cluster)), []
    asker.ask(*(f"x-{number}" for number in range(20)))
    heard: list[Seen] = []
    ends.append(objects(cluster).subscribe(PODS, "ns", "x-0", heard.append))
    await cluster.eventually(lambda: heard and len(asker.seen) == 20, "all are notified")
    assert len(cluster.server.watches) == before + ALONE + 2
    await asyncio.sleep(0)
