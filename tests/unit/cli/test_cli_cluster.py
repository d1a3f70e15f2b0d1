"""The cluster commands with a cluster in memory: what they ask, what they show, and how they fail."""

import json
from typing import Any

import pytest
import yaml

from tests.unit.cli.cluster_setup import Setup, kubeconfig
from tests.unit.cli.commandline import Cli
from tests.unit.cli.fake_cluster import DAG, condition

pytestmark = pytest.mark.unit


def run_status(phase: str, *tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"phase": phase, "tasks": list(tasks), **more}


EXTRACT = {"name": "extract", "state": "Running", "try": 1, "startedAt": "2026-01-31T06:00:00Z"}


def test_list(tradewind: Setup) -> None:
    result = tradewind("list")
    header, row = result.out.splitlines()
    assert header.split() == ["DAG", "SCHEDULE", "STATE", "ACTIVE", "LAST", "NEXT", "OWNER"]
    assert row.split() == ["sales", "@daily", "ready", "1", "Succeeded", "2026-02-01T00:00:00Z", "analytics"]
    assert json.loads(tradewind("list", "-o", "json").out)[0]["metadata"]["name"] == "sales"
    assert tradewind("list", "-A").out.startswith("NAMESPACE")


def test_pause_and_resume(tradewind: Setup) -> None:
    assert tradewind("pause", "sales").out == "sales is paused\n"
    assert tradewind.fake.get("dags", "sales")["spec"]["suspend"] is True
    assert "paused" in tradewind("list").out
    too_many = condition("Scheduled", "False", "TooManyFailedRuns", "3 runs failed")
    tradewind.fake.change("dags", "sales", status={"conditions": [*DAG["status"]["conditions"], too_many]})
    assert "paused (TooManyFailedRuns)" in tradewind("list").out
    assert tradewind("resume", "sales").out == "sales is resumed\n"
    assert "suspend" not in tradewind.fake.get("dags", "sales")["spec"], "as before it was paused"
    tradewind.fake.change("dags", "sales", spec={"schedule": None})
    assert "it has no schedule, so it runs only when triggered" in tradewind("resume", "sales").out


def test_what_a_command_writes_is_its_own(tradewind: Setup) -> None:
    tradewind("pause", "sales")
    tradewind("trigger", "sales")
    writes = [request for request in tradewind.fake.requests if request.method in ("PATCH", "POST")]
    assert len(writes) == 2
    assert all(request.params == {"fieldManager": "tradewind"} for request in writes)


def test_trigger(tradewind: Setup) -> None:
    result = tradewind("trigger", "sales", "-p", "rows=5", "--logical-date", "2026-01-31T07:00:00+01:00")
    assert (result.code, result.out) == (0, "sales-00001\n")
    run = tradewind.fake.get("dagruns", "sales-00001")
    spec = {"dag": "sales", "type": "Manual", "logicalDate": "2026-01-31T06:00:00Z", "params": {"rows": 5}}
    assert run["spec"] == spec
    # So that it is watched only by the controller whose share its namespace is in.
    assert run["metadata"]["labels"]["tradewind.dev/bucket"] == "34"


