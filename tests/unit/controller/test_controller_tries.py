"""Tries with unknown facts: Pods that the watch never delivered, that were deleted, or that belong to another try;
missing responses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.unit.controller.memory_cluster import Json, MemoryCluster
from tests.unit.controller.terms import part_of_term
from tradewind.api.dag import DagSpec
from tradewind.api.resolve import resolve
from tradewind.cache.resources import PodObject
from tradewind.controller.pods import ends, tries
from tradewind.controller.pods.manifest import pod_name
from tradewind.controller.pods.tries import Tries
from tradewind.engine.run.run_info import RunInfo, Stop
from tradewind.engine.run.state import RunState
from tradewind.engine.run.tries import StopReason, TryEvent, TryKey, TryReport
from tradewind.engine.scheduler import Scheduler, Start
from tradewind.engine.transitions.endings import fail
from tradewind.kube.clock import SYSTEM_CLOCK
from tradewind.kube.errors import ApiError, KubeError, Unreachable
from tradewind.kube.lease import NotLeader
from tradewind.kube.writer import NotWanted, WriterStopped

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TERMINATED = {"exitCode": 0, "reason": "Completed", "finishedAt": "2026-03-01T12:00:05Z"}
OVER: Json = {"phase": "Succeeded", "containerStatuses": [{"name": "task", "state": {"terminated": TERMINATED}}]}
RUNS: Json = {"phase": "Running", "containerStatuses": [{"name": "task", "state": {"running": {}}}]}


class Bench:
    """Tries with a client, a writer and a cache that say what a test wants, and what was reported."""

    slots = 32

    def __init__(self, **task: Any) -> None:
        self.reports: list[TryReport] = []
        self.answers: list[Json | KubeError] = []
        """To the next reads; of the last there are any number."""
        self.created: list[str] = []
        self.patches: list[Json] = []
        self.write_answers: list[Exception | None] = []
        self.pods: dict[str, dict[str, PodObject]] = {}
        self.kept: list[PodObject] = []
        self.scheduler = Scheduler()
        spec = DagSpec.model_validate({"tasks": [{"name": "a", "image": "busybox", "command": ["true"], **task}]})
        self.info = RunInfo("ns", "r", "uid", "d", "Manual", NOW, NOW, NOW)
        self.run = RunState(self.info, resolve(spec), self.scheduler.slots)
        self.scheduler.add_run(self.run)
        [self.start] = self.scheduler.plan(NOW).starts
        term = part_of_term(client=self, writer=self, cluster=self, scheduler=self.scheduler, clock=SYSTEM_CLOCK)
        self.tries = Tries(term, self._report)

    def _report(self, run_uid: str, report: TryReport) -> None:
        assert run_uid == "uid"
        self.reports.append(report)

    def pod(self, run_uid: str, name: str) -> PodObject | None:
        return self.pods.get(run_uid, {}).get(name)

    def cache(self, document: Json) -> PodObject:
        found = msgspec.convert(document, PodObject, strict=False)
        self.pods.setdefault("uid", {})[found.metadata.name] = found
        return found

    def keep_result(self, pod: PodObject) -> None:
        self.kept.append(pod)

    async def get(self, _resource: object, _namespace: str, _name: str) -> Json:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, KubeError):
            raise answer
        return answer

    def _write(self) -> None:
        error = self.write_answers.pop(0) if self.write_answers else None
        if error is not None:
            raise error

    async def create(self, _resource: object, _namespace: str, manifest: Json, **_: Any) -> None:
        self.created.append(manifest["metadata"]["name"])
        await asyncio.sleep(0.01)
        self._write()

    async def patch(self, _resource: object, _namespace: str, _name: str, body: Json, **_: Any) -> None:
        self.patches.append(body)
        self._write()

    @property
    def key(self) -> TryKey:
        return self.start.key

    @property
    def said(self) -> list[tuple[TryEvent, str | None]]:
        return [(report.event, report.reason) for report in self.reports]

    def document(self, status: Json | None = None, *, uid: str = "pod-uid", **key: Any) -> Json:
        """The Pod of a try, or of another one."""
        facts = {"number": self.key.number, "poke": self.key.poke, "run": "uid", **key}
        labels = {"task": "a", "try": str(facts["number"]), "run": "r"}
        labels |= {"poke": str(facts["poke"])} if facts["poke"] else {}
        number = TryKey("a", None, facts["number"], facts["poke"])
        owner = {"apiVersion": "v1", "kind": "DagRun", "name": "r", "uid": facts["run"], "controller": True}
        metadata = {
            "name": pod_name(self.info, number),
            "namespace": "ns",
            "uid": uid,
            "resourceVersion": "7",
            "labels": {f"tradewind.dev/{name}": value for name, value in labels.items()},
            "ownerReferences": [owner],
            "finalizers": ["tradewind.dev/result"],
        }
        return {"metadata": metadata, "spec": {"nodeName": "node"}, "status": status or RUNS}

    def stop(self) -> Stop:
        return Stop(self.info, self.start.task, self.key, StopReason("Timeout", "too long"))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("ADOPT_AGAIN", "STOP_AGAIN", "LOOK_AGAIN", "SETTLE"):
        monkeypatch.setattr(tries, name, 0.01)
    monkeypatch.setattr(tries, "WATCH_LAGS", 0.1)
    monkeypatch.setattr(tries, "EARLIER_ENDS_WITHIN", 0.1)
    monkeypatch.setattr(ends, "ENDS_WITHIN", 0.05)
    yield


@pytest.fixture
async def bench() -> Bench:
    return Bench()


GONE = ApiError(404, "NotFound", "no such Pod")
EXISTS = ApiError(409, "AlreadyExists", "it is there")


# Making -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "said"), [(RUNS, [(TryEvent.RUNNING, None)]), (OVER, [(TryEvent.ENDED, None)])], ids=["runs", "over"]
)
async def test_one_that_is_there_already_is_taken_for_what_it_is(bench: Bench, status: Json, said: Any) -> None:
    bench.write_answers, bench.answers = [EXISTS], [Unreachable("no"), ApiError(503), bench.document(status)]
    await bench.tries.start(bench.run, bench.start)
    assert bench.said == said
    assert len(bench.kept) == (status is OVER)


async def test_one_that_is_there_and_gone_when_it_is_looked_for_was_lost(bench: Bench) -> None:
    bench.write_answers, bench.answers = [EXISTS], [GONE]
    await bench.tries.start(bench.run, bench.start)
    assert bench.said == [(TryEvent.LOST, "PodVanished")]


@pytest.mark.parametrize("other", [{"run": "another"}, {"number": 2}])
async def test_one_of_that_name_that_is_another_ones(bench: Bench, other: Json) -> None:
    document = bench.document(**other)
    document["metadata"]["name"] = pod_name(bench.info, bench.key)
    bench.write_answers, bench.answers = [EXISTS], [document]
    await bench.tries.start(bench.run, bench.start)
    [report] = bench.reports
    assert (report.event, report.reason, report.retry) == (TryEvent.POSTPONED, "NameTaken", False)


async def test_one_that_may_not_be_read(bench: Bench) -> None:
    bench.write_answers, bench.answers = [EXISTS], [ApiError(403, "Forbidden", "no")]
    await bench.tries.start(bench.run, bench.start)
    assert bench.said == [(TryEvent.POSTPONED, "ApiUnavailable")]


@pytest.mark.parametrize("error", [Unreachable("cut"), ApiError(503, "", "down"), ApiError(422, "Invalid", "bad")])
@pytest.mark.parametrize("there", [True, False])
async def test_what_was_not_made_may_have_been_made(bench: Bench, error: KubeError, there: bool) -> None:
    """By an earlier attempt, which was not answered."""
    bench.write_answers, bench.answers = [error], [bench.document() if there else GONE]
    await bench.tries.start(bench.run, bench.start)
    event = TryEvent.REFUSED if isinstance(error, ApiError) and error.is_invalid else TryEvent.POSTPONED
    assert [said[0] for said in bench.said] == [TryEvent.RUNNING if there else event]


async def test_who_is_not_wanted_any_more_is_not_looked_for(bench: Bench) -> None:
    bench.write_answers, bench.answers = [Unreachable("cut")], [Unreachable("cut")]
    asyncio.get_running_loop().call_later(0.03, fail, bench.run, "RunTimeout", "too late", NOW)
    await bench.tries.start(bench.run, bench.start)
    assert bench.said == []


@pytest.mark.parametrize("error", [NotLeader("no"), WriterStopped("no"), NotWanted("no")])
async def test_nothing_is_said_by_who_leads_no_more(bench: Bench, error: Exception) -> None:
    bench.write_answers = [error]
    await bench.tries.start(bench.run, bench.start)
    assert bench.said == []


async def test_what_the_watch_has_delivered_already_is_not_said_again(bench: Bench) -> None:
    bench.cache(bench.document(OVER))
    await bench.tries.start(bench.run, bench.start)
    assert bench.said == []


async def test_what_is_being_started_is_started_once(bench: Bench) -> None:
    await asyncio.gather(*(bench.tries.start(bench.run, bench.start) for _ in range(3)))
    assert len(bench.created) == 1


async def test_by_another_state_of_the_run_it_waits_for_the_first(bench: Bench) -> None:
    other = RunState(bench.info, bench.run.dag, bench.scheduler.slots)
    first = asyncio.create_task(bench.tries.start(bench.run, bench.start))
    await asyncio.sleep(0)
    await bench.tries.start(other, Start(bench.info, bench.start.task, bench.key))
    assert first.done()
    assert len(bench.created) == 1, "that state is not the one that is scheduled"


# After a rerun ----------------------------------------------------------------------------------------------------


def run_again(bench: Bench) -> TryKey:
    """The task was rerun while its first try was running: the key of the next."""
    instance = bench.run["a"]
    instance.clear(StopReason("Cleared", "to run again"), NOW)
    instance.begin_try(NOW)
    return instance.key


async def test_a_try_waits_for_the_pod_of_an_earlier_one(bench: Bench) -> None:
    key = run_again(bench)
    assert await bench.tries._wait_for_earlier(bench.run, key) is None, "there is none"
    first = bench.cache(bench.document(number=1))
    assert await bench.tries._wait_for_earlier(bench.run, key) == first.metadata.name
    bench.cache(bench.document(OVER, number=1))
    assert await bench.tries._wait_for_earlier(bench.run, key) is None


async def test_a_sensor_waits_for_that_of_any_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of pokes of an earlier try is no longer known."""
    bench = Bench(sensor={"interval": "1s"})
    key = run_again(bench)
    third = bench.cache(bench.document(number=1, poke=3))
    assert await bench.tries._wait_for_earlier(bench.run, key) == third.metadata.name
    bench.cache(bench.document(OVER, number=1, poke=3))
    assert await bench.tries._wait_for_earlier(bench.run, key) is None
    name = pod_name(bench.info, TryKey("a", None, 1, 4))
    bench.tries._unseen["uid", name] = TryKey("a", None, 1, 4)
    bench.tries._unseen["other", "x"] = TryKey("a", None, 1, 9)
    bench.answers = [{}]
    assert await bench.tries._wait_for_earlier(bench.run, key) == name, "made, and not seen yet"
    bench.answers = [GONE]
    assert await bench.tries._wait_for_earlier(bench.run, key) is None
    assert bench.tries._unseen == {("other", "x"): TryKey("a", None, 1, 9)}


