"""A KubeClient without a network: its requests go straight to the server in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import orjson

from tests.apiserver.refusals import Refusal
from tests.apiserver.server import ApiServer, Request, Response
from tests.apiserver.watching import Watch
from tradewind.kube.client import KubeClient, Params, Partial
from tradewind.kube.config import Connection
from tradewind.kube.credentials import StaticCredentials
from tradewind.kube.errors import ApiError, Unreachable

BOOKMARK_EVERY = 60.0
LAST_BOOKMARK = 2.0
"""Seconds before the end of a watch at which the server sends a last bookmark."""


class MemoryClient(KubeClient):
    """A client of `server`; `name` tells its requests from those of others."""

    def __init__(self, server: ApiServer, name: str = "client") -> None:
        super().__init__(Connection("http://memory", None, StaticCredentials()))
        self.server = server
        self.name = name

    async def request_bytes(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        content_type: str | None = None,
        partial: Partial = False,
        timeout: float | None = None,
    ) -> bytes:
        data = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        request = Request(
            method=method,
            path=path,
            params=dict(params or {}),
            body=data,
            content_type=content_type,
            partial=partial,
            client=self.name,
        )
        response = await self._exchange_in_memory(request, self._timeout if timeout is None else timeout)
        if response.status >= 400:
            raise ApiError.from_response(response.status, response.body, response.retry_after)
        return response.body

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, *, params: Params | None = None, idle_timeout: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        request = Request(method="GET", path=path, params=dict(params or {}), client=self.name)
        watch = await self._open_in_memory(request)
        try:
            yield self._pieces(watch, idle_timeout)
        finally:
            watch.end()

    # What a network with faults does otherwise ---------------------------------------------------------------------

    async def _exchange_in_memory(self, request: Request, timeout: float) -> Response:
        await asyncio.sleep(0)
        return self.server.handle(request)

    async def _open_in_memory(self, request: Request) -> Watch:
        await asyncio.sleep(0)
        try:
            watch = self.server.watch(request)
        except Refusal as refusal:
            raise ApiError.from_status(refusal.document()) from refusal
        time_bookmarks(watch, self.server)
        return watch

    async def _pieces(self, watch: Watch, idle_timeout: float) -> AsyncIterator[bytes]:
        news = asyncio.Event()
        watch.on_line = news.set
        while True:
            if watch.lines:
                piece = b"".join(watch.lines)
                watch.lines.clear()
                yield piece
                continue
            if watch.ended:
                return
            news.clear()
            try:
                async with asyncio.timeout(idle_timeout):
                    await news.wait()
            except TimeoutError as error:
                raise Unreachable("GET: timed out", timed_out=True) from error


def time_bookmarks(watch: Watch, server: ApiServer) -> None:
    """Send a bookmark of the watch once in a while, and close it after its timeout."""
    loop = asyncio.get_running_loop()

    def bookmark() -> None:
        if not watch.ended:
            watch.bookmark(server.store.revision)

    def repeat() -> None:
        if not watch.ended:
            bookmark()
            loop.call_later(BOOKMARK_EVERY, repeat)

    if watch.bookmarks:
        loop.call_later(BOOKMARK_EVERY, repeat)
    if watch.timeout is not None:
        loop.call_later(max(0.0, watch.timeout - LAST_BOOKMARK), bookmark)
        loop.call_later(watch.timeout, watch.end)
