"""HTTP endpoints: /metrics for Prometheus, /healthz and /readyz for the kubelet."""

from contextlib import AsyncExitStack

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from tradewind.controller.controller import Controller


async def serve(controller: Controller, *, metrics_port: int, probe_port: int, stack: AsyncExitStack) -> None:
    """Serve until `stack` is closed. A port of 0 leaves that endpoint out."""

    async def metrics(_: web.Request) -> web.Response:
        body = generate_latest(controller.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_: web.Request) -> web.Response:
        return _verdict(controller.unhealthy())

    async def readyz(_: web.Request) -> web.Response:
        return _verdict(controller.unready())

    if metrics_port:
        await _listen(metrics_port, [web.get("/metrics", metrics)], stack)
    if probe_port:
        await _listen(probe_port, [web.get("/healthz", healthz), web.get("/readyz", readyz)], stack)


async def _listen(port: int, routes: list[web.RouteDef], stack: AsyncExitStack) -> None:
    application = web.Application()
    application.add_routes(routes)
    runner = web.AppRunner(application, handle_signals=False, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, port=port, reuse_address=True).start()


def _verdict(trouble: str | None) -> web.Response:
    return web.Response(text=trouble or "ok", status=503 if trouble else 200)