async def test_one_of_which_it_is_not_known_whether_it_is_there_is_waited_for(bench: Bench) -> None:
    key = run_again(bench)
    name = pod_name(bench.info, TryKey("a", None, 1))
    bench.tries._unseen["uid", name] = TryKey("a", None, 1)
    bench.answers = [Unreachable("no")]
    assert await bench.tries._wait_for_earlier(bench.run, key) == name
    bench.tries.pod_changed("uid", bench.cache(bench.document(OVER, number=1)))
    assert bench.tries._unseen == {}
    assert await bench.tries._wait_for_earlier(bench.run, key) is None


async def test_no_one_waits_for_a_try_that_was_given_up(bench: Bench) -> None:
    key = run_again(bench)
    bench.cache(bench.document(number=1))
    fail(bench.run, "Stopped", "enough", NOW)
    assert await bench.tries._wait_for_earlier(bench.run, key) is None


# Looking for what is not there --------------------------------------------------------------------------------------


async def test_a_try_whose_pod_is_deleted_is_lost(bench: Bench) -> None:
    bench.answers = [Unreachable("no"), GONE]
    await bench.tries.confirm_missing(bench.info, bench.key)
    assert bench.said == [(TryEvent.LOST, "PodVanished")]


async def test_one_whose_pod_has_finished_is_not(bench: Bench) -> None:
    bench.answers = [bench.document(), bench.document(), bench.document(OVER)]
    await bench.tries.confirm_missing(bench.info, bench.key)
    assert bench.said == [(TryEvent.RUNNING, None), (TryEvent.RUNNING, None), (TryEvent.ENDED, None)]
    assert len(bench.kept) == 1


