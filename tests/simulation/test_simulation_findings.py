"""Bugs that random faults have found, one by one. The invariants hold in each of these stories too.

Most are of the first 14,400 seeds; docs/records/simulation.md has those of later ones. The number of a seed is not
kept: it means another play with each change of the simulation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.apiserver import Attributes, Commit, Refusal, Request
from tests.apiserver.kinds import BACKFILLS, DAGRUNS, DAGS, PODS
from tests.simulation.kubelet import Script, TryId
from tests.simulation.stories import SECOND, entry_of, is_write, leader, play, stall, standby, status_of, task
from tests.simulation.world import World

pytestmark = pytest.mark.simulation


def deny(attributes: Attributes) -> None:
    """A webhook that wants no Pods."""
    if attributes.kind is PODS and attributes.operation == "CREATE":
        raise Refusal(400, "BadRequest", 'admission webhook "pods.example.dev" denied the request: no')


def test_a_pod_whose_creation_got_no_response_is_not_rejected() -> None:
    """A webhook that denies the second attempt does not undo the first."""

    def story(world: World) -> None:
        def interfere(request: Request) -> str:
            if not is_write(request, "POST", "pods"):
                return ""
            world.network.interfere = lambda request: ""
            world.later(0.005, world.server.admission.append, deny)
            return "unanswered"

        world.network.interfere = interfere

    world = play(story, task("a"))
    assert (entry_of(world, "a")["state"], entry_of(world, "a")["try"]) == ("Succeeded", 1)


def test_a_try_keeps_its_slot_while_it_is_unknown_if_its_pod_exists() -> None:
    def story(world: World) -> None:
        def interfere(request: Request) -> str:
            if is_write(request, "POST", "pods"):
                return "unanswered" if world.loop.time() < 0.1 else ""
            asks = request.method == "GET" and "/pods/" in request.path
            return "429" if asks and world.loop.time() < 8 else ""

        world.network.interfere = interfere
        world.later(0.005, stall, world, "", "pods", 10.0)

    play(story, task("a"), task("b"), script=Script(duration=20.0), parallelism=1)


def test_a_pod_whose_creation_got_no_response_is_not_recreated_after_its_deletion() -> None:
    """The next try runs by then."""

    def story(world: World) -> None:
        def delete() -> None:
            (pod,) = world.kubelet.truths
            world.kubelet.delete(pod, 0)

        def interfere(request: Request) -> str:
            if not is_write(request, "POST", "pods"):
                return ""
            world.network.interfere = lambda request: ""
            world.later(0.02, delete)
            return "unanswered"

        world.network.interfere = interfere

    world = play(story, task("a"))
    assert [truth.id.number for truth in world.kubelet.truths.values()] == [1, 2]


def test_a_try_that_was_lost_is_not_judged_by_the_time_that_has_passed_since() -> None:
    """The controller dies before it has written that it was, and that the next one succeeded."""

    def story(world: World) -> None:
        def script_of(try_id: TryId, document: Any) -> Script:
            return SECOND if try_id.number == 2 else Script(waits="ContainerCreating")

        def strike() -> None:
            world.network.interfere = lambda request: "429" if is_write(request, "PATCH", "dagruns") else ""
            world.kubelet.delete(world.kubelet.waiting()[0], 0)
            world.later(3.0, die)

        def die() -> None:
            leader(world).kill()
            world.network.interfere = lambda request: ""

        world.kubelet.script_of = script_of
        world.later(2.0, strike)

    world = play(story, task("a", queuedTimeout="5s"))
    assert (entry_of(world, "a")["state"], entry_of(world, "a")["try"]) == ("Succeeded", 2)


def test_a_result_is_kept_though_its_run_is_not_known_yet() -> None:
    """The standby has seen a Pod and its end, but not the run; then it becomes leader, and the Pod is deleted."""

    def story(world: World) -> None:
        def strike() -> None:
            stall(world, standby(world).name, "dagruns", 60.0)
            world.make_run("late", "d")
            world.network.interfere = lambda request: "429" if is_write(request, "PATCH", "dagruns/late/s") else ""
            world.later(3.0, finish)

        def finish() -> None:
            for pod in world.server.all(PODS):
                world.request("DELETE", PODS, "ns", pod["metadata"]["name"])
            world.later(1.0, die)

        def die() -> None:
            leader(world).kill()
            world.network.interfere = lambda request: ""

        world.later(0.02, strike)

    world = play(story, task("a"))
    assert (entry_of(world, "a", "late")["state"], entry_of(world, "a", "late")["try"]) == ("Succeeded", 1)


def test_the_runs_of_a_dag_that_is_deleted_do_not_start() -> None:
    def story(world: World) -> None:
        world.later(0.5, world.request, "DELETE", DAGS, "ns", "d")

    world = play(story, task("a"), runs=4, maxActiveRuns=1)
    assert {truth.name[:4] for truth in world.kubelet.truths.values()} == {"run0"}


def test_a_dag_counts_its_runs_when_one_is_deleted() -> None:
    def story(world: World) -> None:
        world.later(1.5, world.request, "DELETE", DAGRUNS, "ns", "run0")

    world = play(story, task("a"), script=Script(duration=5.0))
    dag = world.server.find(DAGS, "ns", "d")
    assert dag is not None
    assert dag["status"]["activeRuns"] == 0


def test_a_held_pod_goes_though_its_run_is_heard_of_last() -> None:
    def story(world: World) -> None:
        world.later(2.0, stall, world, "", "dagruns", 6.0)
        world.later(2.5, world.request, "DELETE", DAGRUNS, "ns", "run0")

    world = play(story, task("a"), script=Script(duration=20.0), resultProtection="Finalizer")
    assert world.server.all(PODS) == []


def test_a_finalizer_is_removed_though_the_first_request_was_rejected() -> None:
    def story(world: World) -> None:
        def refuse(attributes: Attributes) -> None:
            request = attributes.request
            ours = request is not None and "-" in request.client and request.client != "controller-manager"
            if ours and attributes.kind is PODS and attributes.operation == "UPDATE" and world.loop.time() < 8:
                raise Refusal(403, "Forbidden", "rights are being changed")

        world.server.admission.append(refuse)

    play(story, task("a"), resultProtection="Finalizer")


def test_history_is_pruned_though_that_failed_once() -> None:
    def story(world: World) -> None:
        failed: list[str] = []

        def interfere(request: Request) -> str:
            if "spec.dag=d" in str(request.params.get("fieldSelector")) and not failed:
                failed.append(request.path)
                return "429"
            return ""

        world.network.interfere = interfere

    world = play(story, task("a"), successfulRunsHistoryLimit=0)
    assert world.server.all(DAGRUNS) == []


def test_a_run_that_ends_while_others_are_pruned_is_pruned_too() -> None:
    def story(world: World) -> None:
        def interfere(request: Request) -> str:
            return "lost" if is_write(request, "DELETE", "dagruns/run0") and world.loop.time() < 6 else ""

        world.network.interfere = interfere

    world = play(story, task("a"), runs=2, parallelism=1, successfulRunsHistoryLimit=0)
    assert world.server.all(DAGRUNS) == []


def when_run0_finishes(world: World, act: Callable[[], None]) -> None:
    """Do something at the very moment at which the status of a run is finished."""

    def seen(commit: Commit) -> None:
        status = commit.new.document.get("status", {}) if commit.kind is DAGRUNS and commit.new else {}
        if status.get("phase") == "Succeeded":
            world.server.store.on_commit.remove(seen)
            act()

    world.server.store.on_commit.append(seen)


def test_a_pod_is_let_go_though_its_run_could_not_be_read_at_first() -> None:
    """The controller dies before it has let it go; what it leaves, the next one clears up."""

    def story(world: World) -> None:
        def interfere(request: Request) -> str:
            asks = request.method == "GET" and request.path.endswith("/dagruns/run0")
            return "429" if asks and world.loop.time() < 30 else ""

        def die() -> None:
            leader(world).kill()
            world.network.interfere = interfere

        when_run0_finishes(world, die)

    play(story, task("a"), resultProtection="Finalizer")


@pytest.mark.parametrize("dies", [False, True])
def test_pods_go_when_their_time_is_over_though_that_failed_at_first(dies: bool) -> None:
    def story(world: World) -> None:
        def refuse(attributes: Attributes) -> None:
            if attributes.kind is PODS and attributes.operation == "DELETE" and world.loop.time() < 15:
                raise Refusal(403, "Forbidden", "rights are being changed")

        def interfere(request: Request) -> str:
            asks = request.method == "GET" and request.path.endswith("/dagruns/run0")
            return "429" if asks and world.loop.time() < 25 else ""

        def die() -> None:
            leader(world).kill()
            world.network.interfere = interfere

        world.server.admission.append(refuse)
        if dies:
            when_run0_finishes(world, die)

    world = play(story, task("a"), podRetention="5s")
    assert world.server.all(PODS) == []


def test_a_dag_that_is_created_while_its_run_reports_that_it_waits() -> None:
    def story(world: World) -> None:
        world.later(1.0, world.make_run, "early", "late")

        def interfere(request: Request) -> str:
            if is_write(request, "PATCH", "dagruns/early/status"):
                world.network.interfere = lambda request: ""
                world.make_dag("late", {"tasks": [task("a")]})
                return "lost"
            return ""

        world.network.interfere = interfere

    assert status_of(play(story, task("a")), "early")["phase"] == "Succeeded"


def test_a_finished_run_is_not_revived_by_old_watch_events() -> None:
    """Its Pod was denied, for good; while the watch still has the earlier state, it would be allowed."""

    def story(world: World) -> None:
        world.server.admission.append(deny)
        world.later(0.008, stall, world, "", "dagruns", 3.0)
        world.later(1.0, stall, world, "", "dagruns", 5.0)
        world.later(2.5, world.server.admission.clear)

    world = play(story, task("a"))
    assert world.kubelet.truths == {}
    assert entry_of(world, "a")["reason"] == "InvalidPod"


def test_a_finished_try_is_not_stopped_for_its_time_limit() -> None:
    """The watch never delivers its Pod: it hangs, and then its history has expired."""

    def story(world: World) -> None:
        def forget() -> None:
            for stream in world.streams():
                if stream.plural == "pods":
                    stream.cut()
            world.server.store.compact()

        world.later(0.005, stall, world, "", "pods", 20.0)
        world.later(5.6, forget)

    world = play(story, task("a", queuedTimeout="5s"), script=Script(start_after=0.2, duration=3.0))
    assert entry_of(world, "a")["state"] == "Succeeded"


def test_a_result_that_was_only_read_outlives_the_term_in_which_it_was() -> None:
    """It could not be written, nor the Lease be renewed; the Pod goes meanwhile, and no watch ever showed its end."""

    def story(world: World) -> None:
        def refuse(request: Request) -> str:
            return "429" if is_write(request, "PUT", "leases") or is_write(request, "PATCH", "dagruns") else ""

        def strike() -> None:
            standby(world).kill(None)
            stall(world, "", "pods", 60.0)
            world.later(5.6, lambda: setattr(world.network, "interfere", refuse))
            world.later(8.0, lambda: world.request("DELETE", PODS, "ns", world.server.all(PODS)[0]["metadata"]["name"]))
            world.later(9.0, forget)
            world.later(30.0, lambda: setattr(world.network, "interfere", lambda request: ""))
            world.later(40.0, revive, world)

        def forget() -> None:
            for stream in world.streams():
                if stream.plural == "pods":
                    stream.cut()
            world.server.store.compact()

        world.later(0.005, strike)

    world = play(story, task("a", queuedTimeout="7s"), script=Script(start_after=0.2, duration=3.0))
    assert (entry_of(world, "a")["state"], entry_of(world, "a")["try"]) == ("Succeeded", 1)


def test_a_new_leader_whose_watches_hang_keeps_to_the_limits() -> None:
    """It has heard of a run that waits for its second try, not of the one that has the only slot meanwhile."""

    def story(world: World) -> None:
        def strike() -> None:
            for plural in ("pods", "dagruns"):
                stall(world, standby(world).name, plural, 60.0)
            world.make_dag("e", {"tasks": [task("b")]})
            world.make_run("early", "e")
            world.later(4.0, leader(world).kill, None)
            world.later(50.0, revive, world)

        world.later(0.02, strike)

    retried = task("a", retries={"limit": 1, "delay": "15s"})
    scripts = {"a": Script(start_after=0.2, duration=1.0, exit_code=1), "b": Script(duration=60.0)}
    play(story, retried, scripts=scripts, parallelism=1)


def test_a_new_leader_whose_watches_hang_starts_nothing_of_a_deleted_dag() -> None:
    """The revision that it would create is deleted with the Dag: no later leader could continue."""

    def story(world: World) -> None:
        def strike() -> None:
            stall(world, standby(world).name, "dags", 60.0)
            world.request("DELETE", DAGS, "ns", "d")
            world.later(1.0, world.make_run, "late", "d")
            world.later(2.0, leader(world).kill, None)
            world.later(40.0, world.make_dag, "d", {"tasks": [task("a")]})
            world.later(50.0, revive, world)

        world.later(0.02, strike)

    world = play(story, task("a"), script=Script(duration=20.0))
    [truth] = [truth for truth in world.kubelet.truths.values() if truth.name.startswith("late")]
    assert (truth.started_at or 0) > 40


def test_a_new_leader_reads_a_status_of_another_leader_only_once() -> None:
    """Its cache is older than the status: a conflict shows that, and then it uses the answer."""
    conflicts: list[str] = []

    def story(world: World) -> None:
        def strike() -> None:
            stall(world, standby(world).name, "dagruns", 60.0)
            world.later(3.0, world.network.down.add, leader(world).name)
            world.later(20.0, count)
            world.later(50.0, world.network.down.clear)

        def count() -> None:
            def interfere(request: Request) -> str:
                if is_write(request, "PATCH", "dagruns/run0/status"):
                    conflicts.append(request.path)
                return ""

            world.network.interfere = interfere

        world.later(0.02, strike)

    play(story, task("a"), task("b", "a"), script=Script(duration=15.0))
    assert len(conflicts) < 10


def test_a_result_that_the_watch_has_still_to_tell_of_is_waited_for() -> None:
    """The timeout of the try expires after its Pod was deleted, before the watch delivers its result."""

    def story(world: World) -> None:
        def strike() -> None:
            stall(world, leader(world).name, "pods", 20.0)
            world.later(3.0, clean_up)

        def clean_up() -> None:
            [pod] = world.server.all(PODS)
            assert pod["status"]["phase"] == "Succeeded"
            world.request("DELETE", PODS, "ns", pod["metadata"]["name"])

        world.later(1.0, strike)

    world = play(story, task("a", timeout="5s"), script=Script(start_after=0.2, duration=3.0))
    assert (entry_of(world, "a")["state"], entry_of(world, "a")["try"]) == ("Succeeded", 1)


def test_runs_are_deleted_though_the_watch_delivers_the_end_of_their_backfill_late() -> None:
    """They are kept until their Backfill has recorded their results."""
    left: list[int] = []

    def story(world: World) -> None:
        def strike() -> None:
            stall(world, leader(world).name, "backfills", 20.0)

        spec = {"dag": "d", "from": "2026-03-01T05:59:30Z", "to": "2026-03-01T05:59:59Z"}
        body = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "Backfill", "metadata": {"name": "b"}, "spec": spec}
        world.request("POST", BACKFILLS, "ns", None, body)
        world.later(3.0, strike)
        for moment in (15.0, 25.0):
            world.later(moment, lambda: left.append(len(world.server.all(DAGRUNS))))

    history: dict[str, Any] = {"schedule": {"every": "20s"}, "suspend": True, "successfulRunsHistoryLimit": 0}
    world = play(story, task("a"), script=Script(duration=5.0), **history)
    assert world.server.all(BACKFILLS)[0]["status"]["succeeded"] == 1
    assert left == [1, 0]


def test_a_run_of_a_dag_that_was_made_again_outlives_its_controller() -> None:
    """The revision of the earlier Dag, the same in all but its UID, is deleted with that Dag."""
    spec: dict[str, Any] = {"tasks": [task("a")]}

    def story(world: World) -> None:
        def make_again() -> None:
            world.request("DELETE", DAGS, "ns", "d")
            world.make_dag("d", spec)
            body = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "DagRun", "metadata": {"name": "again"}}
            world.request("POST", DAGRUNS, "ns", None, body | {"spec": {"dag": "d"}})

        world.later(1.0, make_again)
        world.later(4.0, lambda: leader(world).kill())

    world = play(story, *spec["tasks"], script=Script(duration=10.0))
    assert [run["metadata"]["name"] for run in world.server.all(DAGRUNS)] == ["again"]
    assert status_of(world, "again")["phase"] == "Succeeded"


def lose_the_answer_to_a_failure(world: World) -> None:
    """The watch delivers the finish of a run before the answer to its status write arrives."""

    def interfere(request: Request) -> str:
        if not (is_write(request, "PATCH", "dagruns") and b'"phase":"Failed"' in (request.body or b"")):
            return ""
        world.network.interfere = lambda request: ""
        return "unanswered"

    world.network.interfere = interfere


ONE_FAILURE: dict[str, Any] = {"schedule": {"every": "20s"}, "maxActiveRuns": 1, "maxConsecutiveFailedRuns": 1}


def test_no_scheduled_run_starts_while_it_is_not_known_that_too_many_have_failed() -> None:
    def story(world: World) -> None:
        lose_the_answer_to_a_failure(world)
        world.busy_until = 60.0

    world = play(story, task("a"), script=Script(duration=25.0, exit_code=1), **ONE_FAILURE)
    assert [run["metadata"]["name"] for run in world.server.all(DAGRUNS)] == ["run0"]
    assert world.server.all(DAGS)[0]["spec"]["suspend"] is True


def test_no_scheduled_run_starts_while_a_new_leader_ends_a_run_before_it_has_looked_at_the_dag() -> None:
    """While there was no leader it timed out, and a Pod finished whose result is to be recorded."""

    def story(world: World) -> None:
        lose_the_answer_to_a_failure(world)
        for replica in world.replicas:
            world.later(5.0, replica.kill, 25.0)
        world.busy_until = 60.0

    scripts = {"a": Script(duration=None), "b": Script(duration=10.0)}
    protected: dict[str, Any] = {"resultProtection": "Finalizer", "runTimeout": "20s"}
    world = play(story, task("a"), task("b"), scripts=scripts, **ONE_FAILURE, **protected)
    assert [run["metadata"]["name"] for run in world.server.all(DAGRUNS)] == ["run0"]
    assert status_of(world)["reason"] == "RunTimeout"


def revive(world: World) -> None:
    for replica in world.replicas:
        replica.start()


def test_a_replica_may_be_stopped_at_any_await() -> None:
    def stop_after(steps: int) -> Callable[[World], None]:
        return lambda world: world.strike_at_any_await(steps, world.replicas[0].stop)

    for steps in range(1, 80):
        assert status_of(play(stop_after(steps), task("a")))["phase"] == "Succeeded"
