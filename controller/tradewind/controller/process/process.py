"""`tradewind controller`: the process. kopf runs it (start, signals, clean shutdown)."""

import asyncio
import contextlib
import dataclasses
import logging
import os
import ssl
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import click
import kopf

from tradewind import logs
from tradewind.api import GROUP
from tradewind.api.crd import KINDS, SCHEMA_REVISION, SCHEMA_REVISION_ANNOTATION
from tradewind.controller.process import endpoints
from tradewind.controller.process.controller import Controller
from tradewind.controller.process.heap import freeze_survivors
from tradewind.controller.process.settings import Settings
from tradewind.controller.process.side_thread import ElectionThread, SideThread
from tradewind.controller.process.watchdog import Watchdog
from tradewind.controller.webhook.admission import Admission
from tradewind.controller.webhook.reviews import ReviewServer
from tradewind.controller.webhook.tls import PROVIDED_CERTIFICATE, own_certificate, provided_certificate
from tradewind.kube.client import KubeClient
from tradewind.kube.errors import ApiError, KubeError
from tradewind.kube.resources import CUSTOMRESOURCEDEFINITIONS

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

SWITCH_EVERY = 0.001
"""Seconds for which a thread may keep the interpreter while another one waits, a fifth of the default: while a thread
renders metrics, the event loop needs the interpreter again after each network response."""


class CannotStart(Exception):  # noqa: N818
    """The cluster or the machine is not ready for this controller; the message says what to do."""


async def check_crds(client: KubeClient) -> None:
    """Raise CannotStart unless the CRDs are installed and recent enough."""
    for _, facts in KINDS:
        name = f"{facts['plural']}.{GROUP}"
        fix = "install or upgrade the CRDs (helm upgrade with crds.install=true, or kubectl apply -f crds/)"
        try:
            crd = await client.get(CUSTOMRESOURCEDEFINITIONS, None, name)
        except ApiError as error:
            if error.is_forbidden:
                raise CannotStart(f"may not read {name}: grant get on it, or set TRADEWIND_CHECK_CRDS=false") from error
            if error.is_not_found:
                raise CannotStart(f"CustomResourceDefinition {name} is missing: {fix}") from error
            raise
        found = crd["metadata"].get("annotations", {}).get(SCHEMA_REVISION_ANNOTATION, "0")
        if not found.isdecimal() or int(found) < SCHEMA_REVISION:
            raise CannotStart(
                f"CustomResourceDefinition {name} has schema revision {found}, this controller needs "
                f"{SCHEMA_REVISION}: {fix}"
            )


async def run(settings: Settings) -> None:
    """Run the controller until it receives a signal or fails."""
    sys.setswitchinterval(SWITCH_EVERY)
    registry, kopf_settings = kopf.OperatorRegistry(), kopf.OperatorSettings()
    kopf_settings.posting.enabled = False
    kopf_settings.scanning.disabled = True
    async with AsyncExitStack() as stack:
        client = KubeClient.from_environment()
        stack.push_async_callback(client.close)
        if settings.check_crds:
            await check_crds(client)
        tls = None
        if settings.webhook_port:
            try:
                tls = await _certificate(settings, client, stack)
            except OSError as error:
                raise CannotStart(f"cannot use the webhook's certificate: {error}") from error
        process = _Process(settings, client, tls)
        process.register(registry)
        await kopf.operator(
            registry=registry,
            settings=kopf_settings,
            standalone=True,
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            stop_flag=process.stop,
        )
    if process.failure is not None:
        raise process.failure


async def _certificate(settings: Settings, client: KubeClient, stack: AsyncExitStack) -> ssl.SSLContext:
    if settings.webhook_certificates == "provided":
        return await provided_certificate(stack)
    return await own_certificate(
        client,
        stack,
        namespace=settings.pod_namespace,
        secret=settings.webhook_secret,
        service=settings.webhook_service,
        configuration=settings.webhook_configuration,
    )


