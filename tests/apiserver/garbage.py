"""The part of the controller manager that we use: it deletes objects without owners, and empty namespaces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from tests.apiserver.kinds import ALL, NAMESPACES, Kind
from tests.apiserver.server import ApiServer, Request
from tests.apiserver.store import Commit

Json = dict[str, Any]

_FOREGROUND, _ORPHAN = "foregroundDeletion", "orphan"


class ControllerManager:
    """Acts on what it sees, each time `delay()` seconds later. Needs a running event loop."""

    def __init__(self, server: ApiServer, delay: Callable[[], float] = lambda: 0.0) -> None:
        self._server, self._delay = server, delay
        self._loop = asyncio.get_running_loop()
        self._dependents: dict[str, dict[tuple[Kind, str], None]] = {}
        """By UID of an owner: what names it."""
        self._uids: dict[str, None] = {}
        """Of everything there is."""
        for kind in ALL.values():
            for document in server.all(kind):
                self._note(kind, document)
        server.store.on_commit.append(self._seen)

    def _later(self, act: Callable[..., None], *arguments: Any) -> None:
        self._loop.call_later(self._delay(), act, *arguments)

    def _seen(self, commit: Commit) -> None:
        if commit.new is None:
            assert commit.old is not None
            uid = commit.old.metadata["uid"]
            self._uids.pop(uid, None)
            for kind, key in self._dependents.pop(uid, {}):
                self._later(self._judge, kind, key)
            if namespace := commit.old.metadata.get("namespace"):
                self._consider_namespace(namespace)
        else:
            self._note(commit.kind, commit.new.document)

    def _note(self, kind: Kind, document: Json) -> None:
        metadata = document["metadata"]
        key = f"{metadata.get('namespace', '')}/{metadata['name']}"
        self._uids[metadata["uid"]] = None
        missing = False
        for owner in metadata.get("ownerReferences") or ():
            self._dependents.setdefault(owner["uid"], {})[kind, key] = None
            missing = missing or owner["uid"] not in self._uids
        if missing:
            self._later(self._judge, kind, key)
        if "deletionTimestamp" in metadata:
            if kind is NAMESPACES:
                self._later(self._empty_namespace, metadata["name"])
            elif {_FOREGROUND, _ORPHAN} & set(metadata.get("finalizers") or ()):
                self._later(self._finish, kind, key)

    def _judge(self, kind: Kind, key: str) -> None:
        """Delete an object if all of its owners have gone; forget those that have, if others are left."""
        found = self._server.store.get(kind, key)
        if found is None or "deletionTimestamp" in found.metadata:
            return
        owners = found.metadata.get("ownerReferences") or ()
        left = [owner for owner in owners if owner["uid"] in self._uids]
        if not owners or len(left) == len(owners):
            return
        if left:
            self._patch(kind, found.document, {"ownerReferences": left})
        else:
            self._delete(kind, found.document)

    def _finish(self, kind: Kind, key: str) -> None:
        """Deletion in the foreground (dependents that block it go first), or orphaning them."""
        found = self._server.store.get(kind, key)
        if found is None:
            return
        metadata = found.metadata
        finalizers = metadata.get("finalizers") or []
        blocking = False
        for dependent_kind, dependent_key in list(self._dependents.get(metadata["uid"], {})):
            dependent = self._server.store.get(dependent_kind, dependent_key)
            if dependent is None:
                continue
            owners = dependent.metadata.get("ownerReferences") or []
            ours = [owner for owner in owners if owner["uid"] == metadata["uid"]]
            if _ORPHAN in finalizers:
                left = [owner for owner in owners if owner not in ours]
                self._patch(dependent_kind, dependent.document, {"ownerReferences": left or None})
            elif any(owner.get("blockOwnerDeletion") for owner in ours):
                blocking = True
                self._delete(dependent_kind, dependent.document)
        if blocking:
            self._loop.call_later(1.0, self._finish, kind, key)
        else:
            left = [name for name in finalizers if name not in (_FOREGROUND, _ORPHAN)]
            self._patch(kind, found.document, {"finalizers": left or None})

    def _empty_namespace(self, name: str) -> None:
        if self._server.find(NAMESPACES, "", name) is None:
            return
        for kind in ALL.values():
            for document in self._server.all(kind, name) if kind.namespaced else ():
                if "deletionTimestamp" not in document["metadata"]:
                    self._delete(kind, document)
        self._consider_namespace(name)

    def _consider_namespace(self, name: str) -> None:
        found = self._server.find(NAMESPACES, "", name)
        if found is None or "deletionTimestamp" not in found["metadata"]:
            return
        if not any(self._server.all(kind, name) for kind in ALL.values() if kind.namespaced):
            self._server.store.remove(NAMESPACES, f"/{name}")

    # As any client, so that all rules hold ------------------------------------------------------------------------

    def _delete(self, kind: Kind, document: Json) -> None:
        metadata = document["metadata"]
        options = {"preconditions": {"uid": metadata["uid"]}, "propagationPolicy": "Background"}
        self._send("DELETE", kind, metadata, options)

    def _patch(self, kind: Kind, document: Json, metadata: Json) -> None:
        known = document["metadata"]
        body = {"metadata": {"uid": known["uid"], "resourceVersion": known["resourceVersion"], **metadata}}
        self._send("PATCH", kind, known, body)

    def _send(self, method: str, kind: Kind, metadata: Json, body: Json) -> None:
        root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        where = f"/namespaces/{metadata['namespace']}" if kind.namespaced else ""
        self._server.handle(
            Request(
                method=method,
                path=f"{root}{where}/{kind.plural}/{metadata['name']}",
                body=orjson.dumps(body),
                content_type="application/merge-patch+json" if method == "PATCH" else None,
                client="controller-manager",
            )
        )
