"""`tradewind release-finalizers`: let go of every Pod that holds our finalizer, after the controller is uninstalled.

Without a controller nobody would remove it, and the namespaces of those Pods could never be deleted. It waits for the
controller's Lease to be free, so that no controller still puts the finalizer on new Pods, and deletes the Lease.
"""

import asyncio
import time
from typing import Any

import click

from tradewind.api import names
from tradewind.kube.client import KubeClient
from tradewind.kube.errors import ApiError, KubeError
from tradewind.kube.resources import LEASES, PODS

WAIT_FOR_LEASE = 120.0
POLL = 1.0


async def release(client: KubeClient, namespaces: tuple[str, ...]) -> int:
    """Remove the finalizer from all Pods of ours; how many had it."""
    released = 0
    for namespace in namespaces or (None,):
        for pod in await client.list(PODS, namespace, label_selector=names.LABEL_RUN, partial=True):
            metadata = pod["metadata"]
            finalizers = metadata.get("finalizers", [])
            if names.FINALIZER_RESULT in finalizers:
                others = [name for name in finalizers if name != names.FINALIZER_RESULT]
                released += await _patch(client, metadata, others)
    return released


async def retire_lease(client: KubeClient, namespace: str, name: str) -> None:
    """Wait until nobody holds the Lease, then delete it. A holder that no longer renews it is not waited for long."""
    seen: tuple[str, float] = ("", 0.0)
    until = time.monotonic() + WAIT_FOR_LEASE
    while time.monotonic() < until:
        try:
            spec = (await client.get(LEASES, namespace, name)).get("spec", {})
        except ApiError as error:
            if error.is_not_found:
                return
            raise
        renewed = str(spec.get("renewTime"))
        if renewed != seen[0]:
            seen = (renewed, time.monotonic())
        silent = time.monotonic() - seen[1]
        if not spec.get("holderIdentity") or silent > float(spec.get("leaseDurationSeconds") or 15):
            break
        await asyncio.sleep(POLL)
    try:
        await client.request("DELETE", LEASES.path(namespace, name))
    except ApiError as error:
        if not error.is_not_found:
            raise


async def _patch(client: KubeClient, metadata: dict[str, Any], finalizers: list[str]) -> int:
    body = {"metadata": {"uid": metadata["uid"], "finalizers": finalizers or None}}
    path = PODS.path(metadata["namespace"], metadata["name"])
    try:
        await client.request("PATCH", path, body=body, content_type="application/merge-patch+json", partial=True)
    except ApiError as error:
        if not (error.is_not_found or error.is_conflict):
            raise
        return 0
    return 1


async def _main(namespaces: tuple[str, ...], lease_namespace: str, lease_name: str) -> int:
    async with KubeClient.from_environment() as client:
        if lease_namespace and lease_name:
            await retire_lease(client, lease_namespace, lease_name)
        return await release(client, namespaces)


@click.command("release-finalizers")
@click.option("--namespace", "-n", "namespaces", multiple=True, help="Only in this namespace; may be repeated.")
@click.option("--namespaces", "listed", envvar="TRADEWIND_NAMESPACES", default="", help="The same, comma-separated.")
@click.option("--lease-namespace", envvar="TRADEWIND_POD_NAMESPACE", default="", help="Namespace of the Lease.")
@click.option(
    "--lease-name", envvar="TRADEWIND_LEASE_NAME", default="", help="Lease to wait for and delete; empty: none."
)
def release_command(namespaces: tuple[str, ...], listed: str, lease_namespace: str, lease_name: str) -> None:
    """Remove Tradewind's finalizer from all Pods, as the chart does when it is uninstalled."""
    wanted = {*namespaces, *(name.strip() for name in listed.split(",") if name.strip())}
    try:
        count = asyncio.run(_main(tuple(sorted(wanted)), lease_namespace, lease_name))
    except KubeError as error:
        raise click.ClickException(f"the Kubernetes API: {error}") from error
    click.echo(f"released {count} Pods")
