"""One connection pool to one API server: requests, and streams for watches.

Knows HTTP, credentials and the server's error responses. It retries only requests that were rejected for an expired
token or a replaced certificate; other retries are up to the informer, the writer or the caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlencode

import aiohttp
import orjson
from yarl import URL

from tradewind.kube.config import Connection, find_connection
from tradewind.kube.errors import ApiError, Unreachable
from tradewind.kube.resources import Resource

Params = Mapping[str, str | int]

PAGE_LIMIT = 500
CHECK_FILES_EVERY = 300.0
"""Seconds between checks of the files of the CA and the client certificate; they are also checked when one of them is
rejected."""
Partial = bool | Literal["list", "table"]
"""True requests metadata only, `list` the same for a response that is a list, `table` a list of metadata and printer
columns."""

_ACCEPT = "application/json;as={};g=meta.k8s.io;v=v1,application/json"
_ACCEPT_OBJECT = _ACCEPT.format("PartialObjectMetadata")
_ACCEPT_LIST = _ACCEPT.format("PartialObjectMetadataList")
_ACCEPT_TABLE = _ACCEPT.format("Table")


class ApiClient(Protocol):
    """The interface of a client that this package uses; an in-memory API server can replace it."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        content_type: str | None = None,
        partial: Partial = False,
        timeout: float | None = None,
    ) -> dict[str, Any]: ...

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
    ) -> bytes: ...

    def stream(
        self, path: str, *, params: Params | None = None, idle_timeout: float
    ) -> contextlib.AbstractAsyncContextManager[AsyncIterator[bytes]]: ...


