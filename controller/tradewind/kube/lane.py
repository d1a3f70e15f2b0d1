"""A client's requests for one purpose, of which only some are under way at once.

What asks for each of thousands of objects, as a new leader has to, must not keep all the slots of the client: those who
need an answer now would wait for all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from tradewind.kube.client import KubeClient

AT_ONCE = 8


class Lane(KubeClient):
    """A client that sends by way of another one, which is to be closed itself; streams are not counted."""

    def __init__(self, client: KubeClient, at_once: int = AT_ONCE) -> None:
        self.connection = client.connection
        self._client, self._turns = client, asyncio.Semaphore(at_once)

    async def close(self) -> None:
        """There is nothing to close."""

    async def request_bytes(self, method: str, path: str, **options: Any) -> bytes:
        """As the client does it, in its turn."""
        async with self._turns:
            return await self._client.request_bytes(method, path, **options)

    @contextlib.asynccontextmanager
    async def stream(self, path: str, **options: Any) -> AsyncIterator[AsyncIterator[bytes]]:
        """As the client does it."""
        async with self._client.stream(path, **options) as pieces:
            yield pieces