@pytest.mark.parametrize(("phase", "code"), [("Succeeded", 0), ("Failed", 1)])
def test_trigger_and_follow(tradewind: Setup, phase: str, code: int) -> None:
    done = EXTRACT | {"state": phase, "finishedAt": "2026-01-31T06:00:05Z"}
    tradewind.fake.steps = [
        {},
        run_status("Queued", message="waiting for maxActiveRuns of the Dag (1)"),
        run_status("Running", EXTRACT),
        run_status(phase, done, done="1/1", duration="5s"),
    ]
    result = tradewind("trigger", "sales", "--follow")
    assert result.code == code
    assert result.out.splitlines()[-1] == f"{phase} in 5s, 1/1 tasks finished"
    shown = [" ".join(line.split()[1:]) for line in result.err.splitlines()]
    assert shown == [
        "Pending",
        "Queued: waiting for maxActiveRuns of the Dag (1)",
        "Running",
        "extract Running try 1",
        f"extract {phase} try 1 5s",
    ] or shown[3].startswith("extract Running try 1")
    assert tradewind("trigger", "sales", "--wait").err == ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-p", "rows=many"], "--param rows: 'many' is not of type 'integer'"),
        (["-p", "row=1"], "--param row: the Dag has no such param; its params are rows"),
        (["--logical-date", "x"], "'x' is not a time"),
    ],
)
def test_trigger_with_bad_input_makes_nothing(tradewind: Setup, options: list[str], says: str) -> None:
    result = tradewind("trigger", "sales", *options)
    assert result.code == 2 and says in result.err
    assert tradewind.fake.names("dagruns") == []


def test_trigger_of_a_refused_dag(tradewind: Setup) -> None:
    refused = condition("Accepted", "False", "Cycle", "spec.tasks: a → b → a")
    tradewind.fake.change("dags", "sales", status={"conditions": [refused]})
    result = tradewind("trigger", "sales")
    assert (result.code, result.err) == (2, "error: Dag 'sales' is not accepted: spec.tasks: a → b → a\n")
    assert "not accepted (Cycle)" in tradewind("list").out


def test_runs_and_status(tradewind: Setup) -> None:
    for number, made in ((1, "2026-01-30"), (2, "2026-01-31")):
        status = run_status(
            "Failed",
            EXTRACT | {"state": "Failed", "finishedAt": "2026-01-31T06:00:02Z", "message": "first\nlast line"},
            message="failed: extract",
            done="1/1",
            duration="2s",
            params={"rows": 5},
        )
        metadata = {"creationTimestamp": f"{made}T00:00:00Z"}
        tradewind.fake.put("dagruns", f"sales-{number}", metadata=metadata, spec={"dag": "sales"}, status=status)
    lines = tradewind("runs", "sales").out.splitlines()
    assert [line.split()[0] for line in lines] == ["RUN", "sales-2", "sales-1"]
    assert lines[1].split()[1:4] == ["sales", "Failed", "1/1"]
    shown = tradewind("status", "sales-1")
    assert shown.code == 0
    assert shown.out.splitlines()[0] == "sales-1 (Dag sales): Failed in 2s, 1/1 tasks finished: failed: extract"
    assert shown.out.splitlines()[-1].split() == ["extract", "Failed", "1", "2s", "last", "line"]
    assert yaml.safe_load(tradewind("status", "sales-1", "-o", "yaml").out)["spec"] == {
        "dag": "sales",
        "type": "Manual",
    }


MAPPED = {
    "name": "load",
    "state": "Running",
    "count": 20,
    "indexes": {"Failed": "3,5", "Running": "12-13", "Succeeded": "0-2,4,6-11", "UpForRetry": "14"},
    "startedAt": "2026-01-31T06:00:00Z",
    "instances": [
        {"index": 3, "state": "Failed", "try": 2, "message": "first\nno route to host", "exitCode": 1},
        {"index": 12, "state": "Running", "try": 1, "startedAt": "2026-01-31T06:00:00Z"},
        {"index": 14, "state": "UpForRetry", "try": 1, "message": "timed out"},
    ],
}


def test_status_has_one_row_for_a_mapped_task_and_one_for_each_that_failed(tradewind: Setup) -> None:
    tradewind.fake.put("dagruns", "r", spec={"dag": "sales"}, status=run_status("Running", EXTRACT, MAPPED))
    lines = tradewind("status", "r").out.splitlines()[-4:]
    assert lines[0].split("  ")[-1].strip() == (
        "20 instances: 2 Failed, 2 Running, 10 Succeeded, 1 UpForRetry, 5 not started"
    )
    assert [line.split() for line in lines[1:]] == [
        ["load[3]", "Failed", "2", "no", "route", "to", "host"],
        ["load[14]", "UpForRetry", "1", "timed", "out"],
        ["and", "1", "more"],
    ]


