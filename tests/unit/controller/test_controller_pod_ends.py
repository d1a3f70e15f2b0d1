"""Pods are stopped so that their logs stay if there are any, and reliably."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.controller.kubelet_pods import DELETED, PENDING, RUNNING, pod, terminated
from tests.unit.controller.memory_cluster import Json, MemoryCluster, is_ended
from tradewind.cache.resources import PodObject
from tradewind.controller.pods import ends, pod_gc
from tradewind.controller.pods.ends import PodEnds, has_started, sidecars_run
from tradewind.kube.errors import ApiError, KubeError, Unreachable
from tradewind.kube.lease import NotLeader

pytestmark = pytest.mark.unit

SIDECAR = "- {name: proxy, ready: true, restartCount: 0, state: {running: {}}}"
INIT = "initContainerStatuses: [{name: fetch, state: {running: {}}}]"


class Bench:
    """A writer that notes what it is asked for, and a cache."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, Any]] = []
        self.answers: list[Exception | None] = []
        self.cached: PodObject | None = pod(RUNNING)
        self.ends = PodEnds(self, self)  # type: ignore[arg-type]

    def _answer(self, *write: Any) -> None:
        self.writes.append(write)
        error = self.answers.pop(0) if self.answers else None
        if error is not None:
            raise error

    async def patch(self, _resource: object, _namespace: str, _name: str, body: Json, **_: Any) -> None:
        self._answer("patch", body)

    async def delete(self, _resource: object, _namespace: str, _name: str, *, uid: str, **_: Any) -> None:
        self._answer("delete", uid)

    def pod(self, run_uid: str, name: str) -> PodObject | None:
        assert run_uid == "run-uid"
        return self.cached

    @property
    def verbs(self) -> list[str]:
        return [verb for verb, _ in self.writes]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(ends, "ENDS_WITHIN", 0.05)
    monkeypatch.setattr(ends, "AGAIN", 0.01)
    monkeypatch.setattr(ends, "SIDECARS_END_WITHIN", 0.01)
    yield Bench()


async def test_one_that_runs_is_stopped_and_stays(bench: Bench) -> None:
    ending = asyncio.create_task(bench.ends.end(pod(RUNNING), "FailFast"))
    await asyncio.sleep(0.01)
    bench.cached = pod(terminated(143, "Error"))
    await ending
    metadata = {"uid": pod().metadata.uid, "annotations": {"tradewind.dev/ended": "FailFast"}}
    assert bench.writes == [("patch", {"metadata": metadata, "spec": {"activeDeadlineSeconds": 1}})]


@pytest.mark.parametrize("status", [PENDING, "phase: Pending"])
async def test_one_that_never_began_is_deleted(bench: Bench, status: str) -> None:
    await bench.ends.end(pod(status), "FailFast")
    assert bench.writes == [("delete", pod().metadata.uid)]


async def test_an_init_container_has_a_log_too(bench: Bench) -> None:
    assert has_started(pod(f"phase: Pending\n{INIT}"))
    bench.cached = None
    await bench.ends.end(pod(f"phase: Pending\n{INIT}"), "FailFast")
    assert bench.verbs == ["patch"]


async def test_one_that_does_not_end_is_deleted(bench: Bench) -> None:
    """No kubelet does anything: a node that is dead."""
    await bench.ends.end(pod(RUNNING), "FailFast")
    assert bench.verbs == ["patch", "delete"]


@pytest.mark.parametrize("cached", [None, pod(RUNNING, uid="another"), pod(terminated(0, "Completed"))])
async def test_not_if_it_is_deleted_or_finished(bench: Bench, cached: PodObject | None) -> None:
    bench.cached = cached
    await bench.ends.end(pod(RUNNING), "FailFast")
    assert bench.verbs == ["patch"]


@pytest.mark.parametrize("metadata", [DELETED, {"annotations": {"tradewind.dev/ended": "FailFast"}}])
async def test_one_that_was_stopped_already_is_only_watched(bench: Bench, metadata: Json) -> None:
    """By a leader before this one, say."""
    await bench.ends.end(pod(RUNNING, **metadata), "Stopped")
    assert bench.verbs == ["delete"]


@pytest.mark.parametrize("error", [Unreachable("no"), ApiError(503), ApiError(429), ApiError(401)])
async def test_what_fails_is_tried_again(bench: Bench, error: KubeError) -> None:
    bench.answers, bench.cached = [error, error], None
    await bench.ends.end(pod(RUNNING), "FailFast")
    assert bench.verbs == ["patch"] * 3
    bench.writes, bench.answers = [], [error]
    await bench.ends.end(pod(PENDING), "FailFast")
    assert bench.verbs == ["delete"] * 2


