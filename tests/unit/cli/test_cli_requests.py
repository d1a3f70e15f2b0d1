"""`tradewind rerun`, `mark`, `stop`, and `pause` of a run, with a cluster in memory and the real engine."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from tests.unit.cli.cluster_setup import Setup
from tests.unit.cli.commandline import Result
from tests.unit.cli.steered_runs import REVISION, add_run, controller_of

pytestmark = pytest.mark.unit

WHEN = datetime(2026, 1, 31, 6, tzinfo=UTC)
TASKS: list[dict[str, Any]] = [
    {"name": "extract", "image": "busybox"},
    {"name": "load", "image": "busybox", "dependsOn": ["extract"], "forEach": {"items": list(range(5))}},
    {"name": "report", "image": "busybox", "dependsOn": ["load"]},
]
STATUS: dict[str, Any] = {
    "phase": "Failed",
    "reason": "TaskFailed",
    "message": "failed: load",
    "startedAt": "2026-01-31T06:00:00Z",
    "finishedAt": "2026-01-31T06:01:00Z",
    "tasks": [
        {"name": "extract", "state": "Succeeded", "try": 1, "finishedAt": "2026-01-31T06:00:05Z"},
        {
            "name": "load",
            "state": "Failed",
            "count": 5,
            "indexes": {"Failed": "3-4", "Succeeded": "0-2"},
            "instances": [{"index": index, "state": "Failed", "try": 1, "message": "oh no"} for index in (3, 4)],
        },
        {"name": "report", "state": "UpstreamFailed", "message": "load failed"},
    ],
}


controller = controller_of(TASKS, WHEN)


@pytest.fixture
def ask(tradewind: Setup) -> Setup:
    """The run `r`, which failed; the Dag has another task since."""
    fake = tradewind.fake
    mail = {"name": "mail", "image": "busybox", "dependsOn": ["report"]}
    fake.change("dags", "sales", spec={"tasks": [*TASKS, mail]})
    add_run(fake, "r", "sales", {"tasks": TASKS}, STATUS, made=WHEN)
    fake.controller = controller
    return tradewind


def run(setup: Setup) -> dict[str, Any]:
    return setup.fake.get("dagruns", "r")


def change(setup: Setup, **status: Any) -> None:
    setup.fake.change("dagruns", "r", status=status)


def record(setup: Setup) -> dict[str, Any]:
    """The last entry of the record."""
    entry: dict[str, Any] = run(setup)["status"]["requests"][-1]
    return entry


def written(setup: Setup) -> list[Any]:
    """The bodies of all that was changed."""
    writes = [request for request in setup.fake.requests if request.method in ("PATCH", "DELETE", "PUT")]
    return [json.loads(request.body or b"null") for request in writes]


def rows(result: Result) -> list[list[str]]:
    return [line.split() for line in result.out.splitlines()]


def test_rerun(ask: Setup) -> None:
    result = ask("rerun", "r", "load[3]", "--downstream", "-m", "late data")
    assert (result.code, result.err) == (0, "")
    assert result.out == "r: tasks to rerun: load[3], report\n"
    [body] = written(ask)
    assert body["metadata"] == {"uid": "u-1"}
    request = body["spec"]["request"]
    assert len(request.pop("id")) == 36
    assert request == {
        "type": "Rerun",
        "tasks": ["load[3]"],
        "downstream": True,
        "message": "late data",
        "requestedBy": "ann",
    }
    assert run(ask)["status"]["phase"] == "Queued"


def test_each_request_has_an_id_of_its_own(ask: Setup) -> None:
    for _ in range(2):
        assert ask("mark", "r", "--state", "succeeded").code == 0
        add_run(ask.fake, "r", "sales", {"tasks": TASKS}, STATUS, made=WHEN)
    first, second = written(ask)
    assert first["spec"]["request"]["id"] != second["spec"]["request"]["id"]


@pytest.mark.parametrize(
    ("command", "asked", "says"),
    [
        (["rerun", "r"], {"type": "Rerun"}, "tasks to rerun: extract, load, report"),
        (["rerun", "r", "--only-failed"], {"type": "Rerun", "onlyFailed": True}, "tasks to rerun: load[3-4], report"),
        (["rerun", "r", "load", "load"], {"type": "Rerun", "tasks": ["load"]}, "tasks to rerun: load"),
        (
            ["rerun", "r", "report", "--upstream", "--only-failed"],
            {"type": "Rerun", "tasks": ["report"], "upstream": True, "onlyFailed": True},
            "tasks to rerun: load[3-4], report",
        ),
        (
            ["mark", "r", "load", "--state", "succeeded"],
            {"type": "Mark", "tasks": ["load"], "state": "Succeeded"},
            "marked Succeeded: load[3-4]; tasks to rerun: report",
        ),
        (
            ["mark", "--state", "SKIPPED", "r", "extract", "--downstream"],
            {"type": "Mark", "tasks": ["extract"], "state": "Skipped", "downstream": True},
            "marked Skipped: extract, load, report",
        ),
        (
            ["mark", "r", "--state", "Succeeded"],
            {"type": "Mark", "state": "Succeeded"},
            "marked Succeeded: the run, load[3-4], report",
        ),
    ],
    ids=" ".join,
)
def test_what_is_asked(ask: Setup, command: list[str], asked: dict[str, Any], says: str) -> None:
    result = ask(*command)
    assert (result.code, result.out, result.err) == (0, f"r: {says}\n", "")
    [body] = written(ask)
    request = body["spec"]["request"]
    assert {name: request[name] for name in request if name not in ("id", "requestedBy")} == asked


def test_stop(ask: Setup) -> None:
    change(ask, phase="Running", finishedAt=None, reason=None, tasks=STATUS["tasks"][:-1])
    result = ask("stop", "r", "--wait")
    assert result.code == 0, result.err
    assert result.out.splitlines()[0] == "r: stopped; skipped: report"
    assert result.out.splitlines()[1].startswith("Failed")
    assert record(ask)["type"] == "Stop"


def test_a_run_whose_dag_is_deleted(ask: Setup) -> None:
    waits = {"phase": "Queued", "reason": "DagNotFound", "message": "waiting: no Dag named 'sales'"}
    ask.fake.put("dagruns", "r", spec={"dag": "sales"}, status=waits)
    ask.fake.remove("dags", "sales")
    ask.fake.remove("controllerrevisions", REVISION)
    assert ask("stop", "r").code == 0
    named = ask("rerun", "r", "load")
    assert (named.code, named.err) == (2, "error: no Dag named 'sales' in namespace 'default'\n")


def test_what_the_controller_refuses(ask: Setup) -> None:
    result = ask("stop", "r")
    assert (result.code, result.out) == (1, "")
    assert result.err == "rejected: the run has finished already: Failed\n"
    shown = ask("mark", "r", "extract", "--state", "succeeded", "-o", "json")
    assert shown.code == 1 and "nothing to mark" in shown.err
    assert json.loads(shown.out)["status"]["requests"][-1]["state"] == "Rejected"


def test_without_waiting(ask: Setup) -> None:
    ask.fake.controller = lambda run: None
    result = ask("rerun", "r", "load", "--no-wait")
    assert (result.code, result.out) == (0, "r: requested: rerun load\n")
    pending = ask("stop", "r")
    assert (pending.code, pending.out) == (2, "")
    assert "run 'r' has a pending request: rerun load, requested by ann." in pending.err
    assert """kubectl patch dr r -n default --type=merge -p '{"spec":{"request":null}}'""" in pending.err
    assert len(written(ask)) == 1
    assert "request       rerun load (pending)" in ask("status", "r").out
    both = ask("rerun", "r", "--no-wait", "--follow")
    assert both.code == 2 and "--no-wait cannot be combined with" in both.err


def test_another_client_was_faster(ask: Setup) -> None:
    """Seen only by the API server: the request of another comes between our reading and our writing."""

    def comes_between(found: dict[str, Any]) -> None:
        found["spec"]["request"] = {"id": "1", "type": "Stop"}

    ask.fake.controller = comes_between
    result = ask("rerun", "r")
    assert result.code == 2
    assert "run 'r' has a pending request: stop." in result.err


def test_conflicts_are_tried_again(ask: Setup) -> None:
    ask.fake.conflicts = 3
    assert ask("rerun", "r").code == 0
    ask.fake.conflicts = 100
    add_run(ask.fake, "r", "sales", {"tasks": TASKS}, STATUS, made=WHEN)
    assert "the object has been modified" in ask("rerun", "r").err


def test_an_answer_of_the_api_server_that_was_lost(ask: Setup) -> None:
    ask.fake.lost_answers = 1
    result = ask("rerun", "r", "load")
    assert (result.code, result.out) == (0, "r: tasks to rerun: load\n")
    assert len(written(ask)) == len(run(ask)["status"]["requests"]) == 1


def test_another_run_of_that_name(ask: Setup) -> None:
    def recreated(found: dict[str, Any]) -> None:
        found["metadata"]["uid"] = "u-2"

    ask.fake.controller = recreated
    result = ask("rerun", "r")
    assert result.code == 2
    assert "run 'r' was deleted and recreated meanwhile" in result.err


def test_a_request_that_is_taken_back(ask: Setup) -> None:
    def take_back(found: dict[str, Any]) -> None:
        found["spec"].pop("request", None)

    ask.fake.controller = take_back
    result = ask("rerun", "r")
    assert result.code == 2
    assert "withdrawn before it was applied; see `tradewind status r -n default`" in result.err


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["rerun", "r", "laod"], "TASK: no task or group named 'laod'; did you mean 'load'?"),
        (["rerun", "r", "mail"], "TASK: no task or group named 'mail'"),
        (["mark", "r", "extract[0]", "--state", "failed"], "TASK: 'extract[0]': 'extract' is not mapped"),
        (["rerun", "r", "Load"], "TASK: 'Load' must be a task, a group, or one instance"),
        (["rerun", "x"], "no DagRun named 'x' in namespace 'default'"),
        (["mark", "r", "load"], "Missing option '--state'"),
        (["mark", "r", "load", "--state", "done"], "'done' is not one of"),
        (["mark", "r", "--state", "failed", "--downstream"], "need a TASK"),
        (["rerun", "r", "-m", "x" * 1025], "--message: has 1025 characters; the limit is 1024"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_bad_input_writes_nothing(ask: Setup, command: list[str], says: str) -> None:
    result = ask(*command)
    assert (result.code, result.out) == (2, "")
    assert says in result.err
    assert written(ask) == []


def test_names_are_those_of_the_dag_as_the_run_runs_it(ask: Setup) -> None:
    # With --latest those of the Dag as it is now; without its revision only the controller knows.
    latest = ask("rerun", "r", "mail", "--latest", "--dry-run")
    assert "no task named" not in latest.err
    ask.fake.remove("controllerrevisions", REVISION)
    result = ask("rerun", "r", "laod")
    assert (result.code, result.out) == (1, "")
    assert result.err == "rejected: no task or group named 'laod'; did you mean 'load'?\n"


def test_who_asks_may_be_unknown(ask: Setup) -> None:
    ask.fake.user = None
    assert ask("rerun", "r").code == 0
    assert "requestedBy" not in record(ask)


def test_dry_run(ask: Setup) -> None:
    result = ask("rerun", "r", "--only-failed", "--dry-run")
    assert result.code == 0
    assert rows(result) == [["TASK", "STATE", "TRY"], ["load[3-4]", "Failed", "1"], ["report", "UpstreamFailed"]]
    assert result.err == "dry run: tasks to rerun: load[3-4], report\n"
    shown = json.loads(ask("rerun", "r", "--only-failed", "--dry-run", "-o", "json").out)
    assert shown["state"] == "Applied" and shown["stops"] == []
    assert shown["changes"][0] == {"task": "load", "index": 3, "state": "Failed", "try": 1}
    assert shown["changes"][-1] == {"task": "report", "state": "UpstreamFailed", "try": 0}
    refused = ask("stop", "r", "--dry-run")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == "would be rejected: the run has finished already: Failed\n"
    assert written(ask) == []


def test_a_dry_run_with_the_dag_as_it_is_now(ask: Setup) -> None:
    result = ask("rerun", "r", "report", "--latest", "--dry-run")
    assert result.code == 0, result.err
    assert [row[0] for row in rows(result)] == ["TASK", "report"]
    ask.fake.change("dags", "sales", spec={"tasks": TASKS[:2]})
    result = ask("rerun", "r", "report", "--latest", "--dry-run")
    assert result.code == 2 and "no task or group named 'report'" in result.err


def test_a_dry_run_says_which_tries_it_would_end(ask: Setup) -> None:
    extract = {"name": "extract", "state": "Running", "try": 1}
    change(ask, phase="Running", finishedAt=None, reason=None, tasks=[extract])
    result = ask("stop", "r", "--dry-run")
    assert result.code == 0
    assert result.err == "dry run: stopped; skipped: extract, load, report; would stop 1 running try\n"
    assert rows(result)[1] == ["extract", "Running", "1"]


@pytest.mark.parametrize(("phase", "code"), [("Succeeded", 0), ("Failed", 1)])
def test_rerun_and_follow(ask: Setup, phase: str, code: int) -> None:
    def continues(found: dict[str, Any]) -> None:
        if found["spec"].get("request"):
            controller(found)
        elif found["status"]["phase"] == "Queued":
            found["status"] |= {"phase": "Running", "message": None}
            found["status"]["tasks"][-1] = {"name": "report", "state": "Running", "try": 1}
        elif found["status"]["phase"] == "Running":
            found["status"] |= {"phase": phase, "message": None, "duration": "5s", "done": "7/7"}
            found["status"]["tasks"][-1] = {"name": "report", "state": phase, "try": 1, "message": "that was it"}

    ask.fake.controller = continues
    result = ask("rerun", "r", "load", "report", "--follow")
    assert result.code == code, result.err
    assert result.out.splitlines() == ["r: tasks to rerun: load, report", f"{phase} in 5s, 7/7 tasks finished"]
    # What extract did before is no news.
    shown = [line.split()[1:3] for line in result.err.splitlines()]
    assert ["report", "Running"] in shown and ["report", phase] in shown
    assert not [line for line in shown if line[0] == "extract"]


def test_status_shows_what_was_asked(ask: Setup) -> None:
    ask("rerun", "r", "load[3]", "--downstream", "-m", "late data")
    ask("stop", "r")
    ask.fake.change("dagruns", "r", spec={"suspend": True})
    shown = ask("status", "r").out
    assert "paused        no new tasks start until `tradewind resume dagrun/r`" in shown
    table = shown.partition("REQUEST ")[2].splitlines()
    assert [" ".join(line.split()) for line in table] == [
        "BY TIME RESULT MESSAGE",
        "rerun load[3] --downstream -m 'late data' ann 2026-01-31T06:00:00Z Applied tasks to rerun: load[3], report",
        "stop ann 2026-01-31T06:00:00Z Applied stopped; skipped: load[3], report",
    ]
    assert len(yaml.safe_load(ask("status", "r", "-o", "yaml").out)["status"]["requests"]) == 2


def test_many_requests_and_long_ones(ask: Setup) -> None:
    asked = {"id": "1", "type": "Rerun", "tasks": [f"t{i}" for i in range(50)], "requestMessage": "word " * 100}
    change(ask, requests=[{**asked, "state": "Applied", "message": f"done {i}"} for i in range(12)])
    lines = ask("status", "r").out.partition("REQUEST ")[2].splitlines()[1:]
    assert [line.rpartition("   ")[2] for line in lines[:-1]] == [f"done {i}" for i in range(2, 12)]
    assert lines[0].startswith("rerun t0 t1 t2 t3 t4 (and 45 more) -m 'word word word word word word word …'   -")
    assert lines[-1] == "and 2 earlier requests; see -o yaml"


def test_pause_and_resume_of_a_run(ask: Setup) -> None:
    assert ask("pause", "dagrun/r").out == "r is paused; it has finished, so this applies when it is rerun\n"
    assert run(ask)["spec"]["suspend"] is True
    assert ask("resume", "dagrun/r").out == "r is resumed; it has finished\n"
    change(ask, phase="Running")
    for kind in ("dr", "dagruns", "dagrun.tradewind.dev"):
        assert ask("pause", f"{kind}/r").out == "r is paused: no new tasks start; running tasks continue\n"
    assert ask("resume", "run/r").out == "r is resumed\n"
    assert "suspend" not in run(ask)["spec"]
    assert ask("pause", "dag/sales").out == "sales is paused\n"
    for target, says in (
        ("r", "no Dag named 'r' in namespace 'default'; 'r' is a run: tradewind pause dagrun/r"),
        ("x", "no Dag named 'x' in namespace 'default'\n"),
        ("pod/x", "'pod/x' is neither a Dag nor a run: use DAG or dagrun/RUN"),
        ("dr/x", "no DagRun named 'x'"),
    ):
        result = ask("pause", target)
        assert (result.code, result.out) == (2, "")
        assert says in result.err


def complete(ask: Setup, words: str) -> list[str]:
    """Return the completions for bash; `file` stands for file names."""
    asked = words.split(" ")
    result = ask(_TRADEWIND_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(asked) - 1))
    assert result.err == ""
    kinds = [line.partition(",") for line in result.out.splitlines() if line]
    return [name if kind == "plain" else kind for kind, _, name in kinds]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("tradewind re", ["release-finalizers", "rerun", "resume"]),
        ("tradewind mark r --state ", ["failed", "skipped", "succeeded"]),
        ("tradewind trigger ", ["sales"]),
        ("tradewind trigger x", []),
        ("tradewind status ", ["r"]),
        ("tradewind logs r ", ["extract", "load", "report"]),
        ("tradewind rerun r extract ", ["load", "report"]),
        ("tradewind rerun r l", ["load"]),
        ("tradewind explain nothing ", []),
        ("tradewind pause ", ["dagrun/", "sales"]),
        ("tradewind pause dagrun/", ["dagrun/r"]),
        ("tradewind validate exam", ["file"]),
        ("tradewind run exam", ["file"]),
        ("tradewind simulate -f exam", ["file"]),
    ],
)
def test_completion(ask: Setup, words: str, offered: list[str]) -> None:
    assert sorted(complete(ask, words)) == offered


def test_completion_without_a_cluster_says_nothing(ask: Setup) -> None:
    ask.fake.refuse = (403, 'dags.tradewind.dev is forbidden: User "ann" cannot list')
    assert complete(ask, "tradewind trigger ") == []
    assert complete(ask, "tradewind logs r ") == []
    missing = ask(
        KUBECONFIG="/missing", _TRADEWIND_COMPLETE="bash_complete", COMP_WORDS="tradewind trigger ", COMP_CWORD="2"
    )
    assert (missing.out.strip(), missing.err) == ("", "")
