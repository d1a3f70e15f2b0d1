"""Counting finished runs, where the controller may not look into every namespace any more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tradewind.api.dag import DagSpec
from tradewind.controller.history import History
from tradewind.engine.states import RunPhase
from tradewind.kube.errors import ApiError

pytestmark = pytest.mark.unit


class OneNamespaceIsGone:
    """A client that finds a failed run in every namespace but one, where our rights have gone with it."""

    async def list(
        self, resource: Any, scope: str, *, label_selector: str, field_selector: str, partial: bool
    ) -> list[dict[str, Any]]:
        if scope == "gone":
            raise ApiError(403, "Forbidden", "dagruns is forbidden")
        if field_selector != "status.phase=Failed":
            return []
        labels = {"tradewind.dev/dag": "sales"}
        return [{"metadata": {"name": "run", "namespace": scope, "labels": labels, "resourceVersion": "12"}}]


async def test_a_namespace_that_is_gone_does_not_keep_the_others_from_being_counted() -> None:
    client: Any = OneNamespaceIsGone()
    nothing: Any = None
    history = History(
        client, nothing, ("gone", "ours"), nothing, backfills={}, requested={}, spawn=asyncio.create_task, clock=nothing
    )
    key = ("ours", "sales")
    assert await history.count({key: 11}) == ([key], {key: ["run"]})
    assert await history.count({key: 12}) == ([key], {})
    assert history.counts[key, "Failed"] == 1


def test_after_a_run_was_run_again_it_is_looked_at_how_many_there_are() -> None:
    """When a rerun is heard of late, the run had been left out of the last look already: a count is never too low."""
    looks: list[str] = []

    def spawn(work: Any, name: str) -> Any:
        work.close()
        looks.append(name)

    nothing: Any = None
    history = History(nothing, nothing, ("ours",), nothing, backfills={}, requested={}, spawn=spawn, clock=nothing)
    key = ("ours", "sales")
    spec = DagSpec.model_validate({"tasks": [{"name": "a", "noop": True}], "successfulRunsHistoryLimit": 1})
    history.finished(key, RunPhase.SUCCEEDED)
    history.reopened(key, "Succeeded")
    history.finished(key, RunPhase.SUCCEEDED)
    assert history.counts[key, "Succeeded"] == 1
    history.prune(key, spec)
    assert looks == ["prune sales"]
