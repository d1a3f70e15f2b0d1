"""One connection pool to one API server: requests, and streams for watches.

Knows HTTP, credentials and the server's way of reporting errors. Retries nothing but a request that was refused for
an expired token or a replaced certificate: whether to try again is up to the informer, the writer or the caller.
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
"""Seconds between two looks at the files of CA and client certificate; when one of them is refused that is at once."""
Partial = bool | Literal["list", "table"]
"""Whether to ask for metadata only; `list` where the answer is a list, which the server wants to be told; `table` for a
list of metadata and printer columns."""

_ACCEPT = "application/json;as={};g=meta.k8s.io;v=v1,application/json"
_ACCEPT_OBJECT = _ACCEPT.format("PartialObjectMetadata")
_ACCEPT_LIST = _ACCEPT.format("PartialObjectMetadataList")
_ACCEPT_TABLE = _ACCEPT.format("Table")


class ApiClient(Protocol):
    """What the rest of this package needs of a client; an in-memory API server can stand in for it."""

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
    """An asynchronous client of one API server. Used from one event loop; `close()` when done."""

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
        """`max_requests` are in flight at most, streams not counted. `timeout` is for a whole request.

        `compression` is off: within a cluster, gzip costs the API server more than the bytes it saves.
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
        """`kubeconfig`, `$KUBECONFIG`, the Pod's service account or `~/.kube/config`: the first there is.

        `options` are those of the constructor. ConfigurationError if none is usable.
        """
        return cls(find_connection(kubeconfig, context), **options)

    @property
    def namespace(self) -> str:
        """The namespace of the context or of the service account."""
        return self.connection.namespace

    async def __aenter__(self) -> KubeClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; the client can not be used any more."""
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
        """Send one request and return the decoded answer (`{}` if it is empty).

        `body` is serialised unless it is bytes. `partial` asks for PartialObjectMetadata: cheaper for
        both sides where only the metadata of the answer counts. A `timeout` counts from now on, the wait for a slot
        included; that of the client from when the request is sent. Raises ApiError or Unreachable.
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
            raise Unreachable(f"{method} {path}: the answer is not JSON: {error}") from error
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
        """As `request`, but the answer is left as it came, to be decoded narrowly."""
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
            raise Unreachable(f"{method} {path}: waited {timeout:g} s for its turn", timed_out=True) from error

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, *, params: Params | None = None, idle_timeout: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """A GET whose answer is read as it comes, in pieces of no particular size.

        Raises ApiError for an error answer; Unreachable, also while reading, when the connection breaks
        or stays silent for `idle_timeout` seconds.
        """
        limits = aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout, sock_read=idle_timeout)
        async with self._exchange("GET", path, params, None, {}, limits) as response:
            yield response.content.iter_any()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        """One object. ApiError `is_not_found` if there is none."""
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
        """All objects that match, fetched in pages of `limit`.

        With `partial="table"` each is `{"metadata": …, "cells": {column: value}}`, unless the server makes no tables of
        this kind: then it is the whole object.
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
        """One request with its answer open; errors of any kind come out as this package's own."""
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
        """Send a request; again, if it was refused for credentials or certificates of which there are newer ones."""
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
        """Whether there is another connection than the one that was used, now that the files are looked at."""
        self._check_files()
        return self.connection is not used

    def _check_files(self) -> None:
        """Look whether CA or client certificate were replaced. Connections that are open stay open."""
        self._files_checked = asyncio.get_running_loop().time()
        self.connection = self.connection.renewed() or self.connection

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is not None and self._session.closed:
            raise Unreachable("the client is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,  # requests are bounded by a semaphore; streams must not eat into them
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
    """A socket that notices within about half a minute that its peer has vanished without a word.

    A watch only ever listens: without probes a dead node or a forgotten NAT entry looks like a quiet day.
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
