"""A Dag is suspended after too many failed runs in a row: once, whatever happens to the controller meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tests.unit.controller.memory_cluster import ApiError, Json, MemoryCluster, Unreachable, nothing
from tests.unit.controller.terms import part_of_term
from tradewind.api import names
from tradewind.cache.resources import DagObject
from tradewind.controller.dags import dags, failure_limits
from tradewind.engine.run.states import RunPhase
from tradewind.engine.schedule.finished_run import FinishedRun

pytestmark = pytest.mark.unit

TOO_MANY = "TooManyFailedRuns"
LIMIT = {"maxConsecutiveFailedRuns": 2}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure_limits, "AFTER_CONFLICT", 0.02)
    monkeypatch.setattr(failure_limits, "TRY_AGAIN", 0.05)


def status(cluster: MemoryCluster) -> Json:
    return cluster.status("dags", "sales")


def suspended(cluster: MemoryCluster) -> bool:
    return cluster.get("dags", "sales")["spec"].get("suspend") is True


def is_end(body: Json) -> bool:
    """Whether a write says that a run has failed."""
    return (body.get("status") or {}).get("phase") == "Failed"


def reason(cluster: MemoryCluster) -> str:
    reasons = [each["reason"] for each in status(cluster).get("conditions", ()) if each["type"] == "Scheduled"]
    return str(reasons[0]) if reasons else ""


def events(cluster: MemoryCluster) -> list[str]:
    return [event["note"] for event in cluster.events("Dag", "sales") if event["reason"] == TOO_MANY]


async def end(cluster: MemoryCluster, name: str, *, fails: bool = True, **spec: Any) -> None:
    """Make a run; returns once the Dag's status names it as the last."""
    cluster.run("sales", name, fails=fails, **spec)
    await cluster.eventually(lambda: status(cluster).get("lastRun") == name, f"{name} has finished and was counted")


async def wait_suspended(cluster: MemoryCluster) -> None:
    await cluster.eventually(
        lambda: suspended(cluster) and reason(cluster) == TOO_MANY and events(cluster), "it is suspended, and says so"
    )


async def never(cluster: MemoryCluster, happens: Callable[[], Any], what: str) -> None:
    for _ in range(30):
        assert not happens(), what
        await asyncio.sleep(0.01)


class Gate:
    """Refuses writes of Dags as if the API server were gone: of their status, or of their spec."""

    def __init__(self, cluster: MemoryCluster, part: str, error: Exception | None = None) -> None:
        self.refused = 0
        self._part, self._error = part, error or Unreachable("no answer")
        self._cluster = cluster
        cluster.before_write = self._check

    def _check(self, method: str, plural: str, name: str, body: Json) -> None:
        if method == "PATCH" and plural == "dags" and self._part in body:
            self.refused += 1
            raise self._error

    def open(self) -> None:
        self._cluster.before_write = nothing


async def test_after_too_many_in_a_row(cluster: MemoryCluster) -> None:
    cluster.dag("sales", schedule="0 0 1 1 *", **LIMIT)
    await end(cluster, "a")
    assert status(cluster)["consecutiveFailedRuns"] == 1
    await end(cluster, "b", fails=False)
    assert status(cluster)["consecutiveFailedRuns"] == 0
    await end(cluster, "c")
    await end(cluster, "d", type="Backfill")
    await never(cluster, lambda: suspended(cluster), "one in a row is not too many")
    assert reason(cluster) == "Scheduled"

    await end(cluster, "e")

    await wait_suspended(cluster)
    assert status(cluster)["consecutiveFailedRuns"] == 2
    assert "nextScheduleTime" not in status(cluster)
    [note] = events(cluster)
    assert note == (
        "suspended after 2 failed runs in a row (the last: e); "
        "to resume it, run `tradewind resume sales` or set spec.suspend to false"
    )