@pytest.mark.parametrize("error", [ApiError(404, "NotFound"), ApiError(409, "Conflict")])
@pytest.mark.parametrize("status", [RUNNING, PENDING])
async def test_one_that_is_deleted_needs_no_end(bench: Bench, error: ApiError, status: str) -> None:
    bench.answers = [error]
    await bench.ends.end(pod(status), "FailFast")
    assert len(bench.writes) == 1


@pytest.mark.parametrize("error", [ApiError(422, "Invalid"), ApiError(403, "Forbidden"), ApiError(400, "BadRequest")])
async def test_one_that_may_not_be_changed_is_deleted(bench: Bench, error: ApiError) -> None:
    bench.answers = [error]
    await bench.ends.end(pod(RUNNING), "FailFast")
    assert bench.verbs == ["patch", "delete"]


async def test_who_leads_no_more_writes_no_more(bench: Bench) -> None:
    bench.answers = [NotLeader("no")]
    await bench.ends.end(pod(RUNNING), "FailFast")
    assert bench.verbs == ["patch"]
    bench.answers = [None]
    await bench.ends.end(pod(RUNNING), "FailFast")
    assert bench.verbs == ["patch", "patch", "delete"], "another term may end it"


async def test_each_is_ended_once_at_a_time(bench: Bench) -> None:
    await asyncio.gather(*(bench.ends.end(pod(RUNNING), why) for why in ("FailFast", "Stopped")))
    assert bench.verbs == ["patch", "delete"]


# Containers beside the task -------------------------------------------------------------------------------------------


def test_whether_only_sidecars_run() -> None:
    over = terminated(0, "Completed", phase="Running")
    assert sidecars_run(pod(over + SIDECAR))
    assert not sidecars_run(pod(over))
    assert not sidecars_run(pod(over + SIDECAR, **DELETED))
    assert not sidecars_run(pod(RUNNING + SIDECAR))
    assert not sidecars_run(pod("phase: Running\ncontainerStatuses:\n" + SIDECAR))


async def test_sidecars_have_some_time_to_end_by_themselves(bench: Bench) -> None:
    found = pod(terminated(0, "Completed", phase="Running") + SIDECAR)
    bench.cached = pod(terminated(0, "Completed", phase="Succeeded"))
    await bench.ends.end_sidecars(found)
    assert bench.writes == []
    bench.cached = found
    await bench.ends.end_sidecars(found)
    assert bench.verbs == ["patch", "delete"]
    assert bench.writes[0][1]["metadata"]["annotations"] == {"tradewind.dev/ended": "Sidecars"}
    bench.cached = None
    await bench.ends.end_sidecars(found)
    assert len(bench.writes) == 2


# In a cluster ---------------------------------------------------------------------------------------------------------


def why(cluster: MemoryCluster, name: str) -> Any:
    return cluster.get("pods", name)["metadata"]["annotations"].get("tradewind.dev/ended")


async def test_a_run_that_fails_fast_or_takes_too_long(cluster: MemoryCluster) -> None:
    cluster.stays |= {"fast", "slow"}
    two = [{"name": name, "image": "busybox"} for name in ("a", "b")]
    cluster.dag("fast", failFast=True, tasks=two)
    cluster.run("fast", "fast", fails=True)
    cluster.dag("slow", runTimeout="1s", tasks=two[:1])
    cluster.run("slow", "slow")
    pods = await cluster.eventually(lambda: len(cluster.names("pods")) == 3 and cluster.names("pods"), "their Pods")
    first = next(name for name in pods if name.startswith("fast-a"))
    second = next(name for name in pods if name.startswith("fast-b"))
    slow = next(name for name in pods if name.startswith("slow"))
    cluster.end(first, "fast")
    await cluster.wait_phase("fast", "Failed")
    await cluster.wait_phase("slow", "Failed")
    await cluster.eventually(lambda: (why(cluster, second), why(cluster, slow)) == ("FailFast", "RunTimeout"), "why")
    assert why(cluster, first) is None
    assert {"fast", "slow"} == {cluster.get("pods", name)["metadata"]["labels"]["tradewind.dev/dag"] for name in pods}
    assert not any("deletionTimestamp" in pod["metadata"] for pod in cluster.all("pods"))


