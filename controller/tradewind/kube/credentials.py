"""Ways to prove who is asking, as far as they travel in a header; client certificates are in `config`.

A credential that expires renews itself: token files are re-read (projected service account tokens rotate
about every hour), exec plugins are run again. `refresh` is called after a 401.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import orjson

from tradewind.kube.clock import SYSTEM_CLOCK, Clock
from tradewind.kube.errors import ConfigurationError

RUN_AGAIN_AFTER = 5.0
"""Seconds after which a plugin is run again whose token is refused."""


class Credentials(Protocol):
    """Supplies the Authorization header."""

    async def headers(self) -> Mapping[str, str]:
        """Headers to send with the next request."""
        ...

    async def refresh(self, used: Mapping[str, str]) -> bool:
        """The server answered 401 to a request with these headers: True if there are others now, to try again with."""
        ...


class StaticCredentials:
    """A bearer token that never changes, or nothing."""

    def __init__(self, token: str | None = None) -> None:
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def headers(self) -> Mapping[str, str]:
        return self._headers

    async def refresh(self, used: Mapping[str, str]) -> bool:
        return False


class FileCredentials:
    """A bearer token in a file that somebody else rotates."""

    def __init__(self, path: Path, *, max_age: float = 60.0, clock: Clock = SYSTEM_CLOCK) -> None:
        self._path = path
        self._max_age = max_age
        self._clock = clock
        self._headers: dict[str, str] = {}
        self._read_at = 0.0

    async def headers(self) -> Mapping[str, str]:
        if not self._headers or self._clock.monotonic() - self._read_at > self._max_age:
            self._read()
        return self._headers

    async def refresh(self, used: Mapping[str, str]) -> bool:
        # Of many requests that are refused together the first may have read the new token for all of them.
        if self._headers == used:
            self._read()
        return self._headers != used

    def _read(self) -> None:
        try:
            token = self._path.read_text().strip()
        except OSError as error:
            # A rotation swaps a symlink: the old token stays good for some minutes, so a gap is no failure.
            if not self._headers:
                raise ConfigurationError(f"cannot read the token file {self._path}: {error}") from error
            return
        self._headers = {"Authorization": f"Bearer {token}"}
        self._read_at = self._clock.monotonic()


class ExecCredentials:
    """A client-go credential plugin (`users[].user.exec` of a kubeconfig) that returns a token.

    Plugins that return a client certificate instead are refused with a ConfigurationError.
    """

    def __init__(
        self,
        command: str,
        args: Sequence[str],
        env: Mapping[str, str],
        *,
        api_version: str = "client.authentication.k8s.io/v1",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._command = command
        self._args = args
        self._env = env
        self._api_version = api_version
        self._clock = clock
        self._headers: dict[str, str] = {}
        self._expires: datetime | None = None
        self._ran_at = float("-inf")
        self._lock = asyncio.Lock()

    async def headers(self) -> Mapping[str, str]:
        async with self._lock:
            if not self._headers or (self._expires and self._clock.now() >= self._expires):
                await self._run()
        return self._headers

    async def refresh(self, used: Mapping[str, str]) -> bool:
        async with self._lock:
            # Once for all requests that are refused together, and not again and again for a token that stays the same.
            if self._headers == used and self._clock.monotonic() - self._ran_at >= RUN_AGAIN_AFTER:
                await self._run()
            return self._headers != used

    async def _run(self) -> None:
        request = {
            "apiVersion": self._api_version,
            "kind": "ExecCredential",
            "spec": {"interactive": False},
        }
        environment = os.environ | dict(self._env) | {"KUBERNETES_EXEC_INFO": orjson.dumps(request).decode()}
        try:
            process = await asyncio.create_subprocess_exec(
                self._command,
                *self._args,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise ConfigurationError(f"cannot run credential plugin {self._command}: {error}") from error
        output, _ = await process.communicate()
        if process.returncode:
            raise ConfigurationError(f"credential plugin {self._command} exited with {process.returncode}")
        self._accept(output)

    def _accept(self, output: bytes) -> None:
        try:
            status: dict[str, Any] = orjson.loads(output)["status"]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise ConfigurationError(f"credential plugin {self._command} printed no ExecCredential") from error
        if not status.get("token"):
            raise ConfigurationError(
                f"credential plugin {self._command} returned no token; client certificates are not supported"
            )
        self._headers = {"Authorization": f"Bearer {status['token']}"}
        self._ran_at = self._clock.monotonic()
        expires = status.get("expirationTimestamp")
        self._expires = datetime.fromisoformat(expires) if expires else None
