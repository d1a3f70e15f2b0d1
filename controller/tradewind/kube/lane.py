"""A client with its own limit on requests in flight, for one purpose.

A caller that requests thousands of objects, such as a new leader, must not occupy all slots of the client: more urgent
requests would wait for all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from tradewind.kube.client import KubeClient

AT_ONCE = 8


class Lane(KubeClient):
    """A client that sends through another one, which must be closed separately. Streams do not count toward the
    limit."""

    def __init__(self, client: KubeClient, at_once: int = AT_ONCE) -> None:
        self.connection = client.connection
        self._client, self._turns = client, asyncio.Semaphore(at_once)

    async def close(self) -> None:
        """Do nothing: the lane has no connections of its own."""

    async def request_bytes(self, method: str, path: str, **options: Any) -> bytes:
        """Send the request through the client, within the limit."""
        async with self._turns:
            return await self._client.request_bytes(method, path, **options)

    @contextlib.asynccontextmanager
    async def stream(self, path: str, **options: Any) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open the stream through the client."""
        async with self._client.stream(path, **options) as pieces:
            yield pieces