async def test_without_a_limit_nothing_is_counted(cluster: MemoryCluster) -> None:
    cluster.dag("sales", maxConsecutiveFailedRuns=0)
    await end(cluster, "a")
    await end(cluster, "b")
    assert "consecutiveFailedRuns" not in status(cluster)
    assert not suspended(cluster)


async def test_no_scheduled_run_starts_between_the_failure_and_the_suspension(cluster: MemoryCluster) -> None:
    gate = Gate(cluster, "spec")
    params = {"region": {"enum": ["eu"]}}
    schedule = {"schedule": "* * * * *", "startDate": "2026-03-01T00:00:00Z", "endDate": "2026-03-01T00:09:00Z"}
    cluster.dag("sales", catchup=True, maxActiveRuns=1, params=params, **schedule, **LIMIT)
    await cluster.eventually(lambda: gate.refused, "its suspension was tried")
    await never(cluster, lambda: len(cluster.names("dagruns")) != 2, "only two runs were made")
    assert reason(cluster) == TOO_MANY
    gate.open()
    await cluster.eventually(lambda: suspended(cluster), "it is suspended", 20)
    assert len(cluster.names("dagruns")) == 2


async def test_no_scheduled_run_starts_while_the_end_of_one_is_not_written(cluster: MemoryCluster) -> None:
    """That it has failed counts once it is written, so until then it may be the one that is too many."""
    refused: list[str] = []

    def refuse_ends(method: str, plural: str, name: str, body: Json) -> None:
        if plural == "dagruns" and is_end(body):
            refused.append(name)
            raise Unreachable("no answer")

    cluster.before_write = refuse_ends
    schedule = {"schedule": "* * * * *", "startDate": "2026-03-01T00:00:00Z", "endDate": "2026-03-01T00:09:00Z"}
    dag = {"catchup": True, "maxActiveRuns": 1, "maxConsecutiveFailedRuns": 1, **schedule}
    first = names.run_name("sales", datetime(2026, 3, 1, tzinfo=UTC))
    cluster.fails.add(first)
    cluster.dag("sales", **dag)
    await cluster.eventually(lambda: refused, "its end cannot be written")

    cluster.patch("dags", "sales", spec={"description": "has to be looked at"})

    await never(cluster, lambda: cluster.names("dagruns") != [first], "the next one waits")
    assert status(cluster)["activeRuns"] == 1
    cluster.before_write = nothing
    await cluster.eventually(lambda: suspended(cluster), "it is suspended", 20)
    assert cluster.names("dagruns") == [first]


async def test_it_counts_from_scratch_after_it_was_resumed(cluster: MemoryCluster) -> None:
    cluster.dag("sales", **LIMIT)
    await end(cluster, "a")
    await end(cluster, "b")
    await wait_suspended(cluster)
    await end(cluster, "while-suspended", fails=False)
    assert reason(cluster) == TOO_MANY, "until it is resumed"

    cluster.patch("dags", "sales", spec={"suspend": False})

    await cluster.eventually(lambda: status(cluster).get("consecutiveFailedRuns") == 0, "it counts from scratch")
    assert reason(cluster) == "NoSchedule"
    await end(cluster, "c")
    await never(cluster, lambda: suspended(cluster), "failures before it was resumed do not count")
    await end(cluster, "d")
    await wait_suspended(cluster)
    await cluster.eventually(lambda: len(events(cluster)) == 2, "each time there is an Event")


async def test_the_number_outlives_the_controller_and_the_runs(cluster: MemoryCluster) -> None:
    cluster.dag("sales", failedRunsHistoryLimit=0, **LIMIT)
    await end(cluster, "a")
    await cluster.eventually(lambda: not cluster.names("dagruns"), "the run was pruned")
    await cluster.kill()
    await cluster.start()
    await never(cluster, lambda: suspended(cluster), "one is not too many")
    await end(cluster, "b")
    await wait_suspended(cluster)


