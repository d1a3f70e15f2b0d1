"""A cluster in memory with a controller that is the leader, and that may be killed and restarted."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from tests.apiserver import ApiServer, MemoryClient, Request, Response
from tests.apiserver.kinds import BY_PLURAL, place_of
from tradewind.api import names
from tradewind.controller.process.controller import Controller
from tradewind.controller.process.settings import Settings
from tradewind.kube.clock import SYSTEM_CLOCK, Clock
from tradewind.kube.errors import ApiError, Unreachable

Json = dict[str, Any]
Hook = Callable[[str, str, str, Json], None]
"""(method, plural, name, body); what it raises is the answer."""

SECONDS = 60.0
MERGE_PATCH = "application/merge-patch+json"


def nothing(method: str, plural: str, name: str, body: Json) -> None:
    """A hook that lets everything pass."""


def days_ago(days: int) -> str:
    """Midnight, in UTC, of the day so many days before today."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_ended(pod: Json) -> bool:
    """Whether the controller has asked for the end of a Pod."""
    metadata = pod["metadata"]
    return "deletionTimestamp" in metadata or names.ANNOTATION_ENDED in metadata.get("annotations", {})


class MemoryCluster:
    """The namespace `ns`, with Dags of one task; whether the Pods of a run fail is said with the run."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self.server = ApiServer(now=lambda: datetime.now(UTC), new_uid=lambda: str(uuid.uuid4()))
        self.before_request: Callable[[Request], None] = lambda request: None
        """Called with each request of the controller; what it raises is the answer."""
        self.before_write: Hook = nothing
        """Called with each write of the controller before it takes effect."""
        self.hold: Callable[[str, str, Json], bool] = lambda plural, name, body: False
        """Whether the answer to a write of the controller is held back until `released`."""
        self.released = asyncio.Event()
        self.after_write: Hook = nothing
        """Called once it has."""
        self.controller: Controller
        self.controllers: list[Controller] = []
        """All that there were."""
        self.failures_expected = False
        """True if the test causes unexpected failures."""
        self._client: _Client
        self._task: asyncio.Task[None] | None = None
        self.fails: set[str] = set()
        """Runs whose Pods fail."""
        self.stays: set[str] = set()
        """Runs whose Pods keep running until they are finished by `kubelet`."""
        self.namespace = "ns"
        """Where what is asked for is made and looked for."""
        self._ask("POST", "namespaces", "", {"metadata": {"name": "ns"}})

    # ---- the controller

    async def start(self, **options: Any) -> None:
        """Start a controller, and return once it leads. `options` are settings."""
        self._client = _Client(self)
        settings = Settings(pod_namespace="ns", identity=f"controller-{uuid.uuid4()}", **options)
        self.controller = Controller(settings, self._client, clock=self._clock)
        self.controllers.append(self.controller)
        self._task = asyncio.create_task(self.controller.run())
        await self.eventually(lambda: self.controller.leader is not None, "a controller leads")

    def die(self) -> None:
        """Its process is lost in the middle of what it does, which is not answered any more."""
        self._client.dead = True
        raise Unreachable("the process is dead")

    async def kill(self) -> None:
        """Its process is lost: it writes nothing more. The time until another may lead passes."""
        self._client.dead = True
        await self.controller.writer.stop()  # or it would try for seconds to reach the server
        await self.stop()
        self.delete("leases", "tradewind-controller")

    async def stop(self) -> None:
        """End it well."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup):
                await self._task
            self._task = None

    @property
    def failures(self) -> int:
        """Steps, tasks and event handlers that failed, in all controllers; otherwise these failures would not be
        noticed."""
        count = 0
        for controller in self.controllers:
            count += int(controller.metrics.registry.get_sample_value("tradewind_loop_failures_total") or 0)
            count += sum(informer.callback_errors for informer in controller.cluster.informers)
        return count

    # ---- what a person does and sees

    @contextlib.contextmanager
    def within(self, namespace: str) -> Iterator[None]:
        """In another namespace than `ns`."""
        before, self.namespace = self.namespace, namespace
        try:
            yield
        finally:
            self.namespace = before

    def dag(self, name: str, **spec: Any) -> None:
        """Create a Dag, with one task by default."""
        tasks = [{"name": "load", "image": "busybox", "args": ["load"]}]
        self._ask("POST", "dags", "", {"metadata": {"name": name}, "spec": {"tasks": tasks, **spec}})

    def ask(self, run: str, kind: str, **fields: Any) -> str:
        """Ask something of a run; the id of the request."""
        request = {"id": str(uuid.uuid4()), "type": kind, "requestedBy": "alice", **fields}
        self.patch("dagruns", run, spec={"request": request})
        return str(request["id"])

    async def wait_asked(self, run: str, request: str) -> Json:
        """The record of a request, once it was dealt with and is removed."""

        def record() -> Json | None:
            if "request" in self.get("dagruns", run)["spec"]:
                return None
            records = self.status("dagruns", run).get("requests", ())
            return next((each for each in records if each["id"] == request), None)

        found: Json = await self.eventually(record, f"the request {request} on {run} is dealt with")
        return found

    def run(self, dag: str, name: str, *, fails: bool = False, **spec: Any) -> None:
        """Make a DagRun whose Pod succeeds or fails at once."""
        if fails:
            self.fails.add(name)
        self._ask("POST", "dagruns", "", {"metadata": {"name": name}, "spec": {"dag": dag, **spec}})

    def create(self, plural: str, name: str, *, metadata: Json | None = None, **fields: Any) -> None:
        """Make an object of any kind."""
        self._ask("POST", plural, "", {"metadata": {"name": name, **(metadata or {})}, **fields})

    def repair(self, run: str) -> None:
        """From now on the Pods of a run succeed."""
        self.fails.discard(run)

    def patch(self, plural: str, name: str, *, subresource: str = "", **fields: Any) -> None:
        """Merge something into an object."""
        self._ask("PATCH", plural, name, fields, subresource)

    def delete(self, plural: str, name: str) -> None:
        """Delete an object."""
        self._ask("DELETE", plural, name)

    def get(self, plural: str, name: str) -> Json:
        """An object, {} if there is none."""
        return self.server.find(BY_PLURAL[plural], self.namespace, name) or {}

    def status(self, plural: str, name: str) -> Json:
        """Its status, {} before there is one."""
        return self.get(plural, name).get("status") or {}

    def end(self, pod: str, run: str) -> None:
        """The container of a Pod of `stays` ends as its run says; if the Pod is being deleted it goes."""
        self.kubelet(pod, run)
        if "deletionTimestamp" in self.get("pods", pod)["metadata"]:
            self._ask("DELETE", "pods", pod, {"gracePeriodSeconds": 0})

    def all(self, plural: str) -> list[Json]:
        """The objects of a kind."""
        return self.server.all(BY_PLURAL[plural], self.namespace)

    def names(self, plural: str) -> list[str]:
        """Names of all objects of a kind."""
        return [found["metadata"]["name"] for found in self.all(plural)]

    def succeeded(self) -> int:
        """Return the number of succeeded runs."""
        return sum(self.status("dagruns", run).get("phase") == "Succeeded" for run in self.names("dagruns"))

    def events(self, kind: str, name: str) -> list[Json]:
        """Events about an object."""
        about = [event for event in self.all("events") if event["regarding"]["name"] == name]
        return [event for event in about if event["regarding"]["kind"] == kind]

    async def eventually(self, holds: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
        """The first true value of `holds()`."""
        deadline = time.monotonic() + seconds
        while not (value := holds()):
            dags = self.server.all(BY_PLURAL["dags"])
            assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}\n{dags}"
            await asyncio.sleep(0.01)
        return value

    async def wait_phase(self, run: str, phase: str) -> Json:
        """The status of a run, once it is in a phase."""
        await self.eventually(lambda: self.status("dagruns", run).get("phase") == phase, f"{run} is {phase}")
        return self.status("dagruns", run)

    # ---- below

    def _ask(self, method: str, plural: str, name: str, body: Json | None = None, subresource: str = "") -> None:
        kind = BY_PLURAL[plural]
        path = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        path += f"/namespaces/{self.namespace}/{plural}" if kind.namespaced else f"/{plural}"
        path += "".join(f"/{part}" for part in (name, subresource) if part)
        data = orjson.dumps(body) if body is not None else None
        content_type = MERGE_PATCH if method == "PATCH" else None
        answer = self.server.handle(Request(method=method, path=path, body=data, content_type=content_type))
        assert answer.status < 400 or method == "DELETE", answer.document

    def begin(self, pod: str) -> None:
        """A Pod runs."""
        state = {"running": {"startedAt": self.server.timestamp()}}
        status = {"phase": "Running", "containerStatuses": [{"name": "task", "state": state}]}
        self._ask("POST", "pods", pod, {"target": {"kind": "Node", "name": "node"}}, "binding")
        self._ask("PATCH", "pods", pod, {"status": status}, "status")

    def kubelet(self, pod: str, run: str) -> None:
        """A Pod runs to its end."""
        now, fails = self.server.timestamp(), run in self.fails
        ended = {"exitCode": int(fails), "reason": "Error" if fails else "Completed"}
        state = {"terminated": {**ended, "startedAt": now, "finishedAt": now}}
        phase = "Failed" if fails else "Succeeded"
        status: Json = {"phase": phase, "containerStatuses": [{"name": "task", "state": state}]}
        if names.ANNOTATION_ENDED in self.get("pods", pod)["metadata"]["annotations"]:
            status |= {"phase": "Failed", "reason": "DeadlineExceeded"}
        self._ask("PATCH", "pods", pod, {"status": status}, "status")