class KubeClient:
    """An asynchronous client of one API server. Use it from one event loop, and `close()` it afterwards."""

    def __init__(
        self,
        connection: Connection,
        *,
        max_requests: int = 64,
        timeout: float = 30.0,
        connect_timeout: float = 5.0,
        compression: bool = False,
        user_agent: str = "tradewind",
    ) -> None:
        """`max_requests` limits requests in flight, without streams. `timeout` is for a whole request.

        `compression` is off: within a cluster, gzip costs the API server more than the saved bytes are worth.
        """
        self.connection = connection
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._slots = asyncio.Semaphore(max_requests)
        self._session: aiohttp.ClientSession | None = None
        self._files_checked = float("-inf")
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip" if compression else "identity",
            "User-Agent": user_agent,
        }

    @classmethod
    def from_environment(cls, kubeconfig: Path | None = None, context: str | None = None, **options: Any) -> KubeClient:
        """Connect with `kubeconfig`, `$KUBECONFIG`, the Pod's service account or `~/.kube/config`, whichever exists
        first.

        `options` are those of the constructor. Raises ConfigurationError if none is usable.
        """
        return cls(find_connection(kubeconfig, context), **options)

    @property
    def namespace(self) -> str:
        """The namespace of the context or the service account."""
        return self.connection.namespace

    async def __aenter__(self) -> KubeClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; the client cannot be used afterwards."""
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        content_type: str | None = None,
        partial: Partial = False,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Send one request and return the decoded response (`{}` if it is empty).

        `body` is serialised unless it is bytes. `partial` requests PartialObjectMetadata, which is cheaper for both
        sides. `timeout` includes the wait for a slot; the client's default timeout does not. Raises ApiError or
        Unreachable.
        """
        answer = await self.request_bytes(
            method,
            path,
            params=params,
            body=body,
            content_type=content_type,
            partial=partial,
            timeout=timeout,
        )
        if not answer:
            return {}
        try:
            document = orjson.loads(answer)
        except orjson.JSONDecodeError as error:
            raise Unreachable(f"{method} {path}: the response is not JSON: {error}") from error
        return document if isinstance(document, dict) else {"value": document}

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
        """Like `request`, but return the raw response, for the caller to decode."""
        headers: dict[str, str] = {}
        data: bytes | None = None
        if body is not None:
            data = body if isinstance(body, bytes) else orjson.dumps(body)
            headers["Content-Type"] = content_type or "application/json"
        if partial:
            headers["Accept"] = {"list": _ACCEPT_LIST, "table": _ACCEPT_TABLE}.get(str(partial), _ACCEPT_OBJECT)
        limits = aiohttp.ClientTimeout(
            total=self._timeout if timeout is None else timeout, sock_connect=self._connect_timeout
        )
        try:
            async with (
                asyncio.timeout(timeout),
                self._slots,
                self._exchange(method, path, params, data, headers, limits) as response,
            ):
                return await response.read()
        except TimeoutError as error:
            raise Unreachable(f"{method} {path}: no free request slot within {timeout:g} s", timed_out=True) from error

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, *, params: Params | None = None, idle_timeout: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Send a GET request and yield its response as it arrives, in pieces of arbitrary size.

        Raises ApiError for an error response. Raises Unreachable, also while reading, if the connection breaks or is
        silent for `idle_timeout` seconds.
        """
        limits = aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout, sock_read=idle_timeout)
        async with self._exchange("GET", path, params, None, {}, limits) as response:
            yield response.content.iter_any()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        """Return one object. Raises ApiError (`is_not_found`) if it does not exist."""
        return await self.request("GET", resource.path(namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = PAGE_LIMIT,
        partial: Partial = False,
    ) -> list[dict[str, Any]]:
        """Return all matching objects, fetched in pages of `limit`.

        With `partial="table"` each is `{"metadata": …, "cells": {column: value}}`, or the whole object if the server
        has no tables for this kind.
        """
        params: dict[str, str | int] = {"limit": limit}
        if label_selector:
            params["labelSelector"] = label_selector
        if field_selector:
            params["fieldSelector"] = field_selector
        items: list[dict[str, Any]] = []
        while True:
            page = await self.request(
                "GET", resource.path(namespace), params=params, partial="list" if partial is True else partial
            )
            items += _rows(page) if page.get("kind") == "Table" else page.get("items") or ()
            token = page.get("metadata", {}).get("continue")
            if not token:
                return items
            params["continue"] = token

    @contextlib.asynccontextmanager
    async def _exchange(
        self,
        method: str,
        path: str,
        params: Params | None,
        data: bytes | None,
        headers: dict[str, str],
        limits: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and yield the open response; errors of any kind become errors of this package."""
        query = f"?{urlencode(params)}" if params else ""
        url = URL(f"{self.connection.server}{path}{query}", encoded=True)
        if asyncio.get_running_loop().time() >= self._files_checked + CHECK_FILES_EVERY:
            self._check_files()
        try:
            response = await self._send(method, url, data, headers, limits)
            async with response:
                if response.status >= 400:
                    raise ApiError.from_response(
                        response.status, await response.read(), response.headers.get("Retry-After")
                    )
                yield response
        except TimeoutError as error:
            raise Unreachable(f"{method} {path}: timed out", timed_out=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{method} {path}: {error or type(error).__name__}") from error

    async def _send(
        self, method: str, url: URL, data: bytes | None, headers: dict[str, str], limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """Send a request, and once more if it was rejected for credentials or certificates that have been renewed."""
        connection = self.connection
        proof = await connection.credentials.headers()
        try:
            response = await self._send_once(method, url, data, {**headers, **proof}, limits)
        except aiohttp.ClientSSLError:
            if not self._is_renewed(connection):
                raise
        else:
            if response.status != 401:
                return response
            if not (self._is_renewed(connection) or await connection.credentials.refresh(proof)):
                return response
            response.release()
        proof = await self.connection.credentials.headers()
        return await self._send_once(method, url, data, {**headers, **proof}, limits)

    async def _send_once(
        self, method: str, url: URL, data: bytes | None, headers: dict[str, str], limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        connection = self.connection
        return await self._open_session().request(
            method,
            url,
            data=data,
            headers=headers,
            timeout=limits,
            allow_redirects=False,
            proxy=connection.proxy,
            ssl=connection.tls if connection.tls is not None else False,
            server_hostname=connection.tls_server_name,
        )

    def _is_renewed(self, used: Connection) -> bool:
        """Check the files, and return True if they have replaced the connection that was used."""
        self._check_files()
        return self.connection is not used

    def _check_files(self) -> None:
        """Reload the CA and the client certificate if they were replaced. Open connections stay open."""
        self._files_checked = asyncio.get_running_loop().time()
        self.connection = self.connection.renewed() or self.connection

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is not None and self._session.closed:
            raise Unreachable("the client is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,  # a semaphore limits requests; streams must not count
                    keepalive_timeout=60,
                    socket_factory=_keepalive_socket,
                ),
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=2**18,
            )
        return self._session


def _rows(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = [column["name"] for column in table["columnDefinitions"]]
    return [
        {"metadata": row["object"]["metadata"], "cells": dict(zip(names, row["cells"], strict=True))}
        for row in table.get("rows") or ()
    ]


def _keepalive_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Return a socket that detects within about half a minute that its peer has vanished.

    A watch only listens: without probes a dead node or an expired NAT entry looks like a quiet connection.
    """
    family, kind, protocol, _, _ = address
    sock = socket.socket(family=family, type=kind, proto=protocol)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
    return sock