@pytest.mark.parametrize("ends_well", [True, False], ids=["stopped", "killed"])
@pytest.mark.parametrize("fails", [True, False], ids=["failed", "succeeded"])
async def test_what_had_finished_before_the_controller_did_is_counted_by_the_next(
    cluster: MemoryCluster, fails: bool, ends_well: bool
) -> None:
    cluster.dag("sales", successfulRunsHistoryLimit=0, **LIMIT)
    await end(cluster, "a")
    gate = Gate(cluster, "status")
    cluster.run("sales", "b", fails=fails)
    await cluster.wait_phase("b", "Failed" if fails else "Succeeded")
    await cluster.eventually(lambda: gate.refused, "it cannot be written into the Dag's status")
    await (cluster.stop() if ends_well else cluster.kill())
    assert status(cluster)["lastRun"] == "a"
    cluster.delete("leases", "tradewind-controller")
    gate.open()

    await cluster.start()

    if fails:
        await wait_suspended(cluster)
    else:
        await cluster.eventually(lambda: status(cluster).get("consecutiveFailedRuns") == 0, "the success is counted")
    assert status(cluster)["lastRun"] == "b"
    await never(cluster, lambda: suspended(cluster) != fails, "each was counted once")


async def test_an_end_of_which_the_controller_was_not_notified_is_counted_by_the_next(cluster: MemoryCluster) -> None:
    cluster.dag("sales", maxConsecutiveFailedRuns=3)
    await end(cluster, "a")
    cluster.hold = lambda plural, name, body: plural == "dagruns" and is_end(body)
    cluster.run("sales", "b", fails=True)
    await cluster.wait_phase("b", "Failed")
    # The Dag's status is written after that, and does not know of it.
    cluster.patch("dags", "sales", spec={"description": "Edited"})
    await cluster.eventually(lambda: status(cluster)["observedGeneration"] == 2, "its status is written")
    assert (status(cluster)["consecutiveFailedRuns"], status(cluster)["lastRun"]) == (1, "a")
    await cluster.kill()
    cluster.released.set()
    await cluster.start()
    await cluster.eventually(lambda: status(cluster)["consecutiveFailedRuns"] == 2, "it is counted")


async def test_runs_end_one_after_the_other(cluster: MemoryCluster) -> None:
    cluster.dag("sales", params={"region": {"enum": ["eu"], "default": "eu"}}, **LIMIT)
    await cluster.eventually(lambda: "consecutiveFailedRuns" in status(cluster), "it counts")
    cluster.hold = lambda plural, name, body: plural == "dagruns" and name == "a" and is_end(body)
    cluster.run("sales", "a", fails=True)
    await cluster.wait_phase("a", "Failed")
    cluster.run("sales", "b", fails=True)
    cluster.run("sales", "refused", params={"region": "mars"})
    ended = ("b", "refused")
    await never(
        cluster,
        lambda: [run for run in ended if cluster.status("dagruns", run).get("phase") == "Failed"],
        "the answer about the one before has to come first",
    )
    cluster.released.set()
    await wait_suspended(cluster)
    for run in ended:
        await cluster.wait_phase(run, "Failed")
    last = str(max(int(cluster.get("dagruns", run)["metadata"]["resourceVersion"]) for run in ("a", *ended)))
    await cluster.eventually(lambda: status(cluster)["lastRunResourceVersion"] == last, "all are counted")


async def test_a_run_that_was_only_written_to_is_not_counted_again(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dags, "CLOCKS_AGREE", timedelta())
    cluster.dag("sales", maxConsecutiveFailedRuns=3)
    await end(cluster, "a")
    await asyncio.sleep(1.1)
    await end(cluster, "b")
    await cluster.kill()
    for run in ("a", "b"):
        cluster.patch("dagruns", run, metadata={"labels": {"looked": "at"}})
    await cluster.start()
    await never(cluster, lambda: status(cluster)["consecutiveFailedRuns"] != 2, "each was counted once")
    await end(cluster, "c")
    await wait_suspended(cluster)


