"""The API server: requests in, answers out. Everything happens at once and in one thread; delays are up to clients."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from tests.apiserver import behaviours, refusals
from tests.apiserver import metadata as meta
from tests.apiserver.admission import Attributes, admit
from tests.apiserver.deletion import Deletion
from tests.apiserver.discovery import api_resources
from tests.apiserver.kinds import PODS, Kind, Place, place_of
from tests.apiserver.merging import merged
from tests.apiserver.refusals import Refusal
from tests.apiserver.selectors import selection
from tests.apiserver.store import Store, Stored
from tests.apiserver.tables import table
from tests.apiserver.watching import Watch, open_watch

Json = dict[str, Any]

LARGEST_REQUEST = 3 * 1024 * 1024
LARGEST_OBJECT = int(1.5 * 1024 * 1024)
"""The size limit of etcd."""


@dataclass(slots=True, kw_only=True)
class Request:
    """One HTTP request; `partial` as in tradewind.kube.client, `client` is who sends it."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str | None = None
    partial: Any = False
    client: str = ""


@dataclass(slots=True)
class Response:
    """One HTTP answer."""

    status: int
    body: bytes
    retry_after: str | None = None

    @property
    def document(self) -> Any:
        return orjson.loads(self.body)


class Unmodelled(Exception):  # noqa: N818
    """The server does not know what the real one would do: a gap of this model, not an answer."""


_KNOWN_PARAMS = {
    "GET": {"limit", "continue", "labelSelector", "fieldSelector", "resourceVersion"},
    "POST": {"fieldManager", "fieldValidation"},
    "PUT": {"fieldManager"},
    "PATCH": {"fieldManager"},
    "DELETE": {"limit", "continue", "labelSelector", "fieldSelector"},
}
_MERGE_PATCH = "application/merge-patch+json"


