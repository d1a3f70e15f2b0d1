"""`tradewind rerun`, `mark`, `stop` and `pause` of runs, as a person uses them, with a controller that acts on them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.cluster import REPOSITORY
from tests.e2e.pod_watch import has_exited
from tests.e2e.spaces import Space, stay, task
from tests.e2e.stage import Stage, side_by_side

SECONDS = 240.0


def tradewind(space: Space, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line in the namespace."""
    program = Path(sys.executable).with_name("tradewind")
    env = {**os.environ, "KUBECONFIG": str(space.kubectl.kubeconfig)}
    command = [str(program), *words, "-n", space.name]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)


def requests(space: Space, run: str) -> list[tuple[str, str]]:
    """(type, state) of all requests of a run."""
    return [(each["type"], each["state"]) for each in space.status(run).get("requests", ())]


@side_by_side
def test_a_run_is_repaired(stage: Stage) -> None:
    """The example, as docs/rerun.md tells it."""
    space = stage.watched_space("repair")
    space.kubectl.run("apply", "-f", str(REPOSITORY / "examples" / "rerun.yaml"))
    run = space.run("repair")
    assert space.wait_finished(run)["phase"] == "Failed"

    dry_run = tradewind(space, "rerun", run, "--only-failed", "--dry-run")
    assert dry_run.returncode == 0
    assert dry_run.stderr == "dry run: tasks to rerun: load, report\n"
    assert space.status(run)["phase"] == "Failed"
    done = tradewind(space, "rerun", run, "--only-failed", "-m", "open again", "--follow")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"{run}: tasks to rerun: load, report"
    assert done.stdout.splitlines()[1].startswith("Succeeded")
    assert "extract" not in done.stderr
    status = space.wait_succeeded(run)
    [record] = status["requests"]
    assert (record["state"], record["requestMessage"]) == ("Applied", "open again")
    assert (
        record["requestedBy"]
        == json.loads(space.kubectl.run("auth", "whoami", "-o", "json"))["status"]["userInfo"]["username"]
    )
    tries = {name: entry["try"] for name, entry in space.tasks(run).items()}
    assert tries == {"extract": 1, "load": 2, "report": 1}
    shown = tradewind(space, "status", run).stdout
    assert "rerun --only-failed -m 'open again'" in shown and "Applied" in shown
    described = space.kubectl.run("describe", "dagrun", run)
    assert "open again" in described and "tasks to rerun: load, report" in described

    again = tradewind(space, "rerun", run, "extract", "--wait", "-o", "json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["status"]["phase"] == "Succeeded"
    assert space.task(run, "extract")["try"] == 2
    assert space.task(run, "load")["try"] == 2


@side_by_side
def test_a_task_is_marked_and_the_rest_continues(stage: Stage) -> None:
    space = stage.watched_space("mark")
    space.dag("sales", task("load", "exit 1"), task("report", "true", "load"))
    run = space.run("sales")
    assert space.wait_finished(run)["phase"] == "Failed"

    done = tradewind(space, "mark", run, "load", "--state", "succeeded")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{run}: marked Succeeded: load; tasks to rerun: report\n"
    space.eventually(lambda: space.status(run).get("phase") == "Succeeded", "the run continues and succeeds")
    assert space.task(run, "load")["reason"] == "Marked"
    assert len(space.pods_of(run, "load")) == 1
    whole = tradewind(space, "mark", run, "--state", "failed")
    assert whole.returncode == 0, whole.stderr
    assert space.status(run)["phase"] == "Failed"
    refused = tradewind(space, "mark", run, "--state", "failed")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "rejected: nothing to mark: the run is Failed already\n"
    assert requests(space, run) == [("Mark", "Applied"), ("Mark", "Applied"), ("Mark", "Rejected")]


@side_by_side
def test_a_run_is_stopped(stage: Stage) -> None:
    space = stage.watched_space("stop")
    space.dag("long", task("sleep", "sleep 600"), task("after", "true", "sleep"))
    run = space.run("long")
    space.wait_state(run, "sleep", "Running")

    dry_run = tradewind(space, "stop", run, "--dry-run")
    assert "would stop 1 running try" in dry_run.stderr
    done = tradewind(space, "stop", run, "--wait", "-m", "not today")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"{run}: stopped; skipped: sleep, after"
    status = space.status(run)
    assert (status["phase"], status["reason"]) == ("Failed", "Stopped")
    assert "not today" in status["message"]
    space.eventually(lambda: all(map(has_exited, space.pods_of(run))), "its Pod has finished")
    refused = tradewind(space, "stop", run)
    assert refused.returncode == 1
    assert refused.stderr == "rejected: the run has finished already: Failed\n"


@side_by_side
def test_a_run_is_paused(stage: Stage) -> None:
    space = stage.watched_space("pause")
    space.pool("gate", 0)
    space.dag("steps", task("first", "true", pool="gate"), task("second", "true", "first"))
    run = space.run("steps")
    space.wait_state(run, "first", "Scheduled")

    assert tradewind(space, "pause", f"dagrun/{run}").returncode == 0

    space.eventually(lambda: "suspended" in space.status(run).get("message", ""), "the run is suspended")
    space.witness.patch(space.name, "pools", "gate", {"spec": {"slots": 1}})
    stay(4, lambda: not space.pods_of(run), "no task starts")
    assert f"resume dagrun/{run}" in tradewind(space, "status", run).stdout
    assert "the run is suspended" in tradewind(space, "explain", run, "first").stdout
    assert tradewind(space, "resume", f"dagrun/{run}").stdout == f"{run} is resumed\n"
    space.wait_succeeded(run)


@side_by_side
def test_a_rerun_uses_the_current_dag(stage: Stage) -> None:
    space = stage.watched_space("latest")
    space.dag("sales", task("load", "exit 1"))
    run = space.run("sales")
    assert space.wait_finished(run)["phase"] == "Failed"
    space.edit_dag("sales", tasks=[task("load", "true"), task("mail", "true", "load")])

    unknown = tradewind(space, "rerun", run, "mail")
    assert unknown.returncode == 2
    assert "TASK: no task or group named 'mail'" in unknown.stderr
    assert requests(space, run) == []
    done = tradewind(space, "rerun", run, "--latest", "--wait")

    assert done.returncode == 0, done.stderr
    assert {name: entry["state"] for name, entry in space.tasks(run).items()} == {
        "load": "Succeeded",
        "mail": "Succeeded",
    }