async def test_one_that_the_watch_brings_needs_no_look(bench: Bench) -> None:
    bench.answers = [bench.document()]
    bench.cache(bench.document())
    await bench.tries.confirm_missing(bench.info, bench.key)
    assert bench.said == [(TryEvent.RUNNING, None)]


async def test_a_pod_of_that_name_that_is_anothers_is_none(bench: Bench) -> None:
    bench.answers = [bench.document(run="another")]
    await bench.tries.confirm_missing(bench.info, bench.key)
    assert bench.said == [(TryEvent.LOST, "PodVanished")]


async def test_what_the_cache_still_has_is_given_time(bench: Bench) -> None:
    """The watch is about to tell how it ended; but not for ever."""
    bench.answers = [GONE]
    bench.cache(bench.document())
    asyncio.get_running_loop().call_later(0.04, bench.pods.clear)
    began = asyncio.get_running_loop().time()
    await bench.tries.stop(bench.stop())
    assert 0.04 <= asyncio.get_running_loop().time() - began < 0.1
    bench.cache(bench.document())
    await bench.tries.stop(bench.stop())
    assert asyncio.get_running_loop().time() - began > 0.1
    assert bench.said == [(TryEvent.LOST, "PodVanished")] * 2


# Stopping -----------------------------------------------------------------------------------------------------------


