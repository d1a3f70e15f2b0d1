"""Credentials that are sent in a header; client certificates are in `config`.

An expiring credential renews itself: token files are re-read (projected service account tokens rotate about every
hour), exec plugins are run again. `refresh` is called after a 401.
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
"""The minimum number of seconds between runs of a plugin whose token is rejected."""


class Credentials(Protocol):
    """Supplies the Authorization header."""

    async def headers(self) -> Mapping[str, str]:
        """Return the headers of the next request."""
        ...

    async def refresh(self, used: Mapping[str, str]) -> bool:
        """Renew the credentials after a 401 to a request with the headers `used`. Return True if they have changed, so
        that a retry makes sense."""
        ...


class StaticCredentials:
    """A constant bearer token, or none."""

    def __init__(self, token: str | None = None) -> None:
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def headers(self) -> Mapping[str, str]:
        return self._headers

    async def refresh(self, used: Mapping[str, str]) -> bool:
        return False


class FileCredentials:
    """A bearer token in a file that another process rotates."""

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
        # If many requests are rejected together, the first one re-reads the token for all of them.
        if self._headers == used:
            self._read()
        return self._headers != used

    def _read(self) -> None:
        try:
            token = self._path.read_text().strip()
        except OSError as error:
            # A rotation swaps a symlink, and the old token stays valid for minutes: a missing file is no failure.
            if not self._headers:
                raise ConfigurationError(f"cannot read the token file {self._path}: {error}") from error
            return
        self._headers = {"Authorization": f"Bearer {token}"}
        self._read_at = self._clock.monotonic()


class ExecCredentials:
    """A client-go credential plugin (`users[].user.exec` of a kubeconfig) that returns a token.

    A plugin that returns a client certificate instead is rejected with a ConfigurationError.
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
            # Run it once for all requests that are rejected together, and not repeatedly if the token stays the same.
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
