"""Scheduler, kubelet and node in one: Pods are placed, start and end as a script says, or as the cluster would have it.

What it knows is the truth: which Pods ran, and how each ended.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson

from tests.apiserver import ApiServer, Commit, Request
from tests.apiserver.kinds import PODS
from tradewind.api import names

Json = dict[str, Any]

KILLED, TERMINATED = 137, 143


@dataclass(frozen=True)
class TryId:
    """Identity of a try, from the labels of its Pod."""

    run_uid: str
    task: str
    index: str
    number: int
    poke: str

    @classmethod
    def of(cls, metadata: Json) -> TryId | None:
        labels = metadata.get("labels") or {}
        owners = [owner for owner in metadata.get("ownerReferences") or () if owner.get("controller")]
        if names.LABEL_TASK not in labels or not owners:
            return None
        return cls(
            owners[0]["uid"],
            labels[names.LABEL_TASK],
            labels.get(names.LABEL_INDEX, ""),
            int(labels[names.LABEL_TRY]),
            labels.get(names.LABEL_POKE, ""),
        )

    @property
    def order(self) -> tuple[int, int]:
        """Which of two of the same instance is the later one."""
        return self.number, int(self.poke or 0)

    def __str__(self) -> str:
        index = f"[{self.index}]" if self.index else ""
        return f"{self.task}{index} try {self.number}{' poke ' + self.poke if self.poke else ''}"


@dataclass(frozen=True)
class Script:
    """The course of a try's container without interference."""

    start_after: float = 1.0
    duration: float | None = 1.0
    """None: it never ends by itself."""
    exit_code: int = 0
    output: str = ""
    waits: str = ""
    """Why it never starts: ImagePullBackOff and the like."""
    polite: bool = True
    """True if it exits on SIGTERM; if not it is killed after its grace period."""
    polite_code: int = TERMINATED
    """Exit code with which it does: 143, or 0 of a program that heeds SIGTERM."""


@dataclass
class Truth:
    """One Pod that there was."""

    name: str
    uid: str
    id: TryId
    protected: bool
    script: Script
    started_at: float | None = None
    exit_code: int | None = None
    ended_by: str = ""
    """`itself`, or the cause of its end: deletion, deadline, eviction, node."""
    asked_to_go: datetime | None = None
    """When its Pod was first to be deleted, by the clock of the API server."""
    finished: datetime | None = None
    """Its finish time, by the same clock."""
    clock_was_set: bool = False
    """Whether the clock of its node was set during its life, so that what it tells means nothing."""
    said_finished: datetime | None = None
    """Its finish time, by the clock of its node."""
    reported: bool = False
    """Whether its end was written into its status."""
    vanished: bool = False


@dataclass
class _Pod:
    truth: Truth
    namespace: str
    placed: datetime | None = None
    started: str | None = None
    finished: str | None = None
    """As its node tells it."""
    sidecar_runs: bool = False
    """True if a container beside the task's keeps running until it gets SIGTERM."""
    timers: list[asyncio.TimerHandle] = field(default_factory=list)


