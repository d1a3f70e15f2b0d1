"""Deletion, retention, and waits for room."""

from functools import partial
from typing import Any

from tests.e2e.spaces import Space, stay, task
from tests.e2e.stage import Stage, side_by_side


def left(space: Space, dag: str) -> list[str]:
    """Names of all that belongs to a Dag."""
    selector = f"tradewind.dev/dag={dag}"
    revisions = space.witness.apps.list_namespaced_controller_revision(space.name, label_selector=selector).items
    pods = space.pods(selector)
    return [item.metadata.name for item in [*revisions, *pods]] + [run["metadata"]["name"] for run in space.runs(dag)]


@side_by_side
def test_a_run_takes_its_pods_with_it(stage: Stage) -> None:
    space = stage.watched_space("run-gone")
    space.dag("sales", task("done", "true"), task("long", "sleep 600", "done"))
    run = space.run("sales", "again")
    space.wait_state(run, "long", "Running")
    other = space.run("sales", "other")
    space.wait_state(other, "long", "Running")
    gone = {pod.metadata.uid for pod in space.pods_of(run)}

    space.kubectl.run("delete", "dr", run)

    space.eventually(lambda: not space.pods_of(run), "its Pods are gone")
    assert len(space.pods_of(other)) == 2, "those of the other run are not"
    space.run("sales", run)
    space.wait_state(run, "long", "Running")
    assert not gone & {pod.metadata.uid for pod in space.pods_of(run)}, "a run of the same name starts afresh"


@side_by_side
def test_a_dag_takes_everything_with_it(stage: Stage) -> None:
    space = stage.watched_space("dag-gone")
    for dag in ("sales", "stock"):
        space.dag(dag, task("t", "true"))
        space.wait_succeeded(space.run(dag))
    space.edit_dag("sales", tasks=[task("long", "sleep 600")])
    space.wait_accepted("sales")
    space.wait_state(space.run("sales"), "long", "Running")
    assert len(left(space, "sales")) == 2 + 2 + 2

    space.kubectl.run("delete", "dag", "sales")

    space.eventually(lambda: not left(space, "sales"), "nothing is left of the Dag")
    assert len(left(space, "stock")) == 3
    space.dag("sales", task("t", "true"))
    space.wait_succeeded(space.run("sales"))


@side_by_side
def test_pod_retention(stage: Stage) -> None:
    space = stage.watched_space("retention")
    space.dag("brief", task("t", "echo 1 >$TRADEWIND_OUTPUT"), podRetention="4s")
    space.dag("kept", task("t", "true"))
    run, kept = space.run("brief"), space.run("kept")
    space.wait_succeeded(run)
    space.wait_succeeded(kept)
    assert len(space.pods_of(run)) == 1
    space.eventually(lambda: not space.pods_of(run), "its Pods are gone")
    assert space.task(run, "t")["output"] == 1
    assert len(space.pods_of(kept)) == 1


@side_by_side
def test_history_limits(stage: Stage) -> None:
    space = stage.watched_space("history")
    space.dag(
        "sales",
        task("t", "exit {{ params.code }}"),
        params={"code": {"type": "integer"}},
        successfulRunsHistoryLimit=1,
        failedRunsHistoryLimit=2,
    )
    for number, code in enumerate((0, 1, 0, 1, 0, 1)):
        run = space.run("sales", f"run-{number}", params={"code": code})
        # A finished run may be pruned before we look.
        space.eventually(partial(over, space, run), f"{run} has finished")
    kept = ["run-3", "run-4", "run-5"]
    space.eventually(lambda: [run["metadata"]["name"] for run in space.runs("sales")] == kept, "the oldest go")
    space.eventually(lambda: pods_by_run(space) == set(kept), "and their Pods with them")
    stay(2, lambda: len(space.runs("sales")) == 3, "no more than those go")


@side_by_side
def test_history_limits_apply_to_rejected_runs(stage: Stage) -> None:
    space = stage.watched_space("refused")
    space.dag("sales", task("t", "true"), params={"region": {"enum": ["eu", "us"]}}, failedRunsHistoryLimit=1)
    for number in range(3):
        run = space.run("sales", f"run-{number}", params={"region": "mars"})
        space.eventually(partial(over, space, run), f"{run} has finished")
    space.eventually(lambda: [run["metadata"]["name"] for run in space.runs("sales")] == ["run-2"], "the last stays")
    space.eventually(lambda: space.dag_status("sales").get("lastRun") == "run-2", "the Dag names it")
    assert space.dag_status("sales")["lastRunPhase"] == "Failed"
    refused = f'tradewind_dag_runs_finished_total{{dag="sales",namespace="{space.name}",state="Failed"}}'
    assert stage.controller().metric(refused) == 3


def over(space: Space, run: str) -> bool:
    found = {item["metadata"]["name"]: item.get("status", {}).get("phase") for item in space.runs("sales")}
    return run not in found or found[run] in ("Succeeded", "Failed")


def pods_by_run(space: Space) -> set[str]:
    return {pod.metadata.labels["tradewind.dev/run"] for pod in space.pods()}


@side_by_side
def test_a_quota_makes_tasks_wait(stage: Stage) -> None:
    space = stage.watched_space("quota")
    quota: dict[str, Any] = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "2"}}}
    space.witness.core.create_namespaced_resource_quota(space.name, quota)
    few = space.witness.core.read_namespaced_resource_quota
    space.eventually(lambda: (few("few", space.name).status.hard or {}).get("pods"), "the quota is in force")
    space.dag("wide", *(task(f"t-{i}", "sleep 8") for i in range(4)))
    run = space.run("wide")

    def waiting() -> list[Any]:
        return [entry for entry in space.tasks(run).values() if entry.get("reason") == "QuotaExceeded"]

    space.eventually(lambda: len(waiting()) == 2, "two tasks wait for the quota")
    assert all(entry["state"] == "Scheduled" and "exceeded quota: few" in entry["message"] for entry in waiting())
    assert len(space.pods_of(run)) == 2

    space.witness.core.patch_namespaced_resource_quota("few", space.name, {"spec": {"hard": {"pods": "10"}}})

    space.wait_succeeded(run)
    assert {entry["try"] for entry in space.tasks(run).values()} == {1}
    assert not any("message" in entry for entry in space.tasks(run).values())
