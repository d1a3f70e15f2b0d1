"""HTTP endpoints: /metrics for Prometheus, /healthz and /readyz for the kubelet.

They are served on the side thread's event loop, so that they answer while the controller's loop is busy.
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
"""Seconds to wait for a snapshot; after that the page has the last one, since the loop is busy."""
FRESH = 1.0
"""Seconds for which a page of metrics is reused, for simultaneous scrapes."""


async def serve(
    controller: Controller,
    *,
    metrics_port: int,
    probe_port: int,
    stack: AsyncExitStack,
    working: asyncio.AbstractEventLoop | None = None,
) -> None:
    """Serve until `stack` is closed. Port 0 disables an endpoint. `working` is the controller's loop if it is not the
    running one."""

    async def healthz(_: web.Request) -> web.Response:
        return _probe_response(controller.unhealthy())

    async def readyz(_: web.Request) -> web.Response:
        return _probe_response(controller.unready(), "; ".join(filter(None, ["ok", controller.left_out()])))

    if metrics_port:
        pages = _Pages(controller, working or asyncio.get_running_loop())
        await _listen(metrics_port, [web.get("/metrics", pages.answer)], stack)
    if probe_port:
        await _listen(probe_port, [web.get("/healthz", healthz), web.get("/readyz", readyz)], stack)


class _Pages:
    """Renders the page of metrics: a snapshot on the controller's loop, the text in a thread."""

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
        # If it takes longer it continues, for the next scrape.
        await asyncio.wait([asyncio.wrap_future(snapshot)], timeout=SNAPSHOT_WITHIN)


def _render(registry: CollectorRegistry) -> bytes:
    """Render the page, without garbage collection: it has very many objects and no cycles, and a collection would hold
    all threads."""
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


def _probe_response(trouble: str | None, ok: str = "ok") -> web.Response:
    return web.Response(text=trouble or ok, status=503 if trouble else 200)
