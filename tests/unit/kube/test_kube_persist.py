"""keep_trying: again until it succeeds, or is no longer wanted."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

import pytest

from tradewind.kube.backoff import Backoff
from tradewind.kube.errors import ApiError, KubeError, Unreachable
from tradewind.kube.lease import NotLeader
from tradewind.kube.persist import keep_trying
from tradewind.kube.writer import WriterStopped

pytestmark = pytest.mark.unit

AWAY = Unreachable("connection refused")


class World:
    """An attempt that goes as a test says, and the pauses between attempts."""

    def __init__(self, *outcomes: Exception | str | None) -> None:
        self.outcomes = list(outcomes)
        self.pauses: list[float] = []

    async def attempt(self) -> str | None:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    def make(*outcomes: Exception | str | None) -> World:
        made = World(*outcomes)
        monkeypatch.setattr("tradewind.kube.persist.asyncio.sleep", made.pause)
        return made

    return make


async def test_what_succeeds_is_done_once(world: Callable[..., World]) -> None:
    here = world("done")
    assert await keep_trying(here.attempt, "do it", 5.0) == "done"
    assert here.pauses == []


async def test_what_fails_is_tried_again_after_a_pause(
    world: Callable[..., World], caplog: pytest.LogCaptureFixture
) -> None:
    here = world(AWAY, ApiError(500, "InternalError"), "done")
    with caplog.at_level(logging.WARNING):
        assert await keep_trying(here.attempt, "delete Pod ns/a", 5.0) == "done"
    assert here.pauses == [5.0, 5.0]
    assert [record.getMessage().split(": ")[0] for record in caplog.records] == ["cannot delete Pod ns/a"] * 2
    assert "connection refused" in caplog.records[0].getMessage()


async def test_a_backoff_grows_and_begins_again_after_a_success(world: Callable[..., World]) -> None:
    here = world(AWAY, AWAY, AWAY, None, AWAY, None)
    backoff = Backoff(1.0, 30.0, rng=random.Random(1))
    await keep_trying(here.attempt, "do it", backoff)
    assert [1 / 2 <= here.pauses[n] / 2**n <= 1 for n in range(3)] == [True] * 3
    await keep_trying(here.attempt, "do it", backoff)
    assert here.pauses[3] <= 1.0


async def test_an_error_is_reported_before_the_pause(world: Callable[..., World]) -> None:
    here = world(AWAY, "done")
    reported: list[tuple[KubeError, int]] = []
    await keep_trying(here.attempt, "do it", 5.0, on_error=lambda error: reported.append((error, len(here.pauses))))
    assert reported == [(AWAY, 0)]


async def test_it_is_given_up_when_it_is_not_wanted_after_a_pause(world: Callable[..., World]) -> None:
    here = world(AWAY, AWAY, "done")
    assert await keep_trying(here.attempt, "do it", 5.0, wanted=lambda: len(here.pauses) < 2) is None
    assert here.outcomes == ["done"]


@pytest.mark.parametrize("error", [NotLeader("no"), WriterStopped("no")])
async def test_who_has_stepped_down_stops_without_a_word(
    world: Callable[..., World], caplog: pytest.LogCaptureFixture, error: KubeError
) -> None:
    here = world(AWAY, error)
    reported: list[KubeError] = []
    assert await keep_trying(here.attempt, "do it", 5.0, on_error=reported.append) is None
    assert reported == [AWAY]
    assert len(caplog.records) == 1


async def test_an_error_that_is_not_of_the_cluster_is_raised(world: Callable[..., World]) -> None:
    here = world(ValueError("a fault"), "done")
    with pytest.raises(ValueError, match="a fault"):
        await keep_trying(here.attempt, "do it", 5.0)
    assert here.pauses == []


async def test_it_can_be_cancelled_while_it_waits() -> None:
    task = asyncio.create_task(keep_trying(World(AWAY).attempt, "do it", 60.0))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
