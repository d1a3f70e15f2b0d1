"""`tradewind release-finalizers`: removes Tradewind's finalizer from all Pods before an uninstall.

Without a controller nothing would remove it, and the namespaces of those Pods could never be deleted. The chart runs
this before helm deletes anything. It stops the controllers first, while they still have their rights: they record
results and release their Lease, and no controller is left that creates another Pod with the finalizer.
"""

import asyncio
import time
from typing import Any

import click

from tradewind.api import names
from tradewind.api.shards import BUCKETS, Shard, shard_of_lease
from tradewind.kube.client import KubeClient
from tradewind.kube.errors import ApiError, KubeError
from tradewind.kube.resources import DEPLOYMENTS, LEASES, PODS
from tradewind.kube.writes import MERGE_PATCH

STOP_WITHIN = 45.0
"""Seconds for the controllers to stop: more than the 40 s of their Pods' grace period by default, and less than the
chart gives the hook."""
LEASE_DURATION = 15.0
POLL = 0.5


class StillRunning(Exception):  # noqa: N818
    """A controller is still running and may create Pods with the finalizer."""


async def stop_controllers(client: KubeClient, namespace: str, deployment: str, lease: str) -> None:
    """Scale the Deployment to zero and wait until its Pods are deleted.

    A Pod that stays, as on a lost node, is not waited for once the Lease has expired: then no leader is left. Raises
    StillRunning if there is one after `STOP_WITHIN`.
    """
    selector = await _scale_down(client, namespace, deployment)
    observed = _ObservedLease(client, namespace, lease)
    until = time.monotonic() + STOP_WITHIN
    while time.monotonic() < until:
        left = await client.list(PODS, namespace, label_selector=selector, partial=True) if selector else None
        if left == [] or await observed.has_expired():
            return
        await asyncio.sleep(POLL)
    raise StillRunning(
        f"a controller still renews Lease {namespace}/{lease} after {STOP_WITHIN:g} s; stop it, then try again"
    )


async def _scale_down(client: KubeClient, namespace: str, deployment: str) -> str | None:
    """Scale to zero and return the selector of the Pods; None if the Deployment does not exist."""
    path = DEPLOYMENTS.path(namespace, deployment, "scale")
    try:
        scale = await client.request("PATCH", path, body={"spec": {"replicas": 0}}, content_type=MERGE_PATCH)
    except ApiError as error:
        if error.is_not_found:
            return None
        raise
    return str(scale["status"]["selector"])


class _ObservedLease:
    """Measures by our own clock how long a Lease has not changed."""

    def __init__(self, client: KubeClient, namespace: str, name: str) -> None:
        self._client, self._namespace, self._name = client, namespace, name
        self._seen: Any = None
        self._since = time.monotonic()

    async def has_expired(self) -> bool:
        """True if the holder has not renewed the Lease in time, and no other replica has acquired it."""
        try:
            spec = (await self._client.get(LEASES, self._namespace, self._name)).get("spec", {})
        except ApiError as error:
            if not error.is_not_found:
                raise
            spec = {}
        if spec != self._seen:
            self._seen, self._since = spec, time.monotonic()
        # A released Lease is valid for one second only: too short for a standby to notice and acquire it.
        duration = max(LEASE_DURATION, float(spec.get("leaseDurationSeconds") or 0))
        return time.monotonic() - self._since > duration


async def delete_leases(client: KubeClient, namespace: str, lease: str) -> None:
    """Delete the Leases of all shards: controllers created them, so they are not part of the Helm release."""
    for found in await client.list(LEASES, namespace, partial=True):
        name = found["metadata"]["name"]
        if shard_of_lease(lease, name) is None:
            continue
        try:
            await client.request("DELETE", LEASES.path(namespace, name))
        except ApiError as error:
            if not error.is_not_found:
                raise


