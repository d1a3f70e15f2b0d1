"""`tradewind run`: what happens to tasks, as seen from outside."""

import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.unit.cli.commandline import EXAMPLES, Cli, DagFile, sh

pytestmark = pytest.mark.unit


def test_hello_without_a_terminal(cli: Cli) -> None:
    result = cli("run", EXAMPLES / "hello.yaml")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0].startswith("hello-2") and lines[0].endswith(f"folder .tradewind/runs/{cli.run_folder.name}")
    assert [line.split()[1:3] for line in lines[1:5]] == [
        ["hello", "Running"],
        ["hello", "Succeeded"],
        ["goodbye", "Running"],
        ["goodbye", "Succeeded"],
    ]
    assert lines[5].startswith("Succeeded in ")
    assert "\x1b" not in result.out
    assert cli.log("hello") == "Hello from Tradewind\n"


def test_logs_are_shown_when_wanted(cli: Cli) -> None:
    result = cli("run", EXAMPLES / "hello.yaml", "--logs")
    assert "hello, try 1:\n  │ Hello from Tradewind\n" in result.out


def test_times_are_waited_for_and_nothing_else(cli: Cli, dag_file: DagFile) -> None:
    object_wanted = {"apiVersion": "batch/v1", "kind": "Job", "name": "x", "condition": {"type": "Complete"}}
    waits = {
        "past": {"time": "{{ ds }}T00:00:00Z"},
        "soon": {"duration": "1s"},
        "run": {"dagRun": {"dag": "other"}},
        "object": {"object": object_wanted},
    }
    tasks: list[dict[str, object]] = [{"name": name, "waitFor": wait} for name, wait in waits.items()]
    result = cli("run", dag_file(*tasks, sh("after", "true", dependsOn=["past", "soon"], dependsOnPast=True)))
    assert result.code == 1
    found = cli.tasks()
    for name in ("past", "soon", "after"):
        assert found[name].state == "Succeeded"
    for name in ("run", "object"):
        assert (found[name].state, found[name].reason) == ("Failed", "NotOnThisMachine")
        assert "need a cluster" in str(found[name].message)
    assert "need a cluster" in result.out