async def test_a_leader_that_dies_while_it_fails_fast(cluster: MemoryCluster) -> None:
    """A Pod that it had stopped is not taken for a failure of the task by the next one."""
    cluster.stays.add("one")
    cluster.dag("one", failFast=True, tasks=[{"name": name, "image": "busybox"} for name in ("a", "b")])
    cluster.run("one", "one", fails=True)
    pods = await cluster.eventually(lambda: len(cluster.names("pods")) == 2 and cluster.names("pods"), "its Pods")
    first = next(name for name in pods if "-a-" in name)
    second = next(name for name in pods if "-b-" in name)
    await cluster.eventually(lambda: len(cluster.status("dagruns", "one").get("tasks", ())) == 2, "they are in status")

    def lose(method: str, plural: str, name: str, body: Json) -> None:
        if plural == "dagruns" and "status" in body:
            raise Unreachable("that is never written")

    cluster.before_write = lose
    cluster.end(first, "one")
    await cluster.eventually(lambda: why(cluster, second) == "FailFast", "the other is ended")
    await cluster.kill()
    cluster.before_write = lambda *_: None
    cluster.end(second, "one")
    await cluster.start()
    status = await cluster.wait_phase("one", "Failed")
    assert status["reason"] == "FailFast"
    assert [entry["state"] for entry in status["tasks"]] == ["Failed", "Skipped"]
    assert len(cluster.names("pods")) == 2


async def test_a_classic_sidecar(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task's result counts at once; then its Pod is stopped, while the run continues."""
    monkeypatch.setattr(ends, "SIDECARS_END_WITHIN", 0.05)
    cluster.stays.add("one")
    proxy = {"spec": {"containers": [{"name": "proxy", "image": "envoy"}]}}
    cluster.dag("one", podTemplate=proxy, tasks=[{"name": name, "image": "busybox"} for name in ("a", "b")])
    cluster.run("one", "one")
    pods = await cluster.eventually(lambda: len(cluster.names("pods")) == 2 and cluster.names("pods"), "its Pods")
    first = next(name for name in pods if "-a-" in name)
    now = cluster.server.timestamp()
    ended = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}}
    states = [{"name": "task", "state": ended}, {"name": "proxy", "state": {"running": {"startedAt": now}}}]
    cluster.patch("pods", first, subresource="status", status={"phase": "Running", "containerStatuses": states})

    def state() -> Any:
        return {entry["name"]: entry["state"] for entry in cluster.status("dagruns", "one").get("tasks", ())}.get("a")

    await cluster.eventually(lambda: state() == "Succeeded", "the result counts")
    await cluster.eventually(lambda: why(cluster, first) == "Sidecars", "its Pod is ended")
    assert cluster.status("dagruns", "one")["phase"] == "Running"
    states[1]["state"] = {"terminated": {"exitCode": 137}}
    failed = {"phase": "Failed", "reason": "DeadlineExceeded", "containerStatuses": states}
    cluster.patch("pods", first, subresource="status", status=failed)
    await asyncio.sleep(0.1)
    assert state() == "Succeeded"


async def test_pods_of_a_finished_run(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader dies after it has written the finish of a run, before it has stopped its Pods."""
    monkeypatch.setattr(pod_gc, "LOOK_AFTER", 0.05)
    cluster.stays.add("one")
    cluster.dag("one", runTimeout="1s")
    cluster.run("one", "one")

    def die(method: str, plural: str, name: str, body: Json) -> None:
        if plural == "pods" and method != "POST":
            cluster.die()

    cluster.before_write = die
    await cluster.wait_phase("one", "Failed")
    await cluster.kill()
    cluster.before_write = lambda *_: None
    await cluster.start()
    [left] = cluster.all("pods")
    await cluster.eventually(lambda: is_ended(cluster.all("pods")[0]), "the next one ends it")
    assert why(cluster, left["metadata"]["name"]) == "RunEnded"


async def test_one_that_is_cleared_up_after_is_not_looked_at_again(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_gc, "LOOK_AFTER", 0.02)
    cluster.dag("one", resultProtection="Finalizer")
    cluster.run("one", "one")
    await cluster.wait_phase("one", "Succeeded")
    await cluster.kill()
    [name] = cluster.names("pods")
    cluster.patch("pods", name, metadata={"finalizers": ["tradewind.dev/result"]})
    asked: list[str] = []
    cluster.before_request = lambda request: asked.append(f"{request.method} {request.path}")
    await cluster.start()
    await cluster.eventually(lambda: not cluster.get("pods", name)["metadata"].get("finalizers"), "no finalizer")
    await asyncio.sleep(0.1)
    looks = sum(each.startswith("GET") and each.endswith("/dagruns/one") for each in asked)
    await asyncio.sleep(0.4)
    assert sum(each.startswith("GET") and each.endswith("/dagruns/one") for each in asked) == looks, "it is done"
    assert 1 <= looks <= 3