async def release(
    client: KubeClient, namespaces: tuple[str, ...], *, skip_forbidden: bool = False
) -> tuple[int, list[str]]:
    """Remove the finalizer from all our Pods, in all namespaces if none are given.

    Return how many Pods had it and, with `skip_forbidden`, the namespaces whose Pods we may not list.
    """
    released, skipped = 0, []
    for namespace in namespaces or (None,):
        try:
            pods = await client.list(PODS, namespace, label_selector=names.LABEL_RUN, partial=True)
        except ApiError as error:
            if not (skip_forbidden and namespace and error.is_forbidden):
                raise
            skipped.append(namespace)
            continue
        held = [pod["metadata"] for pod in pods if names.FINALIZER_RESULT in pod["metadata"].get("finalizers", [])]
        released += sum(await asyncio.gather(*(_remove_finalizer(client, metadata) for metadata in held)))
    return released, skipped


async def _remove_finalizer(client: KubeClient, metadata: dict[str, Any]) -> bool:
    others = [name for name in metadata["finalizers"] if name != names.FINALIZER_RESULT]
    body = {"metadata": {"uid": metadata["uid"], "finalizers": others or None}}
    path = PODS.path(metadata["namespace"], metadata["name"])
    try:
        await client.request("PATCH", path, body=body, content_type=MERGE_PATCH, partial=True)
    except ApiError as error:
        if not (error.is_not_found or error.is_conflict):
            raise
        return False
    return True


async def _main(
    namespaces: tuple[str, ...], own_namespace: str, deployment: str, lease: str, shards: int, skip_forbidden: bool
) -> None:
    async with KubeClient.from_environment() as client:
        parts = [Shard(index, shards) for index in range(shards)]
        leases = [part.lease_name(lease) for part in parts]
        if deployment:
            named = [deployment if part.is_all else f"{deployment}-{part.index}" for part in parts]
            await asyncio.gather(
                *(stop_controllers(client, own_namespace, *pair) for pair in zip(named, leases, strict=True))
            )
            click.echo("the controllers have stopped")
        released, skipped = await release(client, namespaces, skip_forbidden=skip_forbidden)
        click.echo(f"finalizer removed from {released} Pod{'' if released == 1 else 's'}")
        for namespace in skipped:
            click.echo(f"skipped namespace {namespace}: listing its Pods is forbidden, as if it was deleted", err=True)
        if deployment:
            await delete_leases(client, own_namespace, lease)


@click.command("release-finalizers")
@click.option("--namespace", "-n", "namespaces", multiple=True, help="Only in this namespace; may be repeated.")
@click.option("--namespaces", "listed", envvar="TRADEWIND_NAMESPACES", default="", help="The same, comma-separated.")
@click.option("--skip-forbidden", is_flag=True, help="Skip namespaces whose Pods may not be listed.")
@click.option("--deployment", envvar="TRADEWIND_DEPLOYMENT", default="", help="Deployment to stop first.")
@click.option(
    "--pod-namespace", envvar="TRADEWIND_POD_NAMESPACE", default="default", help="Namespace of the Deployment."
)
@click.option(
    "--lease-name",
    envvar="TRADEWIND_LEASE_NAME",
    default="tradewind-controller",
    help="Lease of the controllers, which is deleted.",
)
@click.option(
    "--shards",
    type=click.IntRange(1, BUCKETS),
    envvar="TRADEWIND_SHARDS",
    default=1,
    help="Number of controllers that share the work; the names of their Deployments end in the number of the shard.",
)
def release_command(
    namespaces: tuple[str, ...],
    listed: str,
    skip_forbidden: bool,
    deployment: str,
    pod_namespace: str,
    lease_name: str,
    shards: int,
) -> None:
    """Remove Tradewind's finalizer from all Pods. The chart runs this before an uninstall."""
    wanted = {*namespaces, *(name.strip() for name in listed.split(",") if name.strip())}
    try:
        asyncio.run(_main(tuple(sorted(wanted)), pod_namespace, deployment, lease_name, shards, skip_forbidden))
    except StillRunning as error:
        raise click.ClickException(str(error)) from error
    except KubeError as error:
        raise click.ClickException(f"the Kubernetes API: {error}") from error
