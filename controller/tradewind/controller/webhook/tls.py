"""The webhook server's certificate: created by the controller or provided, and renewed while the server runs."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from tradewind.controller.webhook.certificates import CHECK_EVERY, CertificateKeeper
from tradewind.kube.client import KubeClient
from tradewind.kube.errors import KubeError
from tradewind.kube.tls import load_pair

log = logging.getLogger(__name__)

PROVIDED_CERTIFICATE = Path("/etc/tradewind/webhook")
READ_EVERY = 60.0
"""Seconds between reads of a provided certificate."""
_RETRY_AFTER = 60.0
_FIRST_CHECK = 30.0
"""Seconds until the first check: soon, in case an upgrade replaced the configuration that has the CA."""


class ServedCertificate:
    """A server's certificate. New connections use `context`, which `show` updates in place."""

    def __init__(self) -> None:
        self.context = _empty()
        self._pair: tuple[bytes, bytes] | None = None

    def show(self, certificate: bytes, key: bytes) -> None:
        """Serve a certificate, given as PEM. Raises OSError if they do not match, and keeps the old pair."""
        if (certificate, key) != self._pair:
            load_pair(_empty(), certificate, key)
            load_pair(self.context, certificate, key)
            self._pair = certificate, key


async def own_certificate(
    client: KubeClient, stack: AsyncExitStack, *, namespace: str, secret: str, service: str, configuration: str
) -> ssl.SSLContext:
    """Return the TLS context of a server whose certificate the controller creates, renewed until the stack is closed.
    Raises KubeError and OSError."""
    served = ServedCertificate()
    keeper = CertificateKeeper(
        client, namespace=namespace, secret=secret, service=service, configuration=configuration, show=served.show
    )
    await _serve_fresh(keeper.refresh, _FIRST_CHECK, CHECK_EVERY, stack)
    return served.context


async def provided_certificate(stack: AsyncExitStack) -> ssl.SSLContext:
    """Return the TLS context of a server with the certificate of a mounted Secret, which is read again until the stack
    is closed. Raises OSError."""
    served = ServedCertificate()

    async def refresh() -> None:
        served.show(*((PROVIDED_CERTIFICATE / name).read_bytes() for name in ("tls.crt", "tls.key")))

    await _serve_fresh(refresh, READ_EVERY, READ_EVERY, stack)
    return served.context


async def _serve_fresh(
    refresh: Callable[[], Awaitable[None]], first: float, pause: float, stack: AsyncExitStack
) -> None:
    await refresh()
    task = asyncio.create_task(_keep_fresh(refresh, first, pause), name="certificates")
    stack.push_async_callback(_cancel, task)


async def _keep_fresh(refresh: Callable[[], Awaitable[None]], first: float, pause: float) -> None:
    wait = first
    while True:
        await asyncio.sleep(wait)
        wait = pause
        try:
            await refresh()
        except (KubeError, RuntimeError, OSError) as error:
            wait = _RETRY_AFTER
            log.warning("cannot refresh the webhook's certificate: %s; retrying in %g s", error, wait)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _empty() -> ssl.SSLContext:
    return ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