async def test_the_next_leader_suspends_what_was_due(cluster: MemoryCluster) -> None:
    cluster.dag("sales", **LIMIT)
    gate = Gate(cluster, "spec")
    await end(cluster, "a")
    await end(cluster, "b")
    await cluster.eventually(lambda: gate.refused, "its suspension was tried")
    await cluster.kill()
    gate.open()
    assert not suspended(cluster)
    await cluster.start()
    await wait_suspended(cluster)


async def test_the_next_leader_does_not_undo_a_resumption(cluster: MemoryCluster) -> None:
    cluster.dag("sales", **LIMIT)
    await end(cluster, "a")
    gate: list[Gate] = []

    def close(method: str, plural: str, name: str, body: Json) -> None:
        if plural == "dags" and "spec" in body:
            gate.append(Gate(cluster, "status"))

    cluster.after_write = close
    cluster.run("sales", "b", fails=True)
    await cluster.eventually(lambda: suspended(cluster), "it is suspended, which its status cannot say")
    await cluster.kill()
    cluster.after_write = nothing
    cluster.patch("dags", "sales", spec={"suspend": False})
    gate[0].open()

    await cluster.start()

    await cluster.eventually(lambda: status(cluster).get("consecutiveFailedRuns") == 0, "it counts from scratch")
    await never(cluster, lambda: suspended(cluster), "it was resumed")


async def test_an_edit_at_the_same_moment_is_kept(cluster: MemoryCluster) -> None:
    cluster.dag("sales", **LIMIT)
    await end(cluster, "a")
    left = ["edit"]

    def edit(method: str, plural: str, name: str, body: Json) -> None:
        if method == "PATCH" and plural == "dags" and "spec" in body and left:
            left.pop()
            cluster.patch("dags", "sales", spec={"description": "Fixed"})

    cluster.before_write = edit
    await end(cluster, "b")
    await wait_suspended(cluster)
    assert cluster.get("dags", "sales")["spec"]["description"] == "Fixed"


async def test_one_that_was_done_though_no_one_answered_is_reported(cluster: MemoryCluster) -> None:
    cluster.dag("sales", **LIMIT)
    await end(cluster, "a")
    left = ["lost"]

    def lose(method: str, plural: str, name: str, body: Json) -> None:
        if method == "PATCH" and plural == "dags" and "spec" in body and left:
            left.pop()
            raise Unreachable("no answer")

    cluster.after_write = lose
    await end(cluster, "b")
    await wait_suspended(cluster)
    assert len(events(cluster)) == 1


async def test_a_controller_that_may_not_suspend_says_so(
    cluster: MemoryCluster, caplog: pytest.LogCaptureFixture
) -> None:
    Gate(cluster, "spec", ApiError(403, "Forbidden", "may not patch dags"))
    cluster.dag("sales", **LIMIT)
    await end(cluster, "a")
    await end(cluster, "b")
    await cluster.eventually(lambda: "cannot suspend Dag ns/sales" in caplog.text, "it is logged")
    [message] = [each["message"] for each in status(cluster)["conditions"] if each["type"] == "Scheduled"]
    assert message.startswith("about to be suspended after 2 failed runs in a row")


async def test_a_limit_that_is_set_later_counts_from_then_on(cluster: MemoryCluster) -> None:
    cluster.dag("sales")
    await end(cluster, "a")
    await end(cluster, "b")
    cluster.patch("dags", "sales", spec=LIMIT)
    await cluster.eventually(lambda: status(cluster).get("consecutiveFailedRuns") == 0, "it counts")
    await end(cluster, "c")
    await never(cluster, lambda: suspended(cluster), "one is not too many")


