"""An API server in memory that a whole controller can run on: objects, optimistic locks, watches, no Kubernetes.

Enough for tests of what the controller makes of what it is told; what the real server does is tested on the real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson

from tradewind.kube.client import KubeClient
from tradewind.kube.errors import ApiError, KubeError, Unreachable

Json = dict[str, Any]
Place = tuple[str, str, str]
"""(plural, namespace, name)"""
MADE = "2026-03-01T06:00:00Z"


class MemoryApi:
    """The objects of all kinds, and everyone who watches them."""

    def __init__(self) -> None:
        self.objects: dict[Place, Json] = {}
        self.version = 100
        self.before_write: Callable[[str, Place, Json], None] = lambda method, place, body: None
        """Called with each write before it takes effect; what it raises is the answer."""
        self.after_write: Callable[[str, Place, Json], None] = lambda method, place, body: None
        """Called once a write has taken effect; what it raises is the answer."""
        self._watches: list[_Watch] = []

    # ---- what a person does

    def get(self, plural: str, name: str, namespace: str = "ns") -> Json:
        """An object, {} if there is none."""
        return self.objects.get((plural, namespace, name), {})

    def status(self, plural: str, name: str) -> Json:
        """Its status, {} before there is one."""
        status: Json = self.get(plural, name).get("status") or {}
        return status

    def all(self, plural: str) -> list[Json]:
        """The objects of one kind."""
        return [found for (kind, _, _), found in sorted(self.objects.items()) if kind == plural]

    def create(self, plural: str, name: str, namespace: str = "ns", **fields: Any) -> Json:
        """Make an object."""
        return self._create((plural, namespace, name), {"metadata": {"name": name}, **fields})

    def patch(self, plural: str, name: str, namespace: str = "ns", *, subresource: str = "", **fields: Any) -> Json:
        """Merge something into an object."""
        return self._patch((plural, namespace, name), subresource, fields)

    def delete(self, plural: str, name: str, namespace: str = "ns") -> None:
        """Delete an object; nothing here follows owner references."""
        place = (plural, namespace, name)
        gone = self.objects.pop(place)
        self._tell(place, gone, None)

    # ---- what it answers

    def answer(self, method: str, path: str, params: Json, body: Json) -> Json:
        place, subresource = _place(path)
        if method == "GET":
            return self._found(place) if place[2] else self._list(place, params)
        if method == "POST":
            place = (*place[:2], body["metadata"]["name"])
        self.before_write(method, place, body)
        if method == "POST":
            answer = self._create(place, body)
        elif method == "PATCH":
            answer = self._patch(place, subresource, body)
        elif method == "PUT":
            self._check(self._found(place), body)
            answer = self._store(place, {**copy.deepcopy(body), "metadata": self._found(place)["metadata"]})
        else:
            answer = self._found(place)
            self.delete(place[0], place[2], place[1])
        self.after_write(method, place, body)
        return answer

    def watch(self, path: str, params: Json) -> _Watch:
        (plural, namespace, _), _ = _place(path)
        watch = _Watch(plural, namespace, params)
        for place, found in self.objects.items():
            # What came between the list and the watch.
            if watch.selects(place, found) and int(found["metadata"]["resourceVersion"]) > watch.since:
                watch.send("ADDED", found)
        self._watches.append(watch)
        return watch

    def unwatch(self, watch: _Watch) -> None:
        self._watches.remove(watch)

    # ---- the store

    def _found(self, place: Place) -> Json:
        if place not in self.objects:
            raise ApiError(404, "NotFound", f"{place} not found")
        return copy.deepcopy(self.objects[place])

    def _list(self, place: Place, params: Json) -> Json:
        watch = _Watch(place[0], place[1], params)
        items = [copy.deepcopy(found) for at, found in sorted(self.objects.items()) if watch.selects(at, found)]
        return {"metadata": {"resourceVersion": str(self.version)}, "items": items}

    def _create(self, place: Place, body: Json) -> Json:
        if place in self.objects:
            raise ApiError(409, "AlreadyExists", f"{place} already exists")
        made = copy.deepcopy(body)
        made["metadata"] |= {
            "namespace": place[1],
            "uid": f"uid-{self.version + 1}",
            "generation": 1,
            "creationTimestamp": MADE,
        }
        return self._store(place, made)

    def _patch(self, place: Place, subresource: str, body: Json) -> Json:
        old = self._found(place)
        self._check(old, body)
        new = _merged(old, body)
        kept = {"metadata": old["metadata"]} if subresource else {}
        for part in ("spec", "status"):
            if part in old and (part == "status") != (subresource == "status"):
                kept[part] = old[part]
        new |= kept
        new["metadata"] = dict(new["metadata"])
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        return self._store(place, new)

    def _check(self, old: Json, body: Json) -> None:
        for name in ("resourceVersion", "uid"):
            if body.get("metadata", {}).get(name, old["metadata"][name]) != old["metadata"][name]:
                raise ApiError(409, "Conflict", f"{name} is another")

    def _store(self, place: Place, new: Json) -> Json:
        old = self.objects.get(place)
        self.version += 1
        new["metadata"]["resourceVersion"] = str(self.version)
        self.objects[place] = new
        self._tell(place, old, new)
        return copy.deepcopy(new)

    def _tell(self, place: Place, old: Json | None, new: Json | None) -> None:
        for watch in self._watches:
            before = old is not None and watch.selects(place, old)
            after = new is not None and watch.selects(place, new)
            if new is not None and after:
                watch.send("MODIFIED" if before else "ADDED", new)
            elif old is not None and before:
                version = str(self.version)
                watch.send("DELETED", {**old, "metadata": {**old["metadata"], "resourceVersion": version}})


class MemoryClient(KubeClient):
    """A client of a MemoryApi; once `dead`, as after the loss of its process, nothing of what it asks arrives."""

    def __init__(self, api: MemoryApi) -> None:
        self._api = api
        self.dead = False

    async def request(
        self, method: str, path: str, *, params: Any = None, body: Any = None, **options: Any
    ) -> dict[str, Any]:
        await asyncio.sleep(0)
        if self.dead:
            raise Unreachable("the process is dead")
        document = orjson.loads(body) if isinstance(body, bytes) else body
        return self._api.answer(method, path, dict(params or {}), document or {})

    async def request_bytes(self, method: str, path: str, **options: Any) -> bytes:
        return orjson.dumps(await self.request(method, path, **options))

    @contextlib.asynccontextmanager
    async def stream(self, path: str, *, params: Any = None, **options: Any) -> AsyncIterator[AsyncIterator[bytes]]:
        watch = self._api.watch(path, dict(params))
        try:
            yield watch.lines()
        finally:
            self._api.unwatch(watch)


class _Watch:
    def __init__(self, plural: str, namespace: str, params: Json) -> None:
        self._plural, self._namespace = plural, namespace
        self._fields = [_requirement(text) for text in str(params.get("fieldSelector", "")).split(",") if text]
        self._labels = [_requirement(text) for text in str(params.get("labelSelector", "")).split(",") if text]
        self.since = int(params.get("resourceVersion", 0))
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()

    def selects(self, place: Place, found: Json) -> bool:
        if place[0] != self._plural or (self._namespace and place[1] != self._namespace):
            return False
        labels = found["metadata"].get("labels", {})
        return all((_field(found, path) == value) is equal for path, value, equal in self._fields) and all(
            name in labels if value is None else labels.get(name) == value for name, value, _ in self._labels
        )

    def send(self, kind: str, found: Json) -> None:
        self._queue.put_nowait(orjson.dumps({"type": kind, "object": found}) + b"\n")

    async def lines(self) -> AsyncIterator[bytes]:
        while True:
            yield await self._queue.get()


def _place(path: str) -> tuple[Place, str]:
    """Plural, namespace (empty: all) and name (empty: a collection) of a path, and the subresource."""
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2:
        namespace, parts = parts[1], parts[2:]
    return (parts[0], namespace, parts[1] if len(parts) > 1 else ""), parts[2] if len(parts) > 2 else ""


def _requirement(text: str) -> tuple[str, str | None, bool]:
    name, unequal, value = text.partition("!=")
    if unequal:
        return name, value, False
    name, equal, value = text.partition("=")
    return name, value if equal else None, True


def _field(found: Json, path: str) -> str:
    value: Any = found
    for part in path.split("."):
        value = value.get(part) or {}
    return value if isinstance(value, str) else ""


def _merged(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged


__all__ = ["ApiError", "Json", "KubeError", "MemoryApi", "MemoryClient", "Place", "Unreachable"]
