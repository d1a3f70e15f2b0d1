"""The network between a replica and the API server, with everything that can go wrong on it.

A request is a packet that travels on its own: its sender may time out, be frozen or die while it is in flight. A watch
is a stream whose lines arrive in order, but late, in pieces, or not at all.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from tests.apiserver import ApiServer, MemoryClient, Refusal, Request, Response, Unmodelled, Watch
from tests.apiserver.client import time_bookmarks
from tradewind.kube.errors import ApiError, Unreachable

LATENCY = 0.001


@dataclass
class Trouble:
    """Faults of the network: probabilities for one request (or line of a watch), delays in seconds at most."""

    lost_before: float = 0.0
    """The connection breaks before the server has the request."""
    lost_after: float = 0.0
    """The connection breaks after the server has applied the request."""
    silent: float = 0.0
    """No response arrives; half of these requests are applied."""
    duplicated: float = 0.0
    """The request arrives twice; the second answer counts."""
    delayed: float = 0.0
    delay: float = 0.0
    throttled: float = 0.0
    """429, with Retry-After or without."""
    broken: float = 0.0
    """500, 502, 503, 504; some of them after the server has applied the request."""
    late_lines: float = 0.0
    line_delay: float = 0.0
    cut_lines: float = 0.0
    """A watch breaks, perhaps in the middle of a line."""


QUIET = Trouble()


class Network:
    """All connections. `trouble` may be changed at any time."""

    def __init__(self, server: ApiServer, rng: random.Random, log: Callable[[str], None]) -> None:
        self.server, self.rng, self.log = server, rng, log
        self.trouble = QUIET
        self.interfere: Callable[[Request], str] = lambda request: ""
        """A test's action on a request: `lost` before it arrives, `unanswered` though it was served, or `429`."""
        self.refusals: list[Callable[[Request], Response | None]] = []
        """Each is asked of each request: its answer, if it has one, or what it raises is that of the server."""
        self.down: set[str] = set()
        """Clients that reach nothing."""
        self.context = contextvars.Context()
        """Packets belong to no process."""

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.rng.random() < probability

    def refused(self, request: Request) -> Response | None:
        """The answer of a server that does not let us do that."""
        return next((answer for refuse in list(self.refusals) if (answer := refuse(request)) is not None), None)

    def latency(self) -> float:
        trouble = self.trouble
        if trouble is QUIET:
            return LATENCY
        extra = self.rng.random() * trouble.delay if self.chance(trouble.delayed) else 0.0
        return LATENCY * (0.5 + self.rng.random()) + extra

    def loop_time(self) -> float:
        return asyncio.get_running_loop().time()

    def later(self, seconds: float, act: Callable[..., None], *arguments: Any) -> None:
        asyncio.get_running_loop().call_later(seconds, act, *arguments, context=self.context)


