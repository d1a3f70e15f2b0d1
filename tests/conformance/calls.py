"""Short ways to say what a test asks of a server, and to compare what it answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from tradewind.kube.client import KubeClient
from tradewind.kube.errors import ApiError
from tradewind.kube.resources import Resource
from tradewind.kube.writes import MERGE_PATCH

Json = dict[str, Any]

PATIENCE = 30.0


class Calls:
    """Requests in one namespace."""

    def __init__(
        self, client: KubeClient, namespace: str, compact: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self.client, self.namespace = client, namespace
        self._compact = compact
        self._watches: list[Watching] = []

    async def compact(self) -> None:
        """Let the server's storage forget everything but the present."""
        assert self._compact is not None
        await self._compact()

    async def create(self, resource: Resource, name: str, *, metadata: Json | None = None, **fields: Any) -> Json:
        body = {"metadata": {"name": name, **(metadata or {})}, **self._type(resource), **fields}
        return plain(await self.client.request("POST", resource.path(self.namespace), body=body))

    async def get(self, resource: Resource, name: str) -> Json:
        return plain(await self.client.get(resource, self.namespace, name))

    async def find(self, resource: Resource, name: str) -> Json | None:
        try:
            return await self.get(resource, name)
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    async def patch(self, resource: Resource, name: str, body: Json, *, subresource: str | None = None) -> Json:
        path = resource.path(self.namespace, name, subresource)
        return plain(await self.client.request("PATCH", path, body=body, content_type=MERGE_PATCH))

    async def replace(self, resource: Resource, name: str, body: Json, *, subresource: str | None = None) -> Json:
        return plain(await self.client.request("PUT", resource.path(self.namespace, name, subresource), body=body))

    async def delete(self, resource: Resource, name: str, **options: Any) -> Json:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options} if options else None
        return plain(await self.client.request("DELETE", resource.path(self.namespace, name), body=body))

    async def names(self, resource: Resource, **params: Any) -> list[str]:
        return [item["metadata"]["name"] for item in (await self.list(resource, **params))["items"]]

    async def list(self, resource: Resource, **params: Any) -> Json:
        return await self.client.request("GET", resource.path(self.namespace), params=params)

    async def watch(self, resource: Resource, since: Json | str, **params: Any) -> Watching:
        """Watch from the version of an object or a list on, or from a version."""
        version = since if isinstance(since, str) else since["metadata"]["resourceVersion"]
        watching = Watching(self.client, resource.path(self.namespace), {"resourceVersion": version, **params})
        self._watches.append(watching)
        await asyncio.wait_for(watching.opened.wait(), PATIENCE)
        return watching

    async def gone(self, resource: Resource, name: str) -> None:
        """Return once there is no such object."""

        async def is_gone() -> bool:
            return await self.find(resource, name) is None

        await until(is_gone, f"{resource.plural} {name} is gone")

    async def until_found(self, path: str) -> None:
        """Return once a path is served."""

        async def is_served() -> bool:
            try:
                await self.client.request("GET", path, params={"limit": 1})
            except ApiError as error:
                if error.is_not_found:
                    return False
                raise
            return True

        await until(is_served, path)

    async def close(self) -> None:
        for watching in self._watches:
            await watching.close()

    def _type(self, resource: Resource) -> Json:
        if resource.group in ("", "coordination.k8s.io", "apps", "events.k8s.io"):
            return {}
        kinds = {"dags": "Dag", "dagruns": "DagRun", "pools": "Pool"}
        return {"apiVersion": resource.api_version, "kind": kinds[resource.plural]}


class Watching:
    """The events of one watch, in order."""

    def __init__(self, client: KubeClient, path: str, params: Json) -> None:
        self.opened = asyncio.Event()
        self.ended = asyncio.Event()
        self._events: asyncio.Queue[Json] = asyncio.Queue()
        self._task = asyncio.create_task(self._run(client, path, {"watch": "true", **params}))

    async def next(self, count: int = 1) -> list[Json]:
        async with asyncio.timeout(PATIENCE):
            return [await self._events.get() for _ in range(count)]

    async def none(self) -> None:
        """AssertionError if anything comes within a moment."""
        await asyncio.sleep(0.2)
        assert self._events.empty(), self._events.get_nowait()

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self, client: KubeClient, path: str, params: Json) -> None:
        async with client.stream(path, params=params, idle_timeout=60) as pieces:
            self.opened.set()
            rest = b""
            async for piece in pieces:
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    event = orjson.loads(line)
                    self._events.put_nowait(event | {"object": plain(event["object"])})
        self.ended.set()


def plain(document: Json) -> Json:
    """Without managedFields, of which the server in memory knows nothing."""
    document.get("metadata", {}).pop("managedFields", None)
    return document


async def refused(request: Awaitable[Any]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await request
    return caught.value


def answer_of(error: ApiError) -> tuple[int, str, str]:
    return error.status, error.reason, error.message


def causes(error: ApiError) -> list[tuple[str, str]]:
    """(field, reason) of each cause."""
    return [(cause.get("field", ""), cause["reason"]) for cause in error.details.get("causes", ())]


def version(document: Json) -> int:
    return int(document["metadata"]["resourceVersion"])


def seen(event: Json) -> tuple[str, str]:
    return event["type"], event["object"]["metadata"]["name"]


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110 - any condition, not only ours
            await asyncio.sleep(0.05)


def config_map(**data: str) -> Json:
    return {"data": data or {"n": "1"}}


def pod_spec(**fields: Any) -> Json:
    """Of a Pod that no scheduler and no kubelet touches."""
    containers = [{"name": "task", "image": "none"}]
    return {"schedulerName": "none", "automountServiceAccountToken": False, "containers": containers, **fields}


def dag_spec(**fields: Any) -> Json:
    return {"tasks": [{"name": "a", "noop": True}], **fields}


def owner(document: Json, **fields: Any) -> Json:
    metadata = document["metadata"]
    return {
        "apiVersion": document["apiVersion"],
        "kind": document["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        **fields,
    }