async def test_a_last_run_that_is_marked_succeeded_does_not_count(cluster: MemoryCluster) -> None:
    cluster.dag("sales", **LIMIT)
    await end(cluster, "a")
    await cluster.wait_asked("a", cluster.ask("a", "Mark", state="Succeeded"))
    await cluster.eventually(lambda: status(cluster)["consecutiveFailedRuns"] == 0, "it is not counted any more")
    await end(cluster, "b")
    await never(cluster, lambda: suspended(cluster), "one is not too many")
    await end(cluster, "c")
    await wait_suspended(cluster)
    await cluster.wait_asked("c", cluster.ask("c", "Mark", state="Succeeded"))
    await never(cluster, lambda: not suspended(cluster), "that resumes no Dag")


async def test_that_it_was_marked_is_found_out_by_the_next_controller(cluster: MemoryCluster) -> None:
    cluster.dag("sales", **LIMIT)
    await end(cluster, "a")
    gate = Gate(cluster, "status")
    await cluster.wait_asked("a", cluster.ask("a", "Mark", state="Succeeded"))
    await cluster.eventually(lambda: gate.refused, "it cannot be written into the Dag's status")
    await cluster.kill()
    assert status(cluster)["consecutiveFailedRuns"] == 1
    cluster.delete("leases", "tradewind-controller")
    gate.open()
    await cluster.start()
    await cluster.eventually(lambda: status(cluster)["consecutiveFailedRuns"] == 0, "it is not counted any more")
    assert (status(cluster)["lastRun"], status(cluster)["lastRunPhase"]) == ("a", "Succeeded")


def a_dag(generation: int, *, suspend: bool, **status: Any) -> DagObject:
    metadata = {"name": "sales", "namespace": "ns", "uid": "u", "generation": generation, "resourceVersion": "9"}
    document = {"metadata": metadata, "spec": {"maxConsecutiveFailedRuns": 2, "suspend": suspend}, "status": status}
    return msgspec.json.decode(msgspec.json.encode(document), type=DagObject)


class AnswersGeneration:
    """A writer whose every write makes this generation."""

    def __init__(self, generation: int) -> None:
        self.generation = generation

    async def patch(self, *_: Any, **__: Any) -> Json:
        return {"metadata": {"generation": self.generation}}


@pytest.mark.parametrize(("generation", "left"), [(3, 0), (2, 2), (1, 2)])
async def test_a_resumption_counts_though_no_one_has_seen_the_suspension(generation: int, left: int) -> None:
    """The watch was broken meanwhile, and shows only the last state: that after ours is a person's, those up to it are
    old news."""
    key, tasks = ("ns", "sales"), list[asyncio.Task[None]]()

    def spawn(work: Any, name: str, again: Any = None) -> asyncio.Task[None]:
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    term = part_of_term(writer=AnswersGeneration(2), spawn=spawn)
    limits = failure_limits.FailureLimits(term, lambda key: None)
    limits.understand(key, a_dag(1, suspend=False))
    at = datetime(2026, 3, 1, tzinfo=UTC)
    for version in (10, 11):
        limits.note_finished(key, FinishedRun("ns", "sales", f"r{version}", "Scheduled", RunPhase.FAILED, at, version))
    limits.enforce(key, a_dag(1, suspend=False, consecutiveFailedRuns=2, observedGeneration=1))
    await asyncio.gather(*tasks)
    limits.understand(key, a_dag(generation, suspend=False))
    assert limits.count(key) == left
    assert (limits.too_many(key) is None) == (left == 0)


async def test_an_unexpected_error_does_not_keep_a_dag_from_being_suspended(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.failures_expected = True
    leader = cluster.controller.leader
    assert leader is not None
    limits = leader.dags.failure_limits
    patch, failed = limits._writer.patch, list[Any]()

    async def fails(resource: Any, namespace: Any, name: str, body: Any, **options: Any) -> Any:
        if "suspend" in body.get("spec", ()) and not failed:
            failed.append(body)
            raise RuntimeError("unexpected")
        return await patch(resource, namespace, name, body, **options)

    monkeypatch.setattr(limits._writer, "patch", fails)
    cluster.dag("sales", **LIMIT)
    await end(cluster, "a")
    await end(cluster, "b")
    await wait_suspended(cluster)
    assert failed
