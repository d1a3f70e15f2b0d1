"""A small cluster whose runs people ask something of, at any moment, again and again."""

from __future__ import annotations

from typing import Any

from tests.property.small_cluster import World, report, require
from tradewind.api.run_request import RunRequest
from tradewind.engine.requests import Decision, Version, apply_request, is_known
from tradewind.engine.run.known_tries import is_obsolete
from tradewind.engine.run.slots import Slots
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import TryEvent, TryKey
from tradewind.engine.scheduler import Start
from tradewind.engine.status.restore import load
from tradewind.engine.status.run_status import run_status

Instance = tuple[str, str, int | None]
"""(run, task, index)"""


class AskedWorld(World):
    """Requests are applied by a controller that dies as soon as it has written the status."""

    def __post_init__(self) -> None:
        self.cleared: dict[Instance, int] = {}
        """The last try of an instance that was made before it was last cleared: none up to it may be made again."""
        super().__post_init__()

    def ask(self, name: str, request: RunRequest) -> Decision | None:
        """Apply a request; None if it was answered before."""
        self.write()
        run = self.runs[name]
        if is_known(run_status(run), request.id):
            return None
        self.log.append(f"{name}: {request.model_dump(exclude_none=True, by_alias=True)}")
        made: dict[tuple[str, int | None], int] = {}
        for of, key in self.pods:
            if of == name:
                made[key.task, key.index] = max(key.number, made.get((key.task, key.index), 0))
        decision = apply_request(
            request, run_status(run), Version(run.info, self.dag, run.graph), made=made, now=self.now
        )
        after = load(run.info, self.dag, Slots(), status=decision.status)
        self._note_cleared(name, after)
        self.stored[name] = decision.status
        self._end_pods(name, after)
        self.take_over()
        return decision

    def start(self, start: Start) -> None:
        key = start.key
        floor = self.cleared.get((start.run.name, key.task, key.index), 0)
        require(key.number > floor, f"{start.run.name}: {key} is made again, though it was cleared at {floor}")
        super().start(start)

    def truth(self, run: str, name: str, index: int | None) -> bool:
        """A state that a user marked stays, whatever the Pods say."""
        instance = self.runs[run].instance(name, index)
        return (instance is not None and instance.reason == "Marked") or super().truth(run, name, index)

    def _check_may_start(self, run: RunState, key: TryKey) -> None:
        """Whatever was asked: what comes before it, if it succeeded, has done so by its last Pod."""
        for name, index in self.reference.upstream(run, key.task, key.index):
            said = run.node(name).state_of(index)
            require(said is not TaskState.SUCCEEDED or self.truth(run.info.name, name, index), f"{name}[{index}]")

    def _note_cleared(self, name: str, run: RunState) -> None:
        for instance in run:
            key = name, instance.task.name, instance.index
            known = self.cleared.get(key, 0)
            require(instance.tries_before >= known, f"{key}: tries before go from {known} to {instance.tries_before}")
            self.cleared[key] = instance.tries_before

    def _end_pods(self, name: str, run: RunState) -> None:
        """The Pods of tries that no run expects are deleted; their last events may still arrive."""
        for (of, key), pod in self.pods.items():
            if of == name and not pod.over and is_obsolete(run, key):
                pod.event = TryEvent.LOST
                self.mail.append((name, report(key, TryEvent.LOST, reason="PodDeleted")))


def request(number: int, kind: str, **fields: Any) -> RunRequest:
    """A request with an id of its own."""
    return RunRequest.model_validate({"id": f"r{number}", "type": kind, **fields})