class _Client(MemoryClient):
    """The client of one controller; once `dead`, nothing of what it asks arrives."""

    def __init__(self, cluster: MemoryCluster) -> None:
        super().__init__(cluster.server)
        self._cluster = cluster
        self.dead = False

    async def _exchange_in_memory(self, request: Request, timeout: float) -> Response:
        await asyncio.sleep(0)
        if self.dead:
            raise Unreachable("the process is dead")
        self._cluster.before_request(request)
        place = place_of(request.path)
        if request.method == "GET" or place is None:
            return self.server.handle(request)
        body: Json = orjson.loads(request.body) if request.body else {}
        name = place.name or body.get("metadata", {}).get("name", "")
        self._cluster.before_write(request.method, place.kind.plural, name, body)
        answer = self.server.handle(request)
        if answer.status < 400:
            if request.method == "POST" and place.kind.plural == "pods":
                run = body["metadata"]["labels"]["tradewind.dev/run"]
                with self._cluster.within(place.namespace):
                    if run in self._cluster.stays:
                        self._cluster.begin(name)
                    else:
                        self._cluster.kubelet(name, run)
            self._cluster.after_write(request.method, place.kind.plural, name, body)
            if self._cluster.hold(place.kind.plural, name, body):
                await self._cluster.released.wait()
        return answer


__all__ = ["ApiError", "Hook", "Json", "MemoryCluster", "Unreachable", "days_ago", "is_ended", "nothing"]