class _Process:
    """Started and stopped by kopf. All tasks are stopped in the clean-up: kopf reports those left after it as hung."""

    def __init__(self, settings: Settings, client: KubeClient, tls: ssl.SSLContext | None) -> None:
        """`tls` is the webhook's TLS context; None disables the webhook."""
        self.stop = asyncio.Event()
        self.failure: BaseException | None = None
        self._settings, self._client, self._tls = settings, client, tls
        self._stack = AsyncExitStack()

    def register(self, registry: kopf.OperatorRegistry) -> None:
        kopf.on.login(registry=registry)(self._login)
        kopf.on.startup(registry=registry)(self._start)
        kopf.on.cleanup(registry=registry)(self._clean_up)

    def _login(self, **arguments: Any) -> kopf.ConnectionInfo | None:
        info = kopf.login_with_service_account(**arguments)
        if info is not None:
            # kopf uses the name of the API server's Service, which needs cluster DNS; the address does not.
            return dataclasses.replace(info, server=self._client.connection.server)
        return kopf.login_with_kubeconfig(**arguments)

    async def _start(self, **_: Any) -> None:
        side, election_client = SideThread(), KubeClient.from_environment()
        side.start()
        self._stack.push_async_callback(side.stop)
        controller = Controller(self._settings, self._client, host=ElectionThread(election_client, side))
        watchdog = Watchdog(controller.metrics)
        controller.busy_with = watchdog.busy_with
        if self._tls is not None:
            authorizer = self._client if self._settings.webhook_authorize else None
            server = ReviewServer(Admission(controller.cluster, authorizer).handlers)
            try:
                await server.serve(self._settings.webhook_port, self._tls, self._stack)
            except OSError as error:
                self.failure = CannotStart(f"cannot serve the webhook: {error.strerror or error}")
                self.stop.set()
                return
        side_task = asyncio.create_task(
            side.call(self._run_side(controller, election_client, watchdog, asyncio.get_running_loop())), name="side"
        )
        side_task.add_done_callback(self._task_done)
        self._stack.push_async_callback(_cancel, side_task)
        task = asyncio.create_task(controller.run(), name="controller")
        self._stack.push_async_callback(_cancel, asyncio.create_task(freeze_survivors(), name="freeze"))
        task.add_done_callback(self._task_done)
        self._stack.push_async_callback(_cancel, task)

    async def _run_side(
        self,
        controller: Controller,
        election_client: KubeClient,
        watchdog: Watchdog,
        working: asyncio.AbstractEventLoop,
    ) -> None:
        """Run probes, metrics and the watchdog on the side thread, until cancelled."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(election_client.close)
            try:
                await endpoints.serve(
                    controller,
                    metrics_port=self._settings.metrics_port,
                    probe_port=self._settings.probe_port,
                    stack=stack,
                    working=working,
                )
            except OSError as error:
                raise CannotStart(f"cannot serve metrics and probes: {error.strerror or error}") from error
            await watchdog.run()

    async def _clean_up(self, **_: Any) -> None:
        await self._stack.aclose()

    def _task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self.failure = self.failure or task.exception()
        self.stop.set()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _option(name: str, **settings: Any) -> Callable[[F], F]:
    """Return an option of the command that is also read from the environment variable `TRADEWIND_…`."""
    variable = "TRADEWIND_" + name.removeprefix("--").replace("-", "_").upper()
    return click.option(name, envvar=variable, show_envvar=True, show_default=True, **settings)


@click.command("controller")
@_option("--namespaces", default="", help="Namespaces to watch, comma-separated; empty: all.")
@_option("--pod-namespace", default="default", help="Namespace of the Lease and the webhook's Secret.")
@_option("--lease-name", default="tradewind-controller", help="Lease by which replicas agree on a leader.")
@_option(
    "--lease-duration",
    type=float,
    default=15.0,
    help="Seconds after which a leader that does not renew its Lease is replaced.",
)
@_option("--parallelism", type=int, default=0, help="Task instances queued or running at once; 0: no limit.")
@_option("--shards", type=int, default=1, help="Number of controllers that share the namespaces; up to 64.")
@_option("--shard", type=int, default=0, help="Which of these controllers this is, from 0.")
@_option("--check-crds", type=bool, default=True, help="Refuse to start on CRDs older than this controller needs.")
@_option("--metrics-port", type=int, default=8080, help="Port of /metrics; 0: none.")
@_option("--probe-port", type=int, default=8081, help="Port of /healthz and /readyz; 0: none.")
@_option("--webhook-port", type=int, default=0, help="Port of the admission webhook; 0: none.")
@_option("--webhook-secret", default="tradewind-webhook", help="Secret with the webhook's certificate.")
@_option("--webhook-service", default="tradewind-webhook", help="Service that the API server calls.")
@_option("--webhook-configuration", default="", help="ValidatingWebhookConfiguration to write the CA to.")
@_option(
    "--webhook-certificates",
    type=click.Choice(["self", "provided"]),
    default="self",
    help=f"Whether the controller creates the webhook's certificate, or reads it from {PROVIDED_CERTIFICATE}.",
)
@_option("--webhook-authorize", type=bool, default=True, help="Refuse Dags of users who may not create Pods.")
@_option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", help="Text for people, or JSON for machines."
)
@_option("--log-level", type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False), default="info")
def main_command(namespaces: str, **options: Any) -> None:
    """Run the controller: the scheduler of all Dags in the cluster."""
    named = tuple(sorted({name.strip() for name in namespaces.split(",") if name.strip()}))
    settings = Settings(namespaces=named, **options)
    try:
        part = settings.part
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    logs.configure(settings.log_format, settings.log_level)
    if not part.is_all:
        log.info("%s: namespaces in the buckets %s", part, ", ".join(map(str, part.buckets)))
    if not settings.scopes:
        log.warning("none of the namespaces %s belongs to %s: nothing is scheduled", ", ".join(named), part)
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    try:
        asyncio.run(run(settings))
    except CannotStart as error:
        raise click.ClickException(str(error)) from error
    except KubeError as error:
        raise click.ClickException(f"the Kubernetes API: {error}") from error
    except KeyboardInterrupt:
        os._exit(130)
