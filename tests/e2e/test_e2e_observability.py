"""The controller's output for operators: metrics, probes, logs, Events."""

import json
import os
import subprocess

from tests.e2e.controller_process import TRADEWIND
from tests.e2e.spaces import Space, task
from tests.e2e.stage import Stage, side_by_side


def series(space: Space, name: str, **labels: str) -> str:
    """A series as Prometheus writes it; labels in alphabetical order."""
    named = sorted({"namespace": space.name, **labels}.items())
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in named) + "}"


@side_by_side
def test_metrics(stage: Stage) -> None:
    space, controller = stage.space_and_controller("metrics")
    space.pool("few", 3)
    space.dag("sales", task("good", "true"), task("bad", "exit 1"), task("after", "true", "bad"))
    space.dag("long", task("long", "sleep 600", pool="few", poolSlots=2), task("next", "true", "long"))
    space.dag("cyclic", task("a", "true", "b"), task("b", "true", "a"))
    space.wait_finished(space.run("sales"))
    space.wait_state(space.run("long"), "long", "Running")
    space.wait_accepted("cyclic", "False")
    sales, long = {"dag": "sales"}, {"dag": "long"}
    expected = {
        series(space, "tradewind_dag_runs", **sales, state="Failed"): 1,
        series(space, "tradewind_dag_runs", **long, state="Running"): 1,
        series(space, "tradewind_dag_runs_finished_total", **sales, state="Failed"): 1,
        series(space, "tradewind_task_instances_finished_total", **sales, state="Succeeded"): 1,
        series(space, "tradewind_task_instances_finished_total", **sales, state="UpstreamFailed"): 1,
        series(space, "tradewind_task_instances", **long, state="Running"): 1,
        series(space, "tradewind_pool_slots", pool="few"): 3,
        series(space, "tradewind_pool_used_slots", pool="few"): 2,
        series(space, "tradewind_dags", state="Accepted"): 2,
        series(space, "tradewind_dags", state="Rejected"): 1,
        "tradewind_leader": 1,
        "tradewind_loop_failures_total": 0,
    }
    space.eventually(lambda: controller.metric(next(iter(expected))) == 1, "the run is counted")
    assert {name: controller.metric(name) for name in expected} == expected
    page = controller.metrics()
    for forbidden in ("long-", "sales-", 'task="', 'pod="', 'run="'):
        assert forbidden not in page, f"{forbidden} would make endless series"


@side_by_side
def test_probes(stage: Stage) -> None:
    space = stage.space("probes")
    leader = stage.controllers.launch_for(space.name).wait_leading()
    standby = stage.controllers.launch_for(space.name).wait_ready()
    for replica in (leader, standby):
        assert replica.probe("/healthz") == (200, "ok")
        assert replica.probe("/readyz") == (200, "ok")
    assert (leader.metric("tradewind_leader"), standby.metric("tradewind_leader")) == (1, 0)


@side_by_side
def test_json_logs(stage: Stage) -> None:
    space, controller = stage.space_and_controller("logs", "--log-format=json", "--log-level=debug")
    space.dag("sales", task("t", "true"))
    space.wait_succeeded(space.run("sales"))
    controller.stop()
    lines = [json.loads(line) for line in controller.log.read_text().splitlines()]
    assert len(lines) >= 3
    for line in lines:
        assert {"time", "level", "logger", "message"} <= line.keys(), line
    assert any("is the leader" in line["message"] for line in lines)


@side_by_side
def test_events(stage: Stage) -> None:
    space, _ = stage.space_and_controller("events")
    space.dag("flaky", task("t", "echo no luck; exit 1", retries={"limit": 1, "delay": "1s"}))
    run = space.run("flaky")
    space.wait_finished(run)
    expected = [
        ("Warning", "TryFailed", "t: try 1 failed (Error: no luck); the next is due in 1s"),
        ("Warning", "TaskFailed", "t: failed after try 2: Error: no luck"),
    ]
    space.eventually(lambda: len(space.events("DagRun", run)) >= 3, "there are Events about the run")
    events = [(event.type, event.reason, event.message) for event in space.events("DagRun", run)]
    for event in expected:
        assert event in events
    [ended] = [text for kind, reason, text in events if reason == "Failed"]
    assert "failed: t" in ended
    space.eventually(lambda: space.events("Dag", "flaky"), "there is an Event about the Dag")
    [about_dag] = space.events("Dag", "flaky")
    assert about_dag.reason == "RunFailed"
    assert run in about_dag.message
    assert "no luck" in space.kubectl.run("events", f"--for=dagrun/{run}")


@side_by_side
def test_a_start_that_fails_says_why(stage: Stage) -> None:
    space = stage.space("no-api")
    command = [str(TRADEWIND), "controller", f"--namespaces={space.name}", "--metrics-port=0", "--probe-port=0"]
    env = {**os.environ, "KUBECONFIG": "/nonexistent"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr, done.stderr
