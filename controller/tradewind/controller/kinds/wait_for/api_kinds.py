"""The API resource of a kind, such as `jobs` for `batch/v1` `Job`, from the discovery API."""

import asyncio
from typing import Any

from tradewind.kube.client import KubeClient
from tradewind.kube.errors import ApiError
from tradewind.kube.resources import Resource


class NoSuchKind(Exception):  # noqa: N818 - not an error of ours
    """The kind does not exist or cannot be waited for; the message names it."""


class Kinds:
    """The kinds that the API server serves, cached."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._known: dict[tuple[str, str], Resource] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    async def find(self, api_version: str, kind: str) -> Resource:
        """Return the resource of a namespaced kind that can be watched. Raises NoSuchKind, KubeError."""
        if (known := self._known.get((api_version, kind))) is not None:
            return known
        async with self._locks.setdefault((api_version, kind), asyncio.Lock()):
            return self._known.get((api_version, kind)) or await self._discover(api_version, kind)

    async def _discover(self, api_version: str, kind: str) -> Resource:
        group, _, version = api_version.rpartition("/")
        path = f"/apis/{api_version}" if group else f"/api/{version}"
        try:
            served = await self._client.request("GET", path)
        except ApiError as error:
            if error.is_not_found:
                raise NoSuchKind(f"the cluster has no API {api_version!r}") from error
            raise
        resources: list[dict[str, Any]] = served.get("resources") or []
        for each in resources:
            if each["kind"] == kind and "/" not in each["name"]:
                if not each.get("namespaced"):
                    raise NoSuchKind(f"kind {kind!r} is not namespaced")
                if not {"list", "watch"} <= set(each.get("verbs") or ()):
                    raise NoSuchKind(f"kind {kind!r} cannot be listed and watched")
                found = self._known[api_version, kind] = Resource(group, version, each["name"])
                return found
        raise NoSuchKind(f"the cluster has no kind {kind!r} in {api_version!r}")
