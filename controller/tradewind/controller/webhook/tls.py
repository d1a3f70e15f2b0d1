"""The certificate that the webhook shows: made by the controller or provided, and renewed while it runs."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from tradewind.controller.settings import Settings
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


async def shown_certificate(settings: Settings, client: KubeClient, stack: AsyncExitStack) -> ssl.SSLContext:
    """The context of the webhook's server, kept up to date until the stack is closed. Raises KubeError and OSError."""
    shown = Shown()
    if settings.webhook_certificates == "self":
        keeper = CertificateKeeper(
            client,
            namespace=settings.pod_namespace,
            secret=settings.webhook_secret,
            service=settings.webhook_service,
            configuration=settings.webhook_configuration,
            show=shown.show,
        )
        refresh, first, pause = keeper.refresh, _FIRST_CHECK, CHECK_EVERY
    else:

        async def refresh() -> None:
            shown.show(*((PROVIDED_CERTIFICATE / name).read_bytes() for name in ("tls.crt", "tls.key")))

        first = pause = LOOK_EVERY
    await refresh()
    task = asyncio.create_task(_keep_fresh(refresh, first, pause), name="certificates")
    stack.push_async_callback(_end, task)
    return shown.context


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