class SimulatedClient(MemoryClient):
    """A replica's client. `on_seen(document)` is called with every object that the replica receives."""

    def __init__(self, network: Network, name: str, on_seen: Callable[[Any], None]) -> None:
        super().__init__(network.server, name)
        self.network, self.on_seen = network, on_seen
        self.dead = False
        """Its process was killed: nothing is sent or received any more."""
        self.streams: dict[_Stream, None] = {}
        self._in_flight: dict[asyncio.Future[Response], None] = {}

    def kill(self) -> None:
        """Drop all connections; some requests in flight have left the machine."""
        self.dead = True
        for stream in list(self.streams):
            stream.cut()

    @property
    def is_down(self) -> bool:
        return self.dead or self.name.split("-")[0] in self.network.down

    # Requests -----------------------------------------------------------------------------------------------------

    async def _exchange_in_memory(self, request: Request, timeout: float) -> Response:
        if self.is_down:
            await asyncio.sleep(LATENCY)
            raise Unreachable(f"{request.method} {request.path}: connection refused")
        if (refused := self.network.refused(request)) is not None:
            await asyncio.sleep(LATENCY)
            self.network.log(f"{_short(request)} → {refused.status}")
            return refused
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        network, trouble = self.network, self.network.trouble
        what = network.interfere(request)
        if what == "lost" or network.chance(trouble.lost_before):
            network.later(network.latency(), self._fail, answer, request, "connection reset")
        elif what == "429":
            network.later(network.latency(), self._reply, answer, request, Response(429, b"Too many requests", "1"))
        else:
            network.later(network.latency(), self._arrive, answer, request, what == "unanswered")
        try:
            async with asyncio.timeout(timeout):
                response = await answer
        except TimeoutError as error:
            raise Unreachable(f"{request.method} {request.path}: timed out", timed_out=True) from error
        if request.method == "GET" and response.status == 200:
            document = response.document
            for item in document.get("items", (document,)):
                self.on_seen(item)
        return response

    def _arrive(self, answer: asyncio.Future[Response], request: Request, unanswered: bool) -> None:
        """The request is at the server."""
        network, trouble = self.network, self.network.trouble
        if self.is_down and network.chance(0.5):
            self._fail(answer, request, "connection reset")
            return
        if network.chance(trouble.throttled):
            self._reply(answer, request, _throttled(network.rng))
            return
        if network.chance(trouble.broken):
            if network.chance(0.3):
                self._handle(request)
            self._reply(answer, request, _broken(network.rng))
            return
        if network.chance(trouble.silent):
            if network.chance(0.5):
                self._handle(request)
            network.log(f"no answer to {_short(request)}")
            return
        response = self._handle(request)
        if network.chance(trouble.duplicated):
            response = self._handle(request)
            network.log(f"twice: {_short(request)}")
        if unanswered or network.chance(trouble.lost_after):
            network.later(network.latency(), self._fail, answer, request, "connection reset after it was served")
            return
        self._reply(answer, request, response)

    def _handle(self, request: Request) -> Response:
        try:
            response = self.server.handle(request)
        except Unmodelled as error:
            self.network.log(f"UNMODELLED {error}")
            raise
        if request.method != "GET" or response.status >= 400:
            self.network.log(f"{_short(request)} → {response.status}")
        return response

    def _reply(self, answer: asyncio.Future[Response], request: Request, response: Response) -> None:
        self.network.later(self.network.latency(), self._settle, answer, request, response)

    def _settle(self, answer: asyncio.Future[Response], request: Request, response: Response) -> None:
        if self.is_down:
            self._fail(answer, request, "connection reset")
        elif not answer.done():
            answer.set_result(response)

    def _fail(self, answer: asyncio.Future[Response], request: Request, why: str) -> None:
        self.network.log(f"{_short(request)}: {why}")
        if not answer.done():
            answer.set_exception(Unreachable(f"{request.method} {request.path}: {why}"))

    # Watches ------------------------------------------------------------------------------------------------------

    async def _open_in_memory(self, request: Request) -> Watch:
        network = self.network
        await asyncio.sleep(network.latency())
        if self.is_down or network.chance(network.trouble.lost_before):
            raise Unreachable(f"GET {request.path}: connection refused")
        if network.chance(network.trouble.broken):
            response = _broken(network.rng)
            raise ApiError.from_response(response.status, response.body, response.retry_after)
        if (refused := network.refused(request)) is not None:
            raise ApiError.from_response(refused.status, refused.body)
        try:
            watch = network.context.run(self._watch, request)
        except Refusal as refusal:
            raise ApiError.from_status(refusal.document()) from refusal
        return watch

    def _watch(self, request: Request) -> Watch:
        watch = self.server.watch(request)
        time_bookmarks(watch, self.server)
        return watch

    async def _pieces(self, watch: Watch, idle_timeout: float) -> AsyncIterator[bytes]:
        stream = _Stream(self, watch)
        self.streams[stream] = None
        try:
            while True:
                try:
                    async with asyncio.timeout(idle_timeout):
                        piece = await stream.read()
                except TimeoutError as error:
                    raise Unreachable(f"GET {watch.place.kind.plural}: timed out", timed_out=True) from error
                if piece is None:
                    return
                self._see(watch, piece)
                yield piece
        finally:
            self.streams.pop(stream, None)

    def _see(self, watch: Watch, piece: bytes) -> None:
        if watch.place.kind.plural == "pods":
            # What is after the last line break was cut off.
            for line in piece.split(b"\n")[:-1]:
                if not line.startswith((b'{"type":"BOOKMARK"', b'{"type":"ERROR"')):
                    self.on_seen(orjson.loads(line)["object"])


