"""`tradewind controller`: the process. kopf runs it (start, signals, clean end) and serves admission."""

import asyncio
import contextlib
import logging
import os
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import click
import kopf

from tradewind.api import GROUP
from tradewind.api.crd import KINDS, SCHEMA_REVISION, SCHEMA_REVISION_ANNOTATION
from tradewind.controller import admission, endpoints, logs
from tradewind.controller.certificates import CHECK_EVERY, CertificateKeeper
from tradewind.controller.controller import Controller
from tradewind.controller.settings import Settings
from tradewind.kube.client import KubeClient
from tradewind.kube.errors import ApiError, KubeError
from tradewind.kube.resources import CUSTOMRESOURCEDEFINITIONS

log = logging.getLogger(__name__)

PROVIDED_CERTIFICATE = Path("/etc/tradewind/webhook")


class CannotStart(Exception):  # noqa: N818
    """The cluster is not ready for this controller; the message says what to do."""


async def check_crds(client: KubeClient) -> None:
    """Raise CannotStart unless the CRDs are there and new enough. Without the right to look, go on."""
    for _, facts in KINDS:
        name = f"{facts['plural']}.{GROUP}"
        fix = "install or upgrade the CRDs (helm upgrade with crds.install=true, or kubectl apply -f crds/)"
        try:
            crd = await client.get(CUSTOMRESOURCEDEFINITIONS, None, name)
        except ApiError as error:
            if error.is_forbidden:
                return
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
    """Run the controller until a signal comes or it fails."""
    stop = asyncio.Event()
    failure: list[BaseException] = []
    controllers: list[Controller] = []
    registry = kopf.OperatorRegistry()
    kopf_settings = kopf.OperatorSettings()
    kopf_settings.posting.enabled = False
    kopf_settings.scanning.disabled = True
    async with AsyncExitStack() as stack:
        client = KubeClient.from_environment()
        stack.push_async_callback(client.close)
        await check_crds(client)
        if settings.webhook_port:
            kopf_settings.admission.server = await _webhook_server(settings, client, stack)
            admission.register(registry, lambda: controllers[0].cluster if controllers else None)

        @kopf.on.startup(registry=registry)
        async def start(**_: Any) -> None:
            controller = Controller(settings, client)
            controllers.append(controller)
            await endpoints.serve(
                controller, metrics_port=settings.metrics_port, probe_port=settings.probe_port, stack=stack
            )
            task = asyncio.create_task(controller.run(), name="controller")
            task.add_done_callback(ended)
            stack.push_async_callback(_end, task)

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception() is not None:
                failure.append(task.exception() or RuntimeError("the controller ended"))
            stop.set()

        await kopf.operator(
            registry=registry,
            settings=kopf_settings,
            standalone=True,
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            stop_flag=stop,
        )
    if failure:
        raise failure[0]


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _webhook_server(settings: Settings, client: KubeClient, stack: AsyncExitStack) -> kopf.WebhookServer:
    certificate, key = PROVIDED_CERTIFICATE / "tls.crt", PROVIDED_CERTIFICATE / "tls.key"
    if settings.webhook_certificates == "self":
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tradewind-")))
        keeper = CertificateKeeper(
            client,
            namespace=settings.pod_namespace,
            secret=settings.webhook_secret,
            service=settings.webhook_service,
            configuration=settings.webhook_configuration,
            folder=folder,
        )
        await keeper.refresh()
        stack.push_async_callback(_end, asyncio.create_task(_keep_fresh(keeper), name="certificates"))
        certificate, key = keeper.certificate_file, keeper.key_file
    return kopf.WebhookServer(
        addr="0.0.0.0",
        port=settings.webhook_port,
        path=admission.PATH,
        certfile=certificate,
        pkeyfile=key,
        host=f"{settings.webhook_service}.{settings.pod_namespace}.svc",
    )


async def _keep_fresh(keeper: CertificateKeeper) -> None:
    """Look after the certificate: soon after the start too, in case an upgrade has replaced the configuration."""
    pause = 30.0
    while True:
        await asyncio.sleep(pause)
        pause = CHECK_EVERY
        try:
            await keeper.refresh()
        except (KubeError, RuntimeError, OSError) as error:
            log.warning("cannot refresh the webhook's certificate: %s", error)
            pause = 60.0


@click.command("controller")
@click.option(
    "--namespaces", envvar="TRADEWIND_NAMESPACES", default="", help="Namespaces to watch, comma-separated; empty: all."
)
@click.option(
    "--pod-namespace",
    envvar="TRADEWIND_POD_NAMESPACE",
    default="default",
    show_default=True,
    help="Namespace of the Lease.",
)
@click.option("--lease-name", envvar="TRADEWIND_LEASE_NAME", default="tradewind-controller", show_default=True)
@click.option(
    "--lease-duration",
    envvar="TRADEWIND_LEASE_DURATION",
    type=float,
    default=15.0,
    show_default=True,
    help="Seconds after which a silent leader is replaced.",
)
@click.option(
    "--parallelism",
    envvar="TRADEWIND_PARALLELISM",
    type=int,
    default=0,
    help="Task instances queued or running at once; 0: no limit.",
)
@click.option(
    "--metrics-port",
    envvar="TRADEWIND_METRICS_PORT",
    type=int,
    default=8080,
    show_default=True,
    help="/metrics; 0: none.",
)
@click.option(
    "--probe-port",
    envvar="TRADEWIND_PROBE_PORT",
    type=int,
    default=8081,
    show_default=True,
    help="/healthz and /readyz; 0: none.",
)
@click.option(
    "--webhook-port", envvar="TRADEWIND_WEBHOOK_PORT", type=int, default=0, help="Admission webhook; 0: none."
)
@click.option("--webhook-secret", envvar="TRADEWIND_WEBHOOK_SECRET", default="tradewind-webhook", show_default=True)
@click.option("--webhook-service", envvar="TRADEWIND_WEBHOOK_SERVICE", default="tradewind-webhook", show_default=True)
@click.option("--webhook-configuration", envvar="TRADEWIND_WEBHOOK_CONFIGURATION", default="")
@click.option(
    "--webhook-certificates",
    envvar="TRADEWIND_WEBHOOK_CERTIFICATES",
    type=click.Choice(["self", "provided"]),
    default="self",
    show_default=True,
)
@click.option(
    "--log-format",
    envvar="TRADEWIND_LOG_FORMAT",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
)
@click.option(
    "--log-level",
    envvar="TRADEWIND_LOG_LEVEL",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default="info",
    show_default=True,
)
def main_command(namespaces: str, **options: Any) -> None:
    """Run the controller: the scheduler of all Dags in the cluster."""
    named = tuple(sorted({name.strip() for name in namespaces.split(",") if name.strip()}))
    settings = Settings(namespaces=named, **options)
    logs.configure(settings.log_format, settings.log_level)
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