def test_status_file_is_the_dag_run(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(sh("a", "true"), params={"rows": {"type": "integer", "default": 3}}, name="sales")
    cli("run", file, "--logical-date", "2026-01-31T07:00:00+01:00")
    run = cli.dag_run()
    assert run.metadata.name == cli.run_folder.name
    assert (run.spec.dag, run.spec.type) == ("sales", "Manual")
    assert run.status is not None and run.spec.logical_date is not None
    assert run.spec.logical_date.isoformat() == "2026-01-31T06:00:00+00:00"
    assert (run.status.phase, run.status.done, run.status.params) == ("Succeeded", "1/1", {"rows": 3})
    conditions = [(each.type, each.status) for each in run.status.conditions or ()]
    assert conditions == [("Complete", "True"), ("Failed", "False")]


def test_json_on_stdout_and_progress_on_stderr(cli: Cli, dag_file: DagFile) -> None:
    result = cli("run", dag_file(sh("a", "exit 3")), "-o", "json")
    status = json.loads(result.out)
    assert (result.code, status["phase"], status["tasks"][0]["exitCode"]) == (1, "Failed", 3)
    assert "Failed in" in result.err


def test_a_failure_shows_the_end_of_its_log(cli: Cli, dag_file: DagFile) -> None:
    result = cli("run", dag_file(sh("a", "seq 1 100; echo oh no >&2; exit 7"), sh("b", "true", dependsOn=["a"])))
    assert result.code == 1
    assert f"{cli.run_folder.relative_to(cli.folder)}/logs/a-1.log" in result.out
    assert "│ oh no" in result.out and "│ 100" in result.out and "│ 82" in result.out and "│ 81\n" not in result.out
    tasks = cli.tasks()
    assert (tasks["a"].state, tasks["a"].exit_code, tasks["b"].state) == ("Failed", 7, "UpstreamFailed")
    assert tasks["a"].message.endswith("oh no")


def test_codes_that_skip_and_codes_that_fail_for_good(cli: Cli, dag_file: DagFile) -> None:
    retries = {"limit": 5, "delay": "100ms"}
    file = dag_file(
        sh("skipped", "exit 99"),
        sh("own-skip", "exit 42", skipExitCodes=[42]),
        sh("not-skipped", "exit 99", skipExitCodes=[42]),
        sh("for-good", "exit 2", failExitCodes=[2], retries=retries),
        sh("tried", "exit 1", retries={"limit": 1, "delay": "100ms"}),
    )
    cli("run", file)
    found = {name: (task.state, task.try_) for name, task in cli.tasks().items()}
    assert found == {
        "skipped": ("Skipped", 1),
        "own-skip": ("Skipped", 1),
        "not-skipped": ("Failed", 1),
        "for-good": ("Failed", 1),
        "tried": ("Failed", 2),
    }


def test_death_by_signal_counts_as_in_a_shell(cli: Cli, dag_file: DagFile) -> None:
    cli("run", dag_file({"name": "a", "command": ["python3", "-c", "import os; os.kill(os.getpid(), 9)"]}))
    assert cli.tasks()["a"].exit_code == 137


def test_the_facts_of_a_try_are_in_its_environment(cli: Cli, dag_file: DagFile) -> None:
    cli("run", dag_file(sh("a", "env | grep ^TRADEWIND_"), name="facts"), "--logical-date", "2026-01-31")
    facts = dict(line.split("=", 1) for line in cli.log("a").splitlines())
    output = facts.pop("TRADEWIND_OUTPUT")
    assert Path(output).is_absolute()
    assert facts == {
        "TRADEWIND_DAG": "facts",
        "TRADEWIND_RUN": cli.run_folder.name,
        "TRADEWIND_NAMESPACE": "default",
        "TRADEWIND_TASK": "a",
        "TRADEWIND_TRY": "1",
        "TRADEWIND_LOGICAL_DATE": "2026-01-31T00:00:00Z",
        "TRADEWIND_DATA_INTERVAL_START": "2026-01-31T00:00:00Z",
        "TRADEWIND_DATA_INTERVAL_END": "2026-01-31T00:00:00Z",
    }


def test_outputs_reach_templates(cli: Cli, dag_file: DagFile) -> None:
    first = sh("make-it", """printf '{"rows": [1, "zwei"]}' > "$TRADEWIND_OUTPUT" """)
    second = {
        "name": "use",
        "dependsOn": ["make-it"],
        "command": ["printf", "%s\\n"],
        "args": ["{{ tasks.make_it.output.rows[1] }}", "{{ tasks['make-it'].output.rows | tojson }}", "$(HOME) $$"],
    }
    cli("run", dag_file(first, second))
    assert cli.log("use") == 'zwei\n[1, "zwei"]\n$(HOME) $$\n'


@pytest.mark.parametrize(
    ("write", "says"),
    [
        ("printf 'not json' > $TRADEWIND_OUTPUT", "output is not JSON"),
        ("printf NaN > $TRADEWIND_OUTPUT", "NaN is not JSON"),
        ("head -c 5000 /dev/zero | tr '\\0' 1 > $TRADEWIND_OUTPUT", "output is 5000 bytes; the limit is 4096"),
    ],
)
def test_bad_output_fails_the_task(cli: Cli, dag_file: DagFile, write: str, says: str) -> None:
    assert cli("run", dag_file(sh("a", write))).code == 1
    assert says in cli.tasks()["a"].message
    assert cli.tasks()["a"].reason == "InvalidOutput"


def test_a_template_that_fails_when_the_task_starts(cli: Cli, dag_file: DagFile) -> None:
    first = sh("first", "echo '{}' > $TRADEWIND_OUTPUT")
    second = sh("second", "echo {{ tasks.first.output.rows }}", dependsOn=["first"], retries={"limit": 3})
    assert cli("run", dag_file(first, second)).code == 1
    task = cli.tasks()["second"]
    assert (task.state, task.reason, task.try_) == ("Failed", "InvalidTemplate", 1)
    assert task.message.startswith("script: ")


def test_a_task_without_command_says_what_to_do(cli: Cli, dag_file: DagFile) -> None:
    assert cli("run", dag_file({"name": "a", "image": "busybox"})).code == 1
    assert "set the image's entrypoint as command" in cli.tasks()["a"].message


@pytest.mark.parametrize("command", ["no-such-program", "/", "./test.yaml"])
def test_a_program_that_cannot_be_started(cli: Cli, dag_file: DagFile, command: str) -> None:
    assert cli("run", dag_file({"name": "a", "command": [command]})).code == 1
    assert (cli.tasks()["a"].exit_code, cli.tasks()["a"].reason) == (128, "StartError")
    assert cli.tasks()["a"].message.startswith(f"cannot start {command}: ")


def test_python_is_the_one_that_runs_tradewind(cli: Cli, dag_file: DagFile) -> None:
    script = "import sys, click; print(sys.prefix)"
    cli("run", dag_file(sh("a", script, interpreter=["python3"])), PATH="/usr/bin:/bin")
    assert cli.log("a").strip() == sys.prefix


def test_modules_beside_the_dag_can_be_imported(cli: Cli, dag_file: DagFile) -> None:
    (cli.folder / "helper_of_the_test.py").write_text("print('imported')")
    elsewhere = cli.folder / "elsewhere"
    elsewhere.mkdir()
    file = dag_file({"name": "a", "command": ["python3", "-m", "helper_of_the_test"]})
    assert Cli(elsewhere, cli.env)("run", file, "--folder", cli.folder / ".tradewind").code == 0
    assert cli.log("a") == "imported\n"


def test_working_directories_in_volumes_are_shared(cli: Cli, dag_file: DagFile) -> None:
    template = {
        "spec": {
            "containers": [
                {
                    "name": "task",
                    "volumeMounts": [
                        {"name": "data", "mountPath": "/data"},
                        {"name": "tmp", "mountPath": "/data/tmp"},
                        {"name": "config", "mountPath": "/config"},
                    ],
                }
            ],
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "shared"}},
                {"name": "tmp", "emptyDir": {}},
                {"name": "config", "configMap": {"name": "settings"}},
            ],
        }
    }
    file = dag_file(
        sh("write", "echo hello > sub/file || { mkdir -p sub; echo hello > sub/file; }", workingDir="/data"),
        sh("read", "cat file", workingDir="/data/sub", dependsOn=["write"]),
        sh("scratch", "ls -A; pwd", workingDir="/data/tmp/x", dependsOn=["write"]),
        sh("config", "true", workingDir="/config"),
        sh("image", "pwd", workingDir="/app"),
        podTemplate=template,
    )
    result = cli("run", file)
    assert (cli.folder / ".tradewind/volumes/shared/sub/file").read_text() == "hello\n"
    assert cli.log("read") == "hello\n"
    assert cli.log("scratch").strip().endswith("/scratch/scratch-1/tmp/x")
    assert "is in the configMap volume 'config'" in cli.tasks()["config"].message
    assert cli.log("image").strip() == str(cli.run_folder / "work" / "image-1")
    assert "note: workingDir /app is a folder of the image" in result.out