class _Stream:
    """The client's end of a watch. Lines arrive in order, each when it is due."""

    def __init__(self, client: SimulatedClient, watch: Watch) -> None:
        self._client, self._watch, self._network = client, watch, client.network
        self._arrived: deque[bytes] = deque()
        self._due = 0.0
        self._broken = self._closed = False
        self._news = asyncio.Event()
        self.stalled_until = 0.0
        watch.on_line = self._sent
        self._sent()

    @property
    def plural(self) -> str:
        """Of the kind that is watched."""
        return self._watch.place.kind.plural

    async def read(self) -> bytes | None:
        """The next piece; None at the end. Unreachable when the connection broke."""
        while True:
            if self._arrived:
                piece = b"".join(self._arrived)
                self._arrived.clear()
                return piece
            if self._broken:
                raise Unreachable(f"GET {self._watch.place.kind.plural}: connection reset")
            if self._closed:
                return None
            self._news.clear()
            await self._news.wait()

    def cut(self) -> None:
        """Break the connection; data in flight is lost."""
        self._broken = True
        self._watch.on_line = lambda: None
        self._watch.end()
        self._news.set()

    def stall(self, seconds: float) -> None:
        """Let nothing arrive for a while: the server's cache lags behind, or a router has trouble."""
        self.stalled_until = max(self.stalled_until, asyncio.get_running_loop().time() + seconds)

    def _sent(self) -> None:
        """The server has sent lines, or closed the stream."""
        network, now = self._network, asyncio.get_running_loop().time()
        for line in self._watch.lines:
            delay = network.latency()
            if network.chance(network.trouble.late_lines):
                delay += network.rng.random() * network.trouble.line_delay
            # Timers of the same moment fire in any order; lines may not.
            self._due = max(self._due + 1e-6, self.stalled_until, now + delay)
            network.later(self._due - now, self._arrive, line)
        self._watch.lines.clear()
        if self._watch.ended:
            network.later(max(0.0, self._due + 1e-6 - now), self._close)

    def _arrive(self, line: bytes) -> None:
        if self._broken:
            return
        network = self._network
        if network.chance(network.trouble.cut_lines):
            # All of it, half of it or nothing arrives before the connection breaks.
            self._arrived.append(line[: network.rng.choice([0, len(line) // 2, len(line)])])
            self.cut()
            return
        self._arrived.append(line)
        self._news.set()

    def _close(self) -> None:
        self._closed = True
        self._news.set()


def _throttled(rng: random.Random) -> Response:
    retry_after = rng.choice([None, "1", "1", "3"])
    return Response(429, b"Too many requests, please try again later.", retry_after)


def _broken(rng: random.Random) -> Response:
    code, reason, message = rng.choice(
        [
            (500, "InternalError", "Internal error occurred: etcdserver: leader changed"),
            (503, "ServiceUnavailable", "the server is currently unable to handle the request"),
            (504, "Timeout", "Timeout: request did not complete within the allotted timeout"),
            (502, "", ""),
        ]
    )
    if not reason:
        return Response(code, b"<html>Bad Gateway</html>")
    return Response(code, orjson.dumps(Refusal(code, reason, message).document()))


def _short(request: Request) -> str:
    path = request.path.removeprefix("/apis/").removeprefix("/api/")
    if request.method == "POST" and request.body is not None:
        path += "/" + orjson.loads(request.body)["metadata"].get("name", "")
    return f"{request.client} {request.method} {path}"
