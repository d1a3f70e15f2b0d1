"""Clients without a server: one whose answers a test gives by hand, one that keeps leases."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from tradewind.kube.errors import ApiError, KubeError


@dataclass
class Call:
    """A request that waits for its answer."""

    method: str
    path: str
    body: Any
    options: dict[str, Any]
    answer: asyncio.Future[dict[str, Any]] = field(repr=False)

    def succeed(self, **document: Any) -> None:
        self.answer.set_result(document)

    def fail(self, error: KubeError) -> None:
        self.answer.set_exception(error)


class _NoStreams:
    @contextlib.asynccontextmanager
    async def stream(self, path: str, **options: Any) -> AsyncIterator[AsyncIterator[bytes]]:
        raise AssertionError("nothing here watches")
        yield

    async def request_bytes(self, method: str, path: str, **options: Any) -> bytes:
        raise AssertionError("nothing here reads bytes")


class ScriptedClient(_NoStreams):
    """Every request waits in `open` until the test answers it."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    @property
    def open(self) -> list[Call]:
        return [call for call in self.calls if not call.answer.done()]

    async def request(self, method: str, path: str, *, body: Any = None, **options: Any) -> dict[str, Any]:
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.calls.append(Call(method, path, orjson.loads(body) if body else None, options, answer))
        return await answer


class LeaseClient(_NoStreams):
    """One API server's leases, checked by tests/conformance; `broken` is raised instead of an answer."""

    def __init__(self, leases: dict[str, dict[str, Any]]) -> None:
        self.leases = leases
        self.broken: KubeError | None = None
        self.lose_answers: KubeError | None = None
        """Raised after the write has taken effect."""
        self.writes = 0
        self.fail_lists_after: int | None = None
        """Number of lists that are answered; the rest are forbidden."""
        self.meanwhile: Callable[[], None] = lambda: None
        """Called while a request is in flight."""

    async def request(self, method: str, path: str, *, body: Any = None, **options: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        self.meanwhile()
        if self.broken is not None:
            raise self.broken
        if method == "GET" and path.endswith("/leases"):
            if self.fail_lists_after is not None:
                if self.fail_lists_after == 0:
                    raise ApiError(403, "Forbidden", "leases is forbidden")
                self.fail_lists_after -= 1
            return {"items": [_copy(lease) for _, lease in sorted(self.leases.items())]}
        if method == "GET":
            if path not in self.leases:
                raise ApiError(404, "NotFound")
            return _copy(self.leases[path])
        answer = self._write(method, path, body)
        self.writes += 1
        if self.lose_answers is not None:
            raise self.lose_answers
        return answer

    def _write(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if method == "POST":
            path = f"{path}/{body['metadata']['name']}"
            if path in self.leases:
                raise ApiError(409, "AlreadyExists")
            version = 0
        else:
            if path not in self.leases:
                raise ApiError(404, "NotFound")
            version = int(self.leases[path]["metadata"]["resourceVersion"])
            if body["metadata"].get("resourceVersion") not in (None, str(version)):
                raise ApiError(409, "Conflict")
        lease = _copy(body)
        lease["metadata"]["resourceVersion"] = str(version + 1)
        self.leases[path] = lease
        return _copy(lease)


def _copy(document: dict[str, Any]) -> dict[str, Any]:
    copied: dict[str, Any] = orjson.loads(orjson.dumps(document))
    return copied