def test_config_maps_and_secrets(cli: Cli, dag_file: DagFile) -> None:
    documents = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"REGION": "eu", "X": "1"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "api"}, "data": {"token": "c2VjcmV0"}},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {}},
    ]

    def ref(name: str, kind: str, source: str, key: str, **more: object) -> dict[str, object]:
        return {"name": name, "valueFrom": {kind: {"name": source, "key": key, **more}}}

    file = dag_file(
        sh(
            "given",
            'echo "$REGION $S_X $TOKEN $FROM_USER [$ABSENT] $NODE_NAME [$INDEX]"',
            envFrom=[{"configMapRef": {"name": "settings"}}, {"prefix": "S_", "configMapRef": {"name": "settings"}}],
            env=[
                ref("TOKEN", "secretKeyRef", "api", "token"),
                ref("FROM_USER", "secretKeyRef", "other", "key"),
                ref("ABSENT", "configMapKeyRef", "other", "key", optional=True),
                {
                    "name": "NODE_NAME",
                    "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['tradewind.dev/task']"}},
                },
                # A Pod has no such label, and Kubernetes makes that an empty text.
                {
                    "name": "INDEX",
                    "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['tradewind.dev/index']"}},
                },
            ],
        ),
        sh("missing", "true", env=[ref("PASSWORD", "secretKeyRef", "warehouse", "password")]),
        sh("missing-all", "true", envFrom=[{"secretRef": {"name": "warehouse"}}]),
        documents=documents,
    )
    assert cli("run", file, FROM_USER="mine").code == 1
    assert cli.log("given") == "eu 1 secret mine [] given []\n"
    tasks = cli.tasks()
    assert "Secret 'warehouse' with key 'password'" in tasks["missing"].message
    assert "set variable PASSWORD" in tasks["missing"].message
    assert "no Secret named 'warehouse'" in tasks["missing-all"].message


def test_max_parallel(cli: Cli, dag_file: DagFile) -> None:
    cli("run", dag_file(*(sh(f"t{n}", "sleep 0.2") for n in range(3))), "--max-parallel", "1")
    times = sorted((task.started_at, task.finished_at) for task in cli.tasks().values())
    assert all(before[1] <= after[0] for before, after in pairwise(times))


def test_run_timeout_ends_the_run(cli: Cli, dag_file: DagFile) -> None:
    result = cli("run", dag_file(sh("slow", "sleep 60"), sh("next", "true", dependsOn=["slow"]), runTimeout="1s"))
    assert result.code == 1
    status = cli.dag_run().status
    assert status is not None and status.reason == "RunTimeout"
    assert {task.state for task in cli.tasks().values()} == {"Skipped"}


def test_a_wide_run_is_quick(cli: Cli, dag_file: DagFile) -> None:
    tasks = [sh(f"t{n}", "true") for n in range(150)]
    result = cli("run", dag_file({"name": "first", "noop": True}, *(t | {"dependsOn": ["first"]} for t in tasks)))
    assert (result.code, len(cli.tasks())) == (0, 151)
