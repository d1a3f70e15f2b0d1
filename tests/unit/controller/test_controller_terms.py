"""Work of one term of leadership does not continue in the next, even if it was not notified of the end of its term."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.controller.memory_cluster import MemoryCluster
from tradewind.kube.lease import NotLeader

pytestmark = pytest.mark.unit


async def test_an_expired_term_writes_nothing_in_the_next(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = cluster.controller
    election, before = controller.election, controller.leader
    undelivered: list[Callable[[], None]] = []
    # The election is on another thread, and this loop is busy.
    monkeypatch.setattr(controller.host, "call_in_loop", undelivered.append)
    held_until = election._held_until
    election._stop_leading("another was faster")
    election._held_until = held_until
    election._start_leading()
    assert election.is_leader
    with pytest.raises(NotLeader, match="of an earlier term"):
        controller._ensure_leader()
    for act in undelivered:
        act()
    controller._ensure_leader()
    assert controller.leader is not None
    assert controller.leader is not before
    monkeypatch.undo()
    cluster.dag("sales")
    cluster.run("sales", "r")
    await cluster.wait_phase("r", "Succeeded")