async def test_a_stop_that_comes_too_late(bench: Bench) -> None:
    bench.answers = [ApiError(503), bench.document(OVER)]
    await bench.tries.stop(bench.stop())
    assert bench.said == [(TryEvent.ENDED, None)]
    assert bench.patches == []


async def test_a_stop_of_what_the_watch_has_not_brought_sees_it_end(bench: Bench) -> None:
    bench.answers = [bench.document(), bench.document(), bench.document(OVER)]
    await bench.tries.stop(bench.stop())
    assert [patch["metadata"]["annotations"] for patch in bench.patches] == [{"tradewind.dev/ended": "Timeout"}]
    assert bench.said == [(TryEvent.RUNNING, None), (TryEvent.ENDED, None)]


# Removing finalizers ------------------------------------------------------------------------------------------------


def protected(bench: Bench, *others: str, version: str = "7", uid: str = "pod-uid") -> Json:
    document = bench.document(OVER, uid=uid)
    document["metadata"] |= {"finalizers": ["tradewind.dev/result", *others], "resourceVersion": version}
    return document


def pod_of(document: Json) -> PodObject:
    return msgspec.convert(document, PodObject, strict=False)


async def test_finalizers_of_others_stay(bench: Bench) -> None:
    await bench.tries.release(pod_of(protected(bench, "kueue.x-k8s.io/managed")))
    await bench.tries.release(pod_of(protected(bench)))
    assert [patch["metadata"] for patch in bench.patches] == [
        {"uid": "pod-uid", "resourceVersion": "7", "finalizers": ["kueue.x-k8s.io/managed"]},
        {"uid": "pod-uid", "resourceVersion": "7", "finalizers": None},
    ]


async def test_nor_are_those_lost_that_come_meanwhile(bench: Bench) -> None:
    bench.write_answers = [ApiError(409, "Conflict"), ApiError(503), None]
    bench.answers = [
        protected(bench, "x.io/new", version="8"),
        Unreachable("no"),
        protected(bench, "x.io/new", version="9"),
    ]
    await bench.tries.release(pod_of(protected(bench)))
    assert bench.patches[0]["metadata"]["finalizers"] is None
    assert bench.patches[-1]["metadata"]["finalizers"] == ["x.io/new"]


@pytest.mark.parametrize("error", [GONE, NotLeader("no"), WriterStopped("no")])
async def test_one_that_is_deleted_has_its_finalizer_removed(bench: Bench, error: Exception) -> None:
    bench.write_answers = [error]
    await bench.tries.release(pod_of(protected(bench)))
    assert len(bench.patches) == 1


async def test_one_that_is_deleted_when_it_is_looked_for_too(bench: Bench) -> None:
    bench.write_answers, bench.answers = [ApiError(409, "Conflict")], [GONE]
    await bench.tries.release(pod_of(protected(bench)))
    assert len(bench.patches) == 1


async def test_another_of_that_name_is_left_alone(bench: Bench) -> None:
    bench.write_answers, bench.answers = [ApiError(409, "Conflict")], [protected(bench, uid="another")]
    await bench.tries.release(pod_of(protected(bench)))
    assert len(bench.patches) == 1


# In a cluster -------------------------------------------------------------------------------------------------------


async def test_a_try_whose_pod_went_while_no_controller_ran_is_made_again(cluster: MemoryCluster) -> None:
    cluster.stays.add("one")
    cluster.dag("sales")
    cluster.run("sales", "one")

    def entry() -> Json:
        return next(iter(cluster.status("dagruns", "one").get("tasks", ())), {})

    await cluster.eventually(lambda: entry().get("state") == "Running", "it runs")
    await cluster.kill()
    [name] = cluster.names("pods")
    cluster._ask("DELETE", "pods", name, {"gracePeriodSeconds": 0})
    cluster.stays.clear()
    await cluster.start()
    await cluster.wait_phase("one", "Succeeded")
    assert (entry()["try"], entry()["lost"], entry()["tries"][0]["reason"]) == (2, 1, "PodVanished")
