"""The newest that is known of a run, where the cache lags behind what was answered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tradewind.cache.caches import Caches
from tradewind.cache.resources import DagRunObject
from tradewind.controller.runs.table import RunTable
from tradewind.kube.objects import ObjectMeta

pytestmark = pytest.mark.unit

KEY = ("ns", "r")


class World:
    """A table over a cache that has what a test says."""

    def __init__(self) -> None:
        self.runs: dict[Any, DagRunObject] = {}
        self.table = RunTable(cast(Caches, SimpleNamespace(runs=self.runs)))

    def watch(self, version: int, uid: str = "uid") -> DagRunObject:
        found = self.runs[KEY] = run(version, uid)
        return found


def run(version: int, uid: str = "uid") -> DagRunObject:
    metadata = ObjectMeta(name=KEY[1], namespace=KEY[0], uid=uid, resource_version=str(version))
    return DagRunObject(metadata=metadata)


@pytest.fixture
def world() -> World:
    return World()


def test_what_the_watch_shows_counts_while_nothing_was_answered(world: World) -> None:
    assert world.table.newest(KEY) is None
    assert world.watch(5) is world.table.newest(KEY)


def test_an_answer_counts_until_the_watch_has_caught_up(world: World) -> None:
    answered, _ = run(7), world.watch(5)
    world.table.note_response(KEY, answered)
    assert world.table.newest(KEY) is answered
    newer = world.watch(8)
    assert world.table.newest(KEY) is newer
    assert world.watch(6) is world.table.newest(KEY), "it is of no more use then"


def test_an_answer_about_a_run_that_was_recreated_since_does_not_count(world: World) -> None:
    world.table.note_response(KEY, run(9))
    other = world.watch(7, "another uid")
    assert world.table.newest(KEY) is other


def test_a_run_that_has_finished_does_not_come_back_by_an_old_watch_event(world: World) -> None:
    world.watch(5)
    world.table.note_finished(KEY, "uid", 7)
    assert world.table.newest(KEY) is None
    world.watch(6)
    assert world.table.newest(KEY) is None


def test_it_does_come_back_when_it_is_run_again(world: World) -> None:
    world.watch(5)
    world.table.note_finished(KEY, "uid", 7)
    again = world.watch(8)
    assert world.table.newest(KEY) is again


def test_one_that_is_deleted_never_comes_back_but_another_of_its_name_does(world: World) -> None:
    world.watch(5)
    world.table.note_finished(KEY, "uid")
    world.watch(10**9)
    assert world.table.newest(KEY) is None
    other = world.watch(9, "another uid")
    assert world.table.newest(KEY) is other


def test_the_end_of_a_run_that_the_cache_does_not_have_is_not_kept(world: World) -> None:
    world.table.note_finished(KEY, "uid", 7)
    found = world.watch(6)
    assert world.table.newest(KEY) is found
