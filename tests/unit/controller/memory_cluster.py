"""A cluster in memory with a controller on it that leads, may be killed and started anew."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from memory_api import Json, MemoryApi, MemoryClient

from tradewind.controller.controller import Controller
from tradewind.controller.settings import Settings

SECONDS = 10.0
ENDED = {"startedAt": "2026-03-01T06:00:05Z", "finishedAt": "2026-03-01T06:00:50Z"}


class MemoryCluster:
    """Dags with one task; whether the Pods of a run fail is said with the run."""

    def __init__(self) -> None:
        self.api = MemoryApi()
        self.api.after_write = self._kubelet
        self.controller: Controller
        self._client: MemoryClient
        self._task: asyncio.Task[None] | None = None

    # ---- the controller

    async def start(self) -> None:
        """Start a controller, and return once it leads."""
        self._client = MemoryClient(self.api)
        self.controller = Controller(Settings(pod_namespace="ns", identity=f"controller-{id(self)}"), self._client)
        self._task = asyncio.create_task(self.controller.run())
        await self.eventually(lambda: self.controller.leader is not None, "a controller leads")

    async def kill(self) -> None:
        """Its process is lost: it writes nothing more, and does not release its lease."""
        self._client.dead = True
        await self.stop()
        self.api.objects.pop(("leases", "ns", "tradewind-controller"), None)

    async def stop(self) -> None:
        """End it well."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup):
                await self._task
            self._task = None

    # ---- what a person does and sees

    def dag(self, name: str, **spec: Any) -> None:
        """Make a Dag of one task."""
        tasks = [{"name": "load", "image": "busybox", "args": ["load"]}]
        self.api.create("dags", name, spec={"tasks": tasks, **spec})

    def run(self, dag: str, name: str, *, fails: bool = False, **spec: Any) -> None:
        """Make a DagRun whose Pod succeeds or fails at once."""
        annotations = {"fails": "yes"} if fails else {}
        self.api.objects["outcomes", "ns", name] = {"fails": fails, "metadata": annotations}
        self.api.create("dagruns", name, spec={"type": "Manual", "dag": dag, **spec})

    def events(self, kind: str, name: str) -> list[Json]:
        """Events about an object."""
        about = [event for event in self.api.all("events") if event["regarding"]["name"] == name]
        return [event for event in about if event["regarding"]["kind"] == kind]

    async def eventually(self, holds: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
        """The first true value of `holds()`."""
        deadline = time.monotonic() + seconds
        while not (value := holds()):
            assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}\n{self.api.all('dags')}"
            await asyncio.sleep(0.01)
        return value

    async def wait_phase(self, run: str, phase: str) -> Json:
        """The status of a run, once it is in a phase."""
        await self.eventually(lambda: self.api.status("dagruns", run).get("phase") == phase, f"{run} is {phase}")
        return self.api.status("dagruns", run)

    def _kubelet(self, method: str, place: tuple[str, str, str], body: Json) -> None:
        if method == "POST" and place[0] == "pods":
            run = body["metadata"]["labels"]["tradewind.dev/run"]
            fails = self.api.get("outcomes", run).get("fails", False)
            state = {"terminated": {**ENDED, "exitCode": int(fails), "reason": "Error" if fails else "Completed"}}
            status = {
                "phase": "Failed" if fails else "Succeeded",
                "containerStatuses": [{"name": "task", "state": state}],
            }
            self.api.patch("pods", place[2], subresource="status", status=status)
