"""The certificate that the webhook shows: made by the controller or provided, and renewed while it runs."""

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
LOOK_EVERY = 60.0
"""Seconds after which a provided certificate is read again."""
_FIRST_CHECK = 30.0
"""Soon after the start too, in case an upgrade has replaced the configuration that has the CA."""


class Shown:
    """What a server shows: `context` is used for connections from the time of each change on."""

    def __init__(self) -> None:
        self.context = _empty()
        self._pair: tuple[bytes, bytes] | None = None

    def show(self, certificate: bytes, key: bytes) -> None:
        """PEM texts. Raises OSError where they do not belong together, and goes on with those before."""
        if (certificate, key) != self._pair:
            load_pair(_empty(), certificate, key)
            load_pair(self.context, certificate, key)
            self._pair = certificate, key


async def own_certificate(
    client: KubeClient, stack: AsyncExitStack, *, namespace: str, secret: str, service: str, configuration: str
) -> ssl.SSLContext:
    """The context of a server with a certificate that the controller makes, renewed until the stack is closed. Raises
    KubeError and OSError."""
    shown = Shown()
    keeper = CertificateKeeper(
        client, namespace=namespace, secret=secret, service=service, configuration=configuration, show=shown.show
    )
    await _keep_shown(keeper.refresh, _FIRST_CHECK, CHECK_EVERY, stack)
    return shown.context


async def provided_certificate(stack: AsyncExitStack) -> ssl.SSLContext:
    """The context of a server with the certificate in a mounted Secret, read again until the stack is closed. Raises
    OSError."""
    shown = Shown()

    async def refresh() -> None:
        shown.show(*((PROVIDED_CERTIFICATE / name).read_bytes() for name in ("tls.crt", "tls.key")))

    await _keep_shown(refresh, LOOK_EVERY, LOOK_EVERY, stack)
    return shown.context


async def _keep_shown(
    refresh: Callable[[], Awaitable[None]], first: float, pause: float, stack: AsyncExitStack
) -> None:
    await refresh()
    task = asyncio.create_task(_keep_fresh(refresh, first, pause), name="certificates")
    stack.push_async_callback(_end, task)


async def _keep_fresh(refresh: Callable[[], Awaitable[None]], first: float, pause: float) -> None:
    wait = first
    while True:
        await asyncio.sleep(wait)
        wait = pause
        try:
            await refresh()
        except (KubeError, RuntimeError, OSError) as error:
            log.warning("cannot refresh the webhook's certificate: %s", error)
            wait = 60.0


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _empty() -> ssl.SSLContext:
    return ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
