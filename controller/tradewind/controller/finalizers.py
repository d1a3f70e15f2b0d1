"""`tradewind release-finalizers`: let go of every Pod that holds our finalizer, before the controller is uninstalled.

Without a controller nobody would remove it, and the namespaces of those Pods could never be deleted.
"""

import asyncio
from typing import Any

import click

from tradewind.api import names
from tradewind.kube.client import KubeClient
from tradewind.kube.errors import ApiError, KubeError
from tradewind.kube.resources import PODS


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


async def _main(namespaces: tuple[str, ...]) -> int:
    async with KubeClient.from_environment() as client:
        return await release(client, namespaces)


@click.command("release-finalizers")
@click.option("--namespace", "-n", "namespaces", multiple=True, help="Only in this namespace; may be repeated.")
def release_command(namespaces: tuple[str, ...]) -> None:
    """Remove Tradewind's finalizer from all Pods, as the chart does before it is uninstalled."""
    try:
        count = asyncio.run(_main(namespaces))
    except KubeError as error:
        raise click.ClickException(f"the Kubernetes API: {error}") from error
    click.echo(f"released {count} Pods")