class ApiServer:
    """An API server with an empty cluster behind it: the namespace `default` and nothing else.

    `now` is its clock, `new_uid` where UIDs come from. Functions in `admission` see each write before it is stored:
    they may change `attributes.document` or raise a Refusal, as webhooks do.
    """

    def __init__(self, *, now: Callable[[], datetime], new_uid: Callable[[], str]) -> None:
        self.store = Store()
        self.admission: list[Callable[[Attributes], None]] = []
        self.watches: dict[Watch, None] = {}
        self.largest: dict[Kind, int] = {}
        """Bytes that an object may have when its status is written, where that is less than etcd takes."""
        self.request: Request | None = None
        """The one that is being served, for whoever looks at commits."""
        self._now, self._new_uid = now, new_uid
        self._generated = itertools.count(1)
        self.store.on_commit.append(self._tell)
        self.handle(Request(method="POST", path="/api/v1/namespaces", body=b'{"metadata":{"name":"default"}}'))

    # For tests: the cluster as it is ------------------------------------------------------------------------------

    def find(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """One object as it is now; not to be changed."""
        stored = self.store.get(kind, f"{namespace}/{name}")
        return stored.document if stored else None

    def all(self, kind: Kind, namespace: str = "") -> list[Json]:
        """All objects of a kind as they are now; not to be changed."""
        return [stored.document for _, stored in self.store.all(kind, namespace)]

    def timestamp(self, moment: datetime | None = None) -> str:
        """A time as Kubernetes writes it, to the second; now by default."""
        return (moment or self._now()).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    # Requests -----------------------------------------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        """Serve one request that is no watch."""
        self.request = request
        try:
            return self._serve(request)
        except Refusal as refusal:
            retry_after = None if refusal.retry_after is None else str(refusal.retry_after)
            return Response(refusal.code, orjson.dumps(refusal.document()), retry_after)
        finally:
            self.request = None

    def watch(self, request: Request) -> Watch:
        """Open a watch; an error that the real server answers in the stream is its only event. Refusal otherwise."""
        place = self._place(request)
        watch = open_watch(self.store, place, request.params)
        self.watches[watch] = None
        watch.on_close = lambda: self.watches.pop(watch, None)
        return watch

    def _tell(self, commit: Any) -> None:
        for watch in list(self.watches):
            watch.offer(commit)

    def _place(self, request: Request) -> Place:
        place = place_of(request.path)
        if place is None:
            raise refusals.unknown_path()
        return place

    def _serve(self, request: Request) -> Response:
        served = api_resources(request.path) if request.method == "GET" else None
        if served is not None:
            return Response(200, orjson.dumps(served))
        place = self._place(request)
        if unknown := set(request.params) - _KNOWN_PARAMS[request.method]:
            raise Unmodelled(f"{request.method} {request.path} with {unknown}")
        if request.body is not None and len(request.body) > LARGEST_REQUEST:
            message = f"Request entity too large: limit is {LARGEST_REQUEST}"
            raise Refusal(413, "RequestEntityTooLarge", message, {})
        match request.method, place.name:
            case "GET", None:
                return self._list(place, request)
            case "GET", _:
                if request.partial == "list":
                    raise refusals.not_acceptable(place.kind, is_list=False)
                if place.subresource not in (None, "status"):
                    raise refusals.unknown_path()
                return _answer(200, self._existing(place), request)
            case "POST", None:
                return _answer(201, self._create(place, request), request)
            case "POST", _ if place.kind is PODS and place.subresource == "binding":
                return self._bind(place, request)
            case "PUT", str():
                return _answer(200, self._replace(place, request), request)
            case "PATCH", str():
                return _answer(200, self._patch(place, request), request)
            case "DELETE", None:
                return self._delete_collection(place, request)
            case "DELETE", _:
                return self._delete(place, request)
        raise Refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})

    def _existing(self, place: Place) -> Stored:
        assert place.name is not None
        stored = self.store.get(place.kind, place.key(place.name))
        if stored is None:
            raise refusals.not_found(place.kind, place.name)
        return stored

    # Lists --------------------------------------------------------------------------------------------------------

    def _list(self, place: Place, request: Request) -> Response:
        if request.partial is True:
            raise refusals.not_acceptable(place.kind, is_list=True)
        listed, head = self._page(place, request.params)
        kind = place.kind
        if request.partial == "table":
            if not kind.is_custom:
                raise Unmodelled(f"a table of {kind.plural}")
            return Response(200, orjson.dumps(table(kind, listed, head)))
        if request.partial == "list":
            head = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": head}
            items = [_partial(stored) for stored in listed]
        else:
            head = {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": head}
            items = [stored.encoded for stored in listed]
        body = orjson.dumps(head)[:-1] + b',"items":[' + b",".join(items) + b"]}"
        return Response(200, body)

    def _page(self, place: Place, params: Mapping[str, Any]) -> tuple[list[Stored], Json]:
        """The objects of one page, and the metadata of the list."""
        if params.get("resourceVersion", "") not in ("", "0"):
            raise Unmodelled("a list at a given version")
        matches = selection(place.kind, str(params.get("labelSelector", "")), str(params.get("fieldSelector", "")))
        limit, token = int(params.get("limit", 0)), str(params.get("continue", ""))
        revision, start = self.store.revision, ""
        if token:
            revision, start = _read_token(token)
            if revision == -1:
                revision = self.store.revision
            known = self.store.snapshot(place.kind, revision)
            if known is None:
                raise refusals.expired_continue(_write_token(-1, start))
            candidates = iter(known)
        else:
            candidates = self.store.all(place.kind, place.namespace)
        found: list[Stored] = []
        head: Json = {"resourceVersion": str(revision)}
        prefix = f"{place.namespace}/" if place.namespace else ""
        for key, stored in candidates:
            if key < start or not key.startswith(prefix):
                continue
            if limit and len(found) == limit:
                # There is more, though perhaps nothing that is selected: the last page may be empty.
                self.store.snapshot(place.kind, revision)
                head["continue"] = _write_token(revision, key)
                break
            if matches(stored.document):
                found.append(stored)
        return found, head

    # Writes -------------------------------------------------------------------------------------------------------

    def _create(self, place: Place, request: Request) -> Stored:
        kind, document = place.kind, _parsed(request.body)
        given = document.get("metadata") or {}
        metadata = meta.without_empty({name: value for name, value in given.items() if name not in meta.OWN})
        if given.get("resourceVersion"):
            raise Refusal(500, "", "resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = f"{metadata['generateName']}{next(self._generated):05}"
        name = metadata.get("name", "")
        if given.get("namespace") not in (None, "", place.namespace):
            raise refusals.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        if kind.namespaced:
            if not place.namespace:
                raise refusals.bad_request("an empty namespace may not be set during creation")
            metadata["namespace"] = place.namespace
        metadata |= {"uid": self._new_uid(), "creationTimestamp": self.timestamp()}
        document = behaviours.made(kind, {**document, "metadata": metadata})
        document = admit(self, Attributes("CREATE", place, name, document, None, request))
        document, problems = behaviours.checked(kind, document, None)
        if problems:
            raise refusals.invalid(kind, name, problems)
        if self.store.get(kind, place.key(name)) is not None:
            raise refusals.already_exists(kind, name)
        self._check_size(place.kind, document)
        return self.store.put(kind, place.key(name), document)

    def _replace(self, place: Place, request: Request) -> Stored:
        old, new = self._existing(place), _parsed(request.body)
        metadata = new.setdefault("metadata", {})
        uid = metadata.get("uid")
        if uid and uid != old.metadata["uid"]:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old.metadata['uid']}"
            raise refusals.conflict(place.kind, str(place.name), why)
        if place.kind.needs_version and not metadata.get("resourceVersion"):
            problem = refusals.Problem("metadata.resourceVersion", "Invalid value: 0: must be specified for an update")
            raise refusals.invalid(place.kind, str(place.name), [problem])
        return self._update(place, old, new, request)

    def _patch(self, place: Place, request: Request) -> Stored:
        old = self._existing(place)
        if request.content_type != _MERGE_PATCH:
            raise Unmodelled(f"a patch of type {request.content_type}")
        patch = _parsed(request.body)
        if place.subresource not in (None, "status"):
            raise Unmodelled(f"subresource {place.subresource}")
        return self._update(place, old, merged(old.document, patch), request)

    def _update(self, place: Place, old: Stored, new: Json, request: Request) -> Stored:
        kind, name = place.kind, str(place.name)
        if place.subresource not in (None, "status") or (place.subresource and not kind.has_status):
            raise refusals.unknown_path()
        given = new["metadata"]
        if given.get("resourceVersion") not in (None, "", old.metadata["resourceVersion"]):
            raise refusals.modified(kind, name)
        problems = meta.problems_of_change(given, old.metadata)
        new = behaviours.changed(
            kind, {**new, "metadata": meta.kept(given, old.metadata)}, old.document, place.subresource
        )
        new = admit(self, Attributes("UPDATE", place, name, new, old.document, request))
        new, more = behaviours.checked(kind, new, old.document)
        if problems or more:
            raise refusals.invalid(kind, name, problems + more)
        if new == old.document:
            return old
        if Deletion.is_due(new, old.document):
            return self.store.remove(kind, place.key(name))
        self._check_size(place.kind, new)
        return self.store.put(kind, place.key(name), new)

    def _bind(self, place: Place, request: Request) -> Response:
        old = self._existing(place)
        target = (_parsed(request.body).get("target") or {}).get("name", "")
        bound = old.document["spec"].get("nodeName")
        if bound or "deletionTimestamp" in old.metadata:
            why = f"pod {place.name} is already assigned to node" if bound else f"pod {place.name} is being deleted"
            raise refusals.conflict(Kind("", "v1", "pods/binding", "Binding"), str(place.name), why)
        condition = {"type": "PodScheduled", "status": "True", "lastTransitionTime": self.timestamp()}
        status = {**old.document["status"], "conditions": [condition]}
        spec = {**old.document["spec"], "nodeName": target}
        self.store.put(place.kind, place.key(str(place.name)), {**old.document, "spec": spec, "status": status})
        return Response(201, orjson.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}))

    # Deletion -----------------------------------------------------------------------------------------------------

    def _delete(self, place: Place, request: Request) -> Response:
        options = _parsed(request.body) if request.body else {}
        stored, gone = self._delete_one(place, self._existing(place), options)
        if gone and not behaviours.returns_deleted(place.kind):
            details = {
                "name": place.name,
                **({"group": place.kind.group} if place.kind.group else {}),
                "kind": place.kind.plural,
                "uid": stored.metadata["uid"],
            }
            status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
            return Response(200, orjson.dumps(status))
        return _answer(200, stored, request)

    def _delete_collection(self, place: Place, request: Request) -> Response:
        options = _parsed(request.body) if request.body else {}
        found, head = self._page(place, request.params)
        deleted = []
        for stored in found:
            metadata = stored.metadata
            each = Place(place.kind, metadata.get("namespace", ""), metadata["name"], None)
            now = self.store.get(place.kind, each.key(metadata["name"]))
            if now is not None:
                deleted.append(self._delete_one(each, now, options)[0])
        documents = [_partial(stored) if request.partial == "list" else stored.encoded for stored in deleted]
        kind = "PartialObjectMetadataList" if request.partial == "list" else f"{place.kind.name}List"
        version = "meta.k8s.io/v1" if request.partial == "list" else place.kind.api_version
        top = orjson.dumps({"kind": kind, "apiVersion": version, "metadata": head})
        return Response(200, top[:-1] + b',"items":[' + b",".join(documents) + b"]}")

    def _delete_one(self, place: Place, old: Stored, options: Json) -> tuple[Stored, bool]:
        """The object as it was last, and whether it is gone for good."""
        kind, name = place.kind, str(place.name)
        admit(self, Attributes("DELETE", place, name, old.document, old.document, self.request))
        marked, gone = Deletion(kind, options, self._now()).apply(name, old.document)
        stored = old
        if marked is not None and marked != old.document:
            stored = self.store.put(kind, place.key(name), marked)
        if gone:
            return self.store.remove(kind, place.key(name)), True
        return stored, False

    def _check_size(self, kind: Kind, document: Json) -> None:
        status = self.request is not None and self.request.path.endswith("/status")
        largest = self.largest.get(kind, LARGEST_OBJECT) if status else LARGEST_OBJECT
        written = orjson.dumps(document)
        # As Go writes it, which takes six bytes for these.
        escapes = sum(written.count(each) for each in (b"<", b">", b"&")) if len(written) > largest // 6 else 0
        if len(written) + 5 * escapes > largest:
            raise Refusal(500, "", "etcdserver: request is too large")


def _parsed(body: bytes | None) -> Json:
    try:
        document = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise refusals.bad_request(f"the object provided is unrecognized: {error}") from error
    if not isinstance(document, dict):
        raise refusals.bad_request("the object provided is unrecognized: it is no object")
    return document


def _partial(stored: Stored) -> bytes:
    return b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":%s}' % orjson.dumps(
        stored.metadata
    )


def _answer(status: int, stored: Stored, request: Request) -> Response:
    return Response(status, _partial(stored) if request.partial is True else stored.encoded)


def _write_token(revision: int, start: str) -> str:
    document = {"v": "meta.k8s.io/v1", "rv": revision, "start": start}
    return base64.urlsafe_b64encode(orjson.dumps(document)).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, str]:
    try:
        document = orjson.loads(base64.urlsafe_b64decode(token + "=="))
        return document["rv"], document["start"]
    except (ValueError, KeyError, TypeError) as error:
        raise refusals.bad_request(f"continue key is not valid: {error}") from error
