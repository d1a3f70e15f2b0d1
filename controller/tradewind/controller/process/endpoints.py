"""HTTP endpoints: /metrics for Prometheus, /healthz and /readyz for the kubelet.

They are served on another loop than the one that works, so that they answer whatever that is doing.
"""

import asyncio
import gc
import gzip
import time
from contextlib import AsyncExitStack

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from tradewind.controller.process.controller import Controller

SNAPSHOT_WITHIN = 2.0
"""Seconds after which metrics go out with the state that was known before: the loop is busy."""
FRESH = 1.0
"""Seconds for which a page of metrics is answered again, for those who ask at the same time."""


async def serve(
    controller: Controller,
    *,
    metrics_port: int,
    probe_port: int,
    stack: AsyncExitStack,
    working: asyncio.AbstractEventLoop | None = None,
) -> None:
    """Serve until `stack` is closed. A port of 0 leaves that endpoint out. `working` is the loop of the controller, if
    that is another than this one."""

    async def healthz(_: web.Request) -> web.Response:
        return _verdict(controller.unhealthy())

    async def readyz(_: web.Request) -> web.Response:
        return _verdict(controller.unready(), "; ".join(filter(None, ["ok", controller.left_out()])))

    if metrics_port:
        pages = _Pages(controller, working or asyncio.get_running_loop())
        await _listen(metrics_port, [web.get("/metrics", pages.answer)], stack)
    if probe_port:
        await _listen(probe_port, [web.get("/healthz", healthz), web.get("/readyz", readyz)], stack)


class _Pages:
    """Makes the page of metrics: a snapshot on the loop that works, the text in a thread."""

    def __init__(self, controller: Controller, working: asyncio.AbstractEventLoop) -> None:
        self._controller, self._working = controller, working
        self._one_at_a_time = asyncio.Lock()
        self._plain = self._packed = b""
        self._made_at = float("-inf")

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a scrape."""
        packed = "gzip" in request.headers.get("Accept-Encoding", "")
        async with self._one_at_a_time:
            if time.monotonic() - self._made_at > FRESH:
                await self._take_snapshot()
                self._plain = await asyncio.to_thread(_render, self._controller.metrics.registry)
                self._packed, self._made_at = b"", time.monotonic()
            if packed and not self._packed:
                self._packed = await asyncio.to_thread(gzip.compress, self._plain, 1)
            body = self._packed if packed else self._plain
        headers = {"Content-Type": CONTENT_TYPE_LATEST} | ({"Content-Encoding": "gzip"} if packed else {})
        return web.Response(body=body, headers=headers)

    async def _take_snapshot(self) -> None:
        if self._working is asyncio.get_running_loop():
            await self._controller.mirror.take()
            return
        snapshot = asyncio.run_coroutine_threadsafe(self._controller.mirror.take(), self._working)
        # It goes on if it takes longer, for the next scrape.
        await asyncio.wait([asyncio.wrap_future(snapshot)], timeout=SNAPSHOT_WITHIN)


def _render(registry: CollectorRegistry) -> bytes:
    """The page. It is made of very many objects of which none is in a cycle; to look for those would hold everybody."""
    gc.disable()
    try:
        return generate_latest(registry)
    finally:
        gc.enable()


async def _listen(port: int, routes: list[web.RouteDef], stack: AsyncExitStack) -> None:
    application = web.Application()
    application.add_routes(routes)
    runner = web.AppRunner(application, handle_signals=False, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, port=port, reuse_address=True).start()


def _verdict(trouble: str | None, well: str = "ok") -> web.Response:
    return web.Response(text=trouble or well, status=503 if trouble else 200)