class Kubelet:
    """Runs all Pods. `script_of(labels, name)` says how; `delay()` is how long any step of the cluster's takes."""

    def __init__(
        self,
        server: ApiServer,
        *,
        script_of: Callable[[TryId, Json], Script],
        delay: Callable[[], float],
        now: Callable[[], datetime],
        log: Callable[[str], None],
    ) -> None:
        self.truths: dict[str, Truth] = {}
        """Every Pod that there ever was, by UID."""
        self.on_start: list[Callable[[Truth], None]] = []
        self.skew = timedelta(0)
        """Return the offset of the node's clock: see set_clock()."""
        self.script_of = script_of
        self._server, self._delay, self._now, self._log = server, delay, now, log
        self._loop = asyncio.get_running_loop()
        self._pods: dict[str, _Pod] = {}
        server.store.on_commit.append(self._seen)

    # What the cluster may do to Pods ------------------------------------------------------------------------------

    def running(self) -> list[str]:
        """UIDs of Pods whose container runs."""
        return [uid for uid, pod in self._pods.items() if pod.truth.started_at is not None and not pod.truth.ended_by]

    def waiting(self) -> list[str]:
        """UIDs of Pods that have not started."""
        return [uid for uid, pod in self._pods.items() if pod.truth.started_at is None]

    def set_clock(self, skew: timedelta) -> None:
        """From now on the clock of the node is so far ahead."""
        self.skew = skew
        for pod in self._pods.values():
            pod.truth.clock_was_set = True

    def evict(self, uid: str) -> None:
        """The node needs the room."""
        pod = self._pods[uid]
        condition = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}
        extra = {"reason": "Evicted", "message": "The node was low on resource: memory.", "conditions": [condition]}
        self._end(uid, KILLED, "eviction", extra, phase="Failed")
        self._log(f"{pod.truth.name} is evicted")

    def lose_node(self, uid: str) -> None:
        """The Pod is deleted with its node: its container's exit is never reported."""
        pod = self._pods[uid]
        self._log(f"the node of {pod.truth.name} is lost")
        if not pod.truth.ended_by:
            pod.truth.ended_by = "node"
            condition = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}
            self._status(pod, {"phase": "Failed", "conditions": [condition]})
        self._delete(pod, 0)

    def delete(self, uid: str, grace: int | None = None) -> None:
        """A user deletes the Pod."""
        pod = self._pods.get(uid)
        if pod is not None:
            self._log(f"a user deletes {pod.truth.name}, grace {grace}")
            self._delete(pod, grace)

    # The life of a Pod --------------------------------------------------------------------------------------------

    def _seen(self, commit: Commit) -> None:
        if commit.kind is not PODS:
            return
        stored = commit.new or commit.old
        assert stored is not None
        uid = stored.metadata["uid"]
        if commit.old is None:
            self._created(uid, stored.document)
        elif commit.new is None:
            self._gone(uid)
        elif uid in self._pods:
            old, new = commit.old.document, commit.new.document
            deletion = new["metadata"].get("deletionTimestamp")
            if deletion and deletion != old["metadata"].get("deletionTimestamp"):
                truth = self._pods[uid].truth
                truth.asked_to_go = truth.asked_to_go or self._now()
                self._later(uid, self._delay(), self._terminate)
            deadline = new["spec"].get("activeDeadlineSeconds")
            if deadline != old["spec"].get("activeDeadlineSeconds"):
                self._watch_deadline(uid, deadline)

    def _created(self, uid: str, document: Json) -> None:
        metadata = document["metadata"]
        try_id = TryId.of(metadata)
        if try_id is None:
            return
        protected = names.FINALIZER_RESULT in (metadata.get("finalizers") or ())
        script = self.script_of(try_id, document)
        truth = self.truths[uid] = Truth(metadata["name"], uid, try_id, protected, script)
        self._pods[uid] = _Pod(truth, metadata["namespace"])
        self._later(uid, self._delay(), self._place)

    def _place(self, uid: str) -> None:
        pod = self._pods[uid]
        body = {"target": {"apiVersion": "v1", "kind": "Node", "name": "node"}}
        if self._request("POST", pod, "binding", body) >= 400:
            return
        self._later(uid, self._delay(), self._pull)

    def _pull(self, uid: str) -> None:
        pod = self._pods[uid]
        document = self._server.find(PODS, pod.namespace, pod.truth.name)
        if document is None or "deletionTimestamp" in document["metadata"]:
            return
        why = pod.truth.script.waits or "ContainerCreating"
        waiting = {"waiting": {"reason": why, "message": f"it says {why}"}}
        started = self._seen_time(self._now())
        if self._status(pod, {"phase": "Pending", "startTime": started, "containerStatuses": [_container(waiting)]}):
            pod.placed = self._now().replace(microsecond=0)
            self._watch_deadline(uid, document["spec"].get("activeDeadlineSeconds"))
            if not pod.truth.script.waits:
                self._later(uid, pod.truth.script.start_after, self._start)

    def _start(self, uid: str) -> None:
        pod = self._pods[uid]
        truth = pod.truth
        document = self._server.find(PODS, pod.namespace, truth.name)
        if truth.ended_by or document is None or "deletionTimestamp" in document["metadata"]:
            return
        truth.started_at = self._loop.time()
        for callback in self.on_start:
            callback(truth)
        now = self._seen_time(self._now())
        self._status(pod, {"phase": "Running", "containerStatuses": [_container({"running": {"startedAt": now}})]})
        pod.started = now
        if truth.script.duration is not None:
            self._later(uid, truth.script.duration, self._finish)

    def _finish(self, uid: str) -> None:
        pod = self._pods[uid]
        document = self._server.find(PODS, pod.namespace, pod.truth.name)
        pod.sidecar_runs = document is not None and len(document["spec"]["containers"]) > 1
        self._end(uid, pod.truth.script.exit_code, "itself", {})

    def _end(self, uid: str, exit_code: int, by: str, extra: Json, phase: str | None = None) -> None:
        """The container ends, and its status is written a little later."""
        pod = self._pods[uid]
        truth = pod.truth
        if truth.ended_by:
            return
        truth.ended_by = by
        truth.exit_code = exit_code if truth.started_at is not None else None
        pod.finished = self._seen_time(self._now())
        truth.finished, truth.said_finished = self._now(), datetime.fromisoformat(pod.finished)
        phase = phase or ("Succeeded" if exit_code == 0 else "Failed")
        self._later(uid, self._delay(), self._tell, phase, extra)

    def _tell(self, uid: str, phase: str, extra: Json) -> None:
        pod = self._pods[uid]
        truth = pod.truth
        status: Json = {"phase": phase, **extra}
        if truth.exit_code is not None and pod.started is not None:
            terminated = {
                "exitCode": truth.exit_code,
                "reason": "Completed" if truth.exit_code == 0 else "Error",
                "message": truth.script.output if truth.exit_code == 0 else "it went wrong",
                "startedAt": pod.started,
                "finishedAt": pod.finished,
            }
            status["containerStatuses"] = [_container({"terminated": terminated}), *self._sidecar(pod)]
            if pod.sidecar_runs:
                status["phase"] = "Running"
        truth.reported = self._status(pod, status)
        document = self._server.find(PODS, pod.namespace, truth.name)
        if document is not None and "deletionTimestamp" in document["metadata"]:
            self._later(uid, self._delay(), self._clean_up)

    def _sidecar(self, pod: _Pod) -> list[Json]:
        document = self._server.find(PODS, pod.namespace, pod.truth.name)
        others = [each["name"] for each in (document or {"spec": {"containers": ()}})["spec"]["containers"]]
        now = self._server.timestamp(self._now())
        state = {"running": {"startedAt": now}} if pod.sidecar_runs else {"terminated": {"exitCode": TERMINATED}}
        return [_container(state, name) for name in others if name != names.TASK_CONTAINER]

    def _terminate(self, uid: str) -> None:
        """Deletion was requested."""
        pod = self._pods[uid]
        truth = pod.truth
        document = self._server.find(PODS, pod.namespace, truth.name)
        if document is None or truth.reported or (truth.started_at is None and not truth.ended_by):
            self._later(uid, self._delay(), self._clean_up)
        elif not truth.ended_by:
            grace = document["metadata"]["deletionGracePeriodSeconds"]
            code, seconds = (truth.script.polite_code, 0.2) if truth.script.polite and grace else (KILLED, float(grace))
            self._later(uid, min(seconds, grace), self._end, code, "deletion", {})

    def _clean_up(self, uid: str) -> None:
        """Nothing of it is left on the node. A Pod that did not start ends as Failed all the same."""
        pod = self._pods[uid]
        document = self._server.find(PODS, pod.namespace, pod.truth.name)
        if not pod.truth.reported and document is not None and document["spec"].get("nodeName"):
            self._status(pod, {"phase": "Failed"})
        self._delete(pod, 0)

    def _watch_deadline(self, uid: str, deadline: int | None) -> None:
        pod = self._pods[uid]
        if deadline is None or pod.placed is None:
            return
        ends = pod.placed + timedelta(seconds=deadline)
        self._later(uid, max(0.0, (ends - self._now()).total_seconds()) + self._delay(), self._exceed)

    def _exceed(self, uid: str) -> None:
        extra = {
            "reason": "DeadlineExceeded",
            "message": "Pod was active on the node longer than the specified deadline",
        }
        pod = self._pods[uid]
        if pod.truth.ended_by:
            if pod.sidecar_runs:
                pod.sidecar_runs = False
                self._later(uid, self._delay(), self._tell, "Failed", extra)
            return
        document = self._server.find(PODS, pod.namespace, pod.truth.name)
        grace = document["spec"]["terminationGracePeriodSeconds"] if document is not None else 0
        code, seconds = (pod.truth.script.polite_code, 0.2) if pod.truth.script.polite else (KILLED, float(grace))
        self._later(uid, seconds, self._end, code, "deadline", extra, "Failed")

    def _gone(self, uid: str) -> None:
        pod = self._pods.pop(uid, None)
        if pod is not None:
            pod.truth.vanished = True
            pod.truth.ended_by = pod.truth.ended_by or "deletion"
            for timer in pod.timers:
                timer.cancel()

    def _seen_time(self, moment: datetime) -> str:
        """A moment by the clock of the node."""
        return self._server.timestamp(moment + self.skew)

    # Requests -----------------------------------------------------------------------------------------------------

    def _later(self, uid: str, seconds: float, act: Callable[..., None], *arguments: Any) -> None:
        def run() -> None:
            if uid in self._pods:
                act(uid, *arguments)

        timer = self._loop.call_later(seconds, run, context=contextvars.Context())
        self._pods[uid].timers.append(timer)

    def _status(self, pod: _Pod, status: Json) -> bool:
        return self._request("PATCH", pod, "status", {"metadata": {"uid": pod.truth.uid}, "status": status}) < 400

    def _delete(self, pod: _Pod, grace: int | None) -> None:
        options: Json = {"preconditions": {"uid": pod.truth.uid}}
        self._request("DELETE", pod, None, options if grace is None else options | {"gracePeriodSeconds": grace})

    def _request(self, method: str, pod: _Pod, subresource: str | None, body: Json) -> int:
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.truth.name}"
        request = Request(
            method=method,
            path=f"{path}/{subresource}" if subresource else path,
            body=orjson.dumps(body),
            content_type="application/merge-patch+json" if method == "PATCH" else None,
            client="kubelet",
        )
        return self._server.handle(request).status


def _container(state: Json, name: str = names.TASK_CONTAINER) -> Json:
    return {"name": name, "image": "none", "state": state, "restartCount": 0, "ready": False}
