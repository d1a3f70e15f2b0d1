"""A few paths of an API server, enough for the cluster commands: our kinds, Pods, and the ways to say no."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

DAG = {
    "apiVersion": "tradewind.dev/v1alpha1",
    "kind": "Dag",
    "metadata": {"name": "sales", "namespace": "default", "uid": "5a1e5", "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {
        "schedule": "@daily",
        "owner": "analytics",
        "params": {"rows": {"type": "integer", "default": 1}},
        "tasks": [{"name": "extract", "noop": True}],
    },
    "status": {
        "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": ""}],
        "activeRuns": 1,
        "lastRunPhase": "Succeeded",
        "nextScheduleTime": "2026-02-01T00:00:00Z",
    },
}


class FakeCluster:
    """What the server holds and what it was asked. `status` and `text` make every answer an error."""

    def __init__(self) -> None:
        self.dags: dict[str, Any] = {"sales": json.loads(json.dumps(DAG))}
        self.runs: dict[str, Any] = {}
        self.backfills: dict[str, Any] = {}
        self.pods: list[Any] = []
        self.namespaces = {"default"}
        self.requests: list[tuple[str, str, Any]] = []
        self.refuse: tuple[int, str] | None = None
        self.steps: list[dict[str, Any]] = []
        """Statuses that a DagRun or Backfill takes, one with each GET."""
        self.revisions: dict[str, Any] = {}
        """Data of ControllerRevisions by name."""
        self.user: str | None = "ann"
        """Who asks; None: that cannot be asked."""
        self.controller: Callable[[dict[str, Any]], None] = lambda run: None
        """Called with a DagRun after each GET of it: what it does is seen by the next one."""
        self.logs: dict[tuple[str, str], str | None] = {}
        """Logs by Pod and container; None: the Pod goes before it is read."""
        self.when_listed: Callable[[], None] = lambda: None
        """Called before each list of Pods."""
        self.conflicts = 0
        """So many PATCHes come to the wrong time."""
        self.lost_answers = 0
        """So many PATCHes take effect, and the answer is an error."""

    def answer(self, method: str, url: str, body: Any) -> tuple[int, Any]:
        """The answer to one request."""
        split = urlsplit(url)
        self.requests.append((method, url, body))
        if self.refuse:
            return self.refuse
        parts = split.path.strip("/").split("/")
        if parts[:2] == ["api", "v1"]:
            return self._core(parts[2:], parse_qs(split.query))
        if parts[-1] == "selfsubjectreviews":
            who = {"status": {"userInfo": {"username": self.user}}}
            return (201, who) if self.user else _status(403, "selfsubjectreviews is forbidden: User may not")
        if parts[-2] == "controllerrevisions":
            kept = self.revisions.get(parts[-1])
            return (200, {"data": kept}) if kept else _status(404, f'controllerrevisions "{parts[-1]}" not found')
        if "namespaces" not in parts:
            return 200, {"items": list(self._objects(parts[-1]).values())}
        namespace, plural, *rest = parts[4:]
        return self._own(method, namespace, plural, rest, body, parse_qs(split.query))

    def _own(
        self, method: str, namespace: str, plural: str, rest: list[str], body: Any, query: dict[str, list[str]]
    ) -> tuple[int, Any]:
        objects = self._objects(plural)
        if namespace not in self.namespaces:
            objects = {}
        if method == "POST":
            if namespace not in self.namespaces:
                return _status(404, f'namespaces "{namespace}" not found')
            if "generateName" in body["metadata"]:
                body["metadata"]["name"] = body["metadata"].pop("generateName") + "x7k2p"
            body["metadata"]["namespace"] = namespace
            objects[body["metadata"]["name"]] = body
            return 201, body
        if not rest:
            selector = query.get("fieldSelector", [""])[0].removeprefix("spec.dag=")
            return 200, {
                "items": [each for each in objects.values() if not selector or each["spec"]["dag"] == selector]
            }
        if rest[0] not in objects:
            return _status(404, f'{plural}.tradewind.dev "{rest[0]}" not found')
        if method == "PATCH":
            return self._patch(objects[rest[0]], body)
        if method == "DELETE":
            return 200, objects.pop(rest[0])
        if plural != "dags" and self.steps:
            objects[rest[0]]["status"] = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        answer = json.loads(json.dumps(objects[rest[0]]))
        if plural == "dagruns":
            self.controller(objects[rest[0]])
        return 200, answer

    def _patch(self, found: dict[str, Any], body: dict[str, Any]) -> tuple[int, Any]:
        uid = body.get("metadata", {}).get("uid")
        if self.conflicts or uid not in (None, found["metadata"].get("uid")):
            self.conflicts -= 1
            return _status(409, "the object has been modified", "Conflict")
        if "request" in body["spec"] and found["spec"].get("request"):
            return _status(422, "spec: Invalid value: another request is pending: wait until it is applied")
        found["spec"] = {name: value for name, value in {**found["spec"], **body["spec"]}.items() if value is not None}
        if self.lost_answers:
            self.lost_answers -= 1
            return _status(504, "the server did not answer in time")
        return 200, found

    def _objects(self, plural: str) -> dict[str, Any]:
        return {"dags": self.dags, "dagruns": self.runs, "backfills": self.backfills}[plural]

    def _core(self, parts: list[str], query: dict[str, list[str]]) -> tuple[int, Any]:
        if len(parts) == 2:
            found = parts[1] in self.namespaces
            return (200, {}) if found else _status(404, f'namespaces "{parts[1]}" not found')
        if parts[-1] == "log":
            return self._log(parts[3], query)
        self.when_listed()
        wanted = dict(pair.split("=") for pair in query["labelSelector"][0].split(","))
        return 200, {"items": [pod for pod in self.pods if wanted.items() <= pod["metadata"]["labels"].items()]}

    def _log(self, pod: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        container = query["container"][0]
        text = self.logs.get((pod, container), f"the log of {pod}\n")
        if text is None:
            return _status(404, f'pods "{pod}" not found')
        lines = text.splitlines(keepends=True)
        tail = int(query.get("tailLines", [str(len(lines))])[0])
        return 200, "".join(lines[len(lines) - tail :])


def _status(code: int, message: str, reason: str = "") -> tuple[int, Any]:
    answer = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return code, {**answer, "reason": reason}


@contextmanager
def served(cluster: FakeCluster, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serves the cluster on this machine; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            code, answer = cluster.answer(self.command, self.path, body)
            plain = isinstance(answer, str)
            content = (answer if plain else json.dumps(answer)).encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain" if plain else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815 - the base class's names

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the output is the tests'."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
