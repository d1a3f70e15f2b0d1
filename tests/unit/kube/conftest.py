from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.kube.fake_apiserver import FakeApiServer, serving
from tests.unit.kube.virtual_time import HastyClock, VirtualClock
from tradewind.kube.client import KubeClient
from tradewind.kube.config import Connection
from tradewind.kube.credentials import StaticCredentials


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = __file__.rpartition("/")[0]
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.unit)


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with serving() as server:
        yield server


@pytest.fixture
async def client(server: FakeApiServer) -> AsyncIterator[KubeClient]:
    async with KubeClient(Connection(server.url, None, StaticCredentials())) as client:
        yield client


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def hasty() -> HastyClock:
    return HastyClock()
