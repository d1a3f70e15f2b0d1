"""Thousands of questions leave slots to those who need an answer now."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.apiserver import ApiServer, MemoryClient, Request, Response
from tradewind.kube.client import KubeClient
from tradewind.kube.lane import AT_ONCE, Lane
from tradewind.kube.resources import PODS

pytestmark = pytest.mark.unit


class SlowClient(MemoryClient):
    def __init__(self) -> None:
        super().__init__(ApiServer(now=lambda: datetime.now(UTC), new_uid=lambda: "uid"))
        self.in_flight = self.most = 0
        self.answer = asyncio.Event()

    async def _exchange_in_memory(self, request: Request, timeout: float) -> Response:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        await self.answer.wait()
        self.in_flight -= 1
        return Response(200, b"{}")


async def test_of_many_requests_some_are_under_way() -> None:
    client = SlowClient()
    lane: KubeClient = Lane(client)
    asked: list[asyncio.Task[Any]] = [asyncio.create_task(lane.get(PODS, "ns", str(n))) for n in range(100)]
    await asyncio.sleep(0.01)
    assert client.in_flight == AT_ONCE
    other = asyncio.create_task(client.get(PODS, "ns", "other"))
    await asyncio.sleep(0.01)
    assert client.in_flight == AT_ONCE + 1, "and others are not kept waiting"
    for task in asked[:50]:
        task.cancel()
    client.answer.set()
    assert await other == {}
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert answers[50:] == [{}] * 50
    assert client.most == AT_ONCE + 1
