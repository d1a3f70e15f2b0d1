"""The API server in memory, as the cluster commands meet it: with Pods' logs, a user, and answers that get lost."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from tests.apiserver import ApiServer, Attributes, Refusal, Request, Response, behaviours, refusals
from tests.apiserver.kinds import BY_PLURAL, PODS, place_of
from tests.apiserver.merging import merged

Json = dict[str, Any]

NAMESPACE = "default"


def condition(kind: str, status: str, reason: str, message: str) -> Json:
    """A condition as the controller writes it."""
    made = {"type": kind, "status": status, "reason": reason, "message": message}
    return {**made, "lastTransitionTime": "2026-01-01T00:00:00Z"}


DAG: Json = {
    "spec": {
        "schedule": "@daily",
        "owner": "analytics",
        "params": {"rows": {"type": "integer", "default": 1}},
        "tasks": [{"name": "extract", "noop": True}],
    },
    "status": {
        "conditions": [condition("Accepted", "True", "Valid", "the Dag can run")],
        "activeRuns": 1,
        "lastRunPhase": "Succeeded",
        "nextScheduleTime": "2026-02-01T00:00:00Z",
    },
}


class FakeCluster:
    """The namespace `default` with the Dag `sales`; `controller` may be one."""

    def __init__(self) -> None:
        self.server = ApiServer(now=lambda: datetime.now(UTC), new_uid=lambda: str(uuid.uuid4()))
        self.server.admission.append(self._refuse_in_between)
        self.requests: list[Request] = []
        self.refuse: tuple[int, str] | None = None
        """The code and body of every answer."""
        self.steps: list[Json] = []
        """Statuses that a DagRun or Backfill takes, one with each GET; the last one stays."""
        self.user: str | None = "ann"
        """The user who sends requests; None if it cannot be determined."""
        self.controller: Callable[[Json], None] = lambda run: None
        """Called with a DagRun after each GET of it: what it changes is seen by the next one."""
        self.logs: dict[tuple[str, str], str | None] = {}
        """Logs by Pod and container; None: the Pod goes before it is read."""
        self.when_listed: Callable[[], None] = lambda: None
        """Called before each list of Pods."""
        self.conflicts = 0
        """So many PATCHes come to the wrong time."""
        self.lost_answers = 0
        """So many PATCHes take effect, and the answer is an error."""
        self._lock = threading.RLock()
        self.put("dags", "sales", **DAG)

    # What there is ------------------------------------------------------------------------------------------------

    def put(self, plural: str, name: str, *, metadata: Mapping[str, Any] | None = None, **fields: Any) -> None:
        """Store an object, with a status and metadata that only others write. Its schema must allow it."""
        kind = BY_PLURAL[plural]
        always = {"name": name, "namespace": NAMESPACE, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"}
        document = {"metadata": {**always, **(metadata or {})}, **copy.deepcopy(fields)}
        document, problems = behaviours.checked(kind, document, None)
        assert not problems, problems
        with self._lock:
            self.server.store.put(kind, f"{NAMESPACE}/{name}", document)

    def change(self, plural: str, name: str, **fields: Any) -> None:
        """Merge something into an object."""
        with self._lock:
            self._store(plural, merged(self.get(plural, name), fields))

    def remove(self, plural: str, name: str) -> None:
        """An object is no more."""
        with self._lock:
            self.server.store.remove(BY_PLURAL[plural], f"{NAMESPACE}/{name}")

    def get(self, plural: str, name: str) -> Json:
        """A copy of an object."""
        found = self.server.find(BY_PLURAL[plural], NAMESPACE, name)
        assert found is not None, f"there is no {name} among the {plural}"
        return copy.deepcopy(found)

    def names(self, plural: str) -> list[str]:
        """The names of all of a kind."""
        return [found["metadata"]["name"] for found in self.server.all(BY_PLURAL[plural], NAMESPACE)]

    def _store(self, plural: str, document: Json) -> None:
        fields = {name: document[name] for name in document if name not in ("apiVersion", "kind", "metadata")}
        self.put(plural, document["metadata"]["name"], metadata=document["metadata"], **fields)

    # What it answers ----------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        """The answer to one request."""
        self.requests.append(request)
        if self.refuse:
            return Response(self.refuse[0], self.refuse[1].encode())
        if request.path.endswith("/selfsubjectreviews"):
            return self._who_asks()
        place = place_of(request.path)
        if place is None or request.method != "GET":
            return self._handled(request)
        if place.subresource == "log":
            return self._log(str(place.name), request.params)
        if place.kind is PODS:
            self.when_listed()
        plural, name = place.kind.plural, place.name
        if name is None or plural not in ("dagruns", "backfills"):
            return self._handled(request)
        if self.steps and name in self.names(plural):
            status = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
            self._store(plural, {**self.get(plural, name), "status": status})
        response = self._handled(request)
        if plural == "dagruns" and response.status == 200:
            self._reconcile(name)
        return response

    def _handled(self, request: Request) -> Response:
        with self._lock:
            response = self.server.handle(request)
        if request.method == "PATCH" and response.status < 400 and self.lost_answers:
            self.lost_answers -= 1
            return _refused(Refusal(504, "Timeout", "the server did not answer in time"))
        return response

    def _reconcile(self, name: str) -> None:
        before = self.get("dagruns", name)
        run = copy.deepcopy(before)
        self.controller(run)
        if run != before:
            self._store("dagruns", run)

    def _refuse_in_between(self, attributes: Attributes) -> None:
        if attributes.operation == "UPDATE" and self.conflicts:
            self.conflicts -= 1
            raise refusals.modified(attributes.kind, attributes.name)

    def _who_asks(self) -> Response:
        if self.user is None:
            return _refused(Refusal(403, "Forbidden", "selfsubjectreviews is forbidden: User may not"))
        return Response(201, orjson.dumps({"status": {"userInfo": {"username": self.user}}}))

    def _log(self, pod: str, params: Mapping[str, Any]) -> Response:
        text = self.logs.get((pod, params["container"]), f"the log of {pod}\n")
        if text is None:
            return _refused(refusals.not_found(PODS, pod))
        lines = text.splitlines(keepends=True)
        tail = int(params.get("tailLines", len(lines)))
        return Response(200, "".join(lines[len(lines) - tail :]).encode())


def _refused(refusal: Refusal) -> Response:
    return Response(refusal.code, orjson.dumps(refusal.document()))
