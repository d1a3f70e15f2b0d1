"""A small API server on a local port: enough of list, watch and writes to misbehave on demand.

Not a model of Kubernetes: what the real one does is proven in tests/integration/kube.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

Json = dict[str, Any]
Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


def status(code: int, reason: str, message: str = "", **details: Any) -> Json:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message or reason,
        "details": details,
    }


def failure(code: int, reason: str, message: str = "", headers: Any = None, **details: Any) -> web.Response:
    return web.json_response(status(code, reason, message, **details), status=code, headers=headers)


class FakeApiServer:
    """Objects of one kind, by whatever path they are asked for."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Json] = {}
        self.history: list[tuple[int, bytes]] = []
        self.version = 100
        self.compacted = 0
        self.faults: list[Fault] = []
        """Each is asked about the next request; one that answers is used up."""
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.stalled = False
        """Open watches get nothing, and no end either."""
        self.url = ""
        self._streams: set[asyncio.Queue[bytes | None]] = set()

    # ---- what tests do to it

    def put(self, name: str, namespace: str = "ns", **fields: Any) -> Json:
        old = self.objects.get((namespace, name))
        self.version += 1
        uid = old["metadata"]["uid"] if old else f"uid-{self.version}"
        meta = {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": str(self.version)}
        new = {"metadata": meta, **fields}
        self.objects[namespace, name] = new
        self._record("MODIFIED" if old else "ADDED", new)
        return new

    def remove(self, name: str, namespace: str = "ns", **fields: Any) -> Json:
        last = self.objects.pop((namespace, name)) | fields
        self.version += 1
        last["metadata"] = last["metadata"] | {"resourceVersion": str(self.version)}
        self._record("DELETED", last)
        return last

    def bookmark(self) -> None:
        """Tell all watches how far the history is, as after changes to objects they did not select."""
        self.version += 10
        line = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(self.version)}}}
        self.send(orjson.dumps(line) + b"\n")

    def compact(self) -> None:
        """Forget the history up to a version that no client has seen yet."""
        self.version += 1
        self.compacted = self.version
        self.history.clear()

    def send(self, piece: bytes) -> None:
        """Bytes to all open watches."""
        for stream in () if self.stalled else self._streams:
            stream.put_nowait(piece)

    def cut(self) -> None:
        """Break all open watches."""
        for stream in self._streams:
            stream.put_nowait(None)

    @property
    def open_watches(self) -> int:
        return len(self._streams)

    def fail_next(self, code: int, reason: str = "", *, times: int = 1, headers: Any = None) -> None:
        async def fault(request: web.Request) -> web.StreamResponse:
            return failure(code, reason, headers=headers)

        self.faults += [fault] * times

    def asked(self, method: str = "GET", *, watch: bool | None = None) -> list[web.Request]:
        return [
            request
            for request in self.requests
            if request.method == method and (watch is None or watch == ("watch" in request.query))
        ]

    # ---- what it answers

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        if self.faults:
            answer = await self.faults.pop(0)(request)
            if answer is not None:
                return answer
        if request.method == "GET":
            return await (self._watch(request) if "watch" in request.query else self._list(request))
        return web.json_response({"kind": "PartialObjectMetadata", "path": request.path})

    async def _list(self, request: web.Request) -> web.Response:
        items = [item for _, item in sorted(self.objects.items())]
        version, start = self.version, 0
        if token := request.query.get("continue"):
            version, start = map(int, token.split(":"))
            if version < self.compacted:
                return failure(410, "Expired")
        end = start + int(request.query.get("limit", len(items) or 1))
        meta: Json = {"resourceVersion": str(version)}
        if end < len(items):
            meta["continue"] = f"{version}:{end}"
        return web.json_response({"metadata": meta, "items": items[start:end]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        if since < self.compacted:
            return failure(410, "Expired", "too old resource version")
        response = web.StreamResponse()
        await response.prepare(request)
        stream: asyncio.Queue[bytes | None] = asyncio.Queue()
        for version, line in self.history:
            if version > since:
                stream.put_nowait(line)
        self._streams.add(stream)
        try:
            while (piece := await stream.get()) is not None:
                await response.write(piece)
        finally:
            self._streams.discard(stream)
        if request.transport is not None:
            request.transport.abort()
        return response

    def _record(self, kind: str, item: Json) -> None:
        line = orjson.dumps({"type": kind, "object": item}) + b"\n"
        self.history.append((self.version, line))
        self.send(line)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[FakeApiServer]:
    server = FakeApiServer()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        server.cut()
        await runner.cleanup()