FORBIDDEN = 'dags.tradewind.dev is forbidden: User "jo" cannot list resource "dags" in API group "tradewind.dev"'


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        ((401, json.dumps({"message": "Unauthorized"})), "rejected the credentials of context 'test'"),
        ((403, json.dumps({"message": FORBIDDEN})), f"permission denied: {FORBIDDEN}"),
        ((404, "404 page not found"), "has no resource Dag: is Tradewind installed?"),
        ((503, json.dumps({"message": "the server is starting"})), "the server is starting"),
        ((500, ""), "the cluster answered 500"),
    ],
)
def test_a_cluster_that_says_no(tradewind: Setup, refusal: tuple[int, str], says: str) -> None:
    tradewind.fake.refuse = refusal
    for command in (["list"], ["pause", "sales"], ["trigger", "sales"]):
        result = tradewind(*command)
        assert result.code == 2
        assert result.err.startswith("error: ") and says in result.err
        assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["trigger", "sale"], "no Dag named 'sale' in namespace 'default'"),
        (["trigger", "sales", "-n", "nix"], "namespace 'nix' does not exist"),
        (["pause", "sale"], "no Dag named 'sale'"),
        (["runs", "sale"], "no Dag named 'sale'"),
        (["list", "-n", "nix"], "namespace 'nix' does not exist"),
        (["status", "x"], "no DagRun named 'x' in namespace 'default'"),
        (["list", "--context", "other"], "has no context 'other'; it has test"),
        (["list", "--kubeconfig", "nix"], "no kubeconfig found at nix"),
    ],
)
def test_what_is_not_there(tradewind: Setup, command: list[str], says: str) -> None:
    result = tradewind(*command)
    assert result.code == 2
    assert says in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("server", "user", "says"),
    [
        (
            "http://127.0.0.1:1",
            {},
            "cannot reach the cluster at http://127.0.0.1:1 (context 'test'): Conn",
        ),
        ("https://127.0.0.1:1", {"client-certificate": "nix"}, "file does not exist"),
        ("http://127.0.0.1:1", {"tokenFile": "nix"}, "cannot read the token file"),
        (
            "http://127.0.0.1:1",
            {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin"}},
            "cannot get credentials for context 'test'",
        ),
    ],
)
def test_a_cluster_that_cannot_be_reached(cli: Cli, server: str, user: dict[str, Any], says: str) -> None:
    kubeconfig(cli.folder / "kubeconfig", server, **user)
    result = cli("list", KUBECONFIG=str(cli.folder / "kubeconfig"))
    assert result.code == 2
    assert says in result.err and "Traceback" not in result.err
    assert len(result.err.splitlines()) == 1


def test_kubeconfigs_are_merged(tradewind: Setup) -> None:
    folder = tradewind.cli.folder
    (folder / "empty").write_text("apiVersion: v1\nkind: Config\ncurrent-context: test\n")
    paths = f"{folder / 'absent'}:{folder / 'empty'}:{folder / 'kubeconfig'}"
    assert tradewind("list", KUBECONFIG=paths).code == 0


def test_no_kubeconfig_at_all(cli: Cli) -> None:
    result = cli("list")
    assert result.code == 2
    assert result.err.startswith("error: no kubeconfig found at ")


def test_an_exec_plugin_gives_the_token(tradewind: Setup) -> None:
    plugin = tradewind.cli.folder / "plugin"
    plugin.write_text("""#!/bin/sh\necho '{"status": {"token": "from-plugin"}}'\n""")
    plugin.chmod(0o755)
    spec = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}
    kubeconfig(tradewind.cli.folder / "kubeconfig", tradewind.server, exec=spec)
    assert tradewind("list").code == 0
