"""The output of kubectl for users."""

import json
import re
import subprocess

import pytest

from tests.cluster import Kubectl
from tests.e2e.spaces import Space, task
from tests.e2e.stage import Stage


@pytest.fixture(scope="module")
def space(stage: Stage) -> Space:
    """A namespace with a Dag on a schedule and a run of it that has succeeded."""
    space = stage.watched_space("kubectl")
    space.dag("sales", task("load", "true"), task("report", "true", "load"), schedule="0 6 * * *", owner="analytics")
    space.run("sales", "monday", logicalDate="2026-03-02T06:00:00Z")
    space.kubectl.run("wait", "dr/monday", "--for=condition=Complete", "--timeout=30s")
    return space


def table(text: str) -> list[list[str]]:
    """The cells of what `kubectl get` prints, the header first."""
    return [re.split(r" {2,}", line.strip()) for line in text.strip().splitlines()]


def test_get_dag_runs(space: Space) -> None:
    header, row = table(space.kubectl.run("get", "dr"))
    assert header == ["NAME", "DAG", "PHASE", "DONE", "LOGICAL DATE", "DURATION", "AGE"]
    assert row[:5] == ["monday", "sales", "Succeeded", "2/2", "2026-03-02T06:00:00Z"]
    assert re.fullmatch(r"[\d.]+s", row[5]), row
    assert re.fullmatch(r"\d+s", row[6]), row


def test_get_dags(space: Space) -> None:
    space.eventually(lambda: space.dag_status("sales").get("lastRunPhase"), "the Dag's status has the last run")
    lines = space.kubectl.run("get", "dag").splitlines()
    assert lines[0].split() == ["NAME", "SCHEDULE", "SUSPENDED", "ACCEPTED", "ACTIVE", "LAST", "NEXT", "OWNER", "AGE"]
    # Suspend is not set: that cell is empty.
    row = r"sales +0 6 \* \* \* +True +0 +Succeeded +\d{4}-\d\d-\d\dT06:00:00Z +analytics +\d+s"
    assert re.fullmatch(row, lines[1].strip()), lines[1]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("dag.spec.tasks.retries", "Number and delay of the retries of a failed try"),
        ("dag.spec.tasks.retries.limit", "Default: 0"),
        ("dag.spec.schedule", "cron"),
        ("dr.status.tasks.state", "State of the task. None: not started"),
        ("pool.spec.slots", "-1 for no limit"),
    ],
)
def test_explain(space: Space, path: str, says: str) -> None:
    assert says in " ".join(space.kubectl.run("explain", path).split())


def test_wait_tells_a_run_that_failed_from_one_that_succeeded(space: Space) -> None:
    space.dag("failing", task("fail", "echo the disk is full; exit 4"))
    run = space.run("failing")
    space.kubectl.run("wait", f"dr/{run}", "--for=condition=Failed", "--timeout=30s")
    assert "timed out" in refused(space.kubectl, "wait", f"dr/{run}", "--for=condition=Complete", "--timeout=1s")
    assert "timed out" in refused(space.kubectl, "wait", "dr/monday", "--for=condition=Failed", "--timeout=1s")
    space.kubectl.run("wait", "dag/failing", "--for=condition=Ready", "--timeout=30s")
    condition = space.kubectl.run("get", "dr", run, "-o", "jsonpath={.status.conditions[?(@.type=='Failed')]}")
    assert {"reason": "TaskFailed", "message": "failed: fail"}.items() <= json.loads(condition).items()
    failed = space.task(run, "fail")
    assert (failed["exitCode"], failed["message"]) == (4, "the disk is full")


def test_runs_are_selected_by_phase_and_dag(space: Space) -> None:
    selected = ("get", "dr", "-o", "name", "--field-selector")
    assert space.kubectl.run(*selected, "status.phase=Succeeded,spec.dag=sales") == "dagrun.tradewind.dev/monday\n"
    assert space.kubectl.run(*selected, "status.phase=Failed,spec.dag=sales") == ""


def test_describe_shows_events(space: Space) -> None:
    described = space.kubectl.run("describe", "dr", "monday")
    assert re.search(r"Normal\s+Succeeded\s.*Succeeded after [\d.]+s", described), described


def refused(kubectl: Kubectl, *words: str, stdin: str = "") -> str:
    done: subprocess.CompletedProcess[str] = kubectl.attempt(*words, stdin=stdin)
    assert done.returncode == 1, done.stdout
    return done.stderr


def test_the_spec_of_a_run_cannot_be_changed(space: Space) -> None:
    patch = ("patch", "dr", "monday", "--type=merge", "-p", '{"spec": {"dag": "other"}}')
    assert "only suspend and request of a DagRun can be changed; create another run instead" in refused(
        space.kubectl, *patch
    )


def test_an_unknown_field_is_rejected_by_name(space: Space) -> None:
    dag = """{apiVersion: tradewind.dev/v1alpha1, kind: Dag, metadata: {name: typo},
              spec: {tasks: [{name: a, image: busybox:1.36, comand: ["true"]}]}}"""
    assert 'unknown field "spec.tasks[0].comand"' in refused(space.kubectl, "apply", "-f", "-", stdin=dag)
