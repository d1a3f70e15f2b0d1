"""Connections on this machine: from a file, from Secrets among the files, or from the environment."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.cli.commandline import Cli, DagFile

pytestmark = pytest.mark.unit

SHOW = {"name": "show", "script": 'echo "$MY_DB_USER/$MY_DB_PASSWORD"', "connections": ["my-db"]}
DATA = {"USER": "bWU=", "PASSWORD": "aHVudGVyMg=="}


def secret(name: str = "my-db", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **(fields or {"data": DATA})}


@pytest.fixture
def dag(dag_file: DagFile) -> Path:
    return dag_file(SHOW)


def write(cli: Cli, *documents: object) -> Path:
    path = cli.folder / "connections.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return path


def test_from_the_environment(cli: Cli, dag: Path) -> None:
    assert cli("run", dag, MY_DB_USER="me", MY_DB_PASSWORD="hunter2").code == 0
    assert cli.log("show") == "me/hunter2\n"


@pytest.mark.parametrize(
    "document",
    [
        secret(),
        secret(data={"USER": "eW91"}, stringData={"USER": "me", "PASSWORD": "hunter2"}),
        secret(data={"USER": "bWU=\n", "PASSWORD": "aHVu\ndGVy\nMg=="}),
        {"my-db": {"USER": "me", "PASSWORD": "hunter2"}, "other": {"PORT": 5432}},
        {"apiVersion": "v1", "kind": "List", "items": [secret("other"), secret()]},
    ],
    ids=["data", "stringData", "wrapped", "plain", "list"],
)
def test_from_a_file(cli: Cli, dag: Path, document: object) -> None:
    assert cli("run", dag, "--connections", write(cli, document)).code == 0
    assert cli.log("show") == "me/hunter2\n"


def test_from_a_secret_among_the_files(cli: Cli, dag_file: DagFile) -> None:
    assert cli("run", dag_file(SHOW, documents=[secret()])).code == 0
    assert cli.log("show") == "me/hunter2\n"


def test_the_file_comes_first_then_secrets_then_the_environment(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(SHOW, documents=[secret(stringData={"USER": "of-secret"})])
    given = write(cli, {"my-db": {"USER": "of-file"}})
    assert cli("run", file, "--connections", given, MY_DB_USER="of-env", MY_DB_PASSWORD="of-env").code == 0
    assert cli.log("show") == "of-file/of-env\n"


def test_what_the_task_says_itself_wins(cli: Cli, dag_file: DagFile) -> None:
    task = {**SHOW, "env": [{"name": "MY_DB_USER", "value": "own"}], "envFrom": [{"secretRef": {"name": "plain"}}]}
    file = dag_file(task, documents=[secret(), secret("plain", stringData={"MY_DB_PASSWORD": "plain"})])
    assert cli("run", file).code == 0
    assert cli.log("show") == "own/plain\n"


def test_bytes_that_are_no_text_arrive_as_they_are(cli: Cli, dag_file: DagFile) -> None:
    task = {"name": "show", "script": 'printf %s "$MY_DB_USER" | od -An -tx1', "connections": ["my-db"]}
    assert cli("run", dag_file(task, documents=[secret(data={"USER": "/+8="})])).code == 0
    assert cli.log("show").split() == ["ff", "ef"]


def test_a_value_that_no_environment_can_hold(cli: Cli, dag_file: DagFile) -> None:
    assert cli("run", dag_file(SHOW, documents=[secret(data={"USER": "AAAA"})])).code == 1
    assert cli.tasks()["show"].message == "variable MY_DB_USER has a NUL byte, which is invalid in an environment"


def test_a_missing_one_ends_it_before_anything_runs(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(
        {"name": "first", "script": "touch ran"},
        {**SHOW, "dependsOn": ["first"]},
        {"name": "skip-me", "noop": True},
        taskDefaults={"connections": ["my-api"]},
    )
    result = cli("run", file, MY_DBX="no", MY_API_TOKEN="yes")
    assert result.code == 2
    assert result.err.count("needs connection") == 1
    assert "spec.tasks[show].connections: task 'show' needs connection 'my-db', which is not defined" in result.err
    assert "set its variables (MY_DB_…) in the environment, or use --connections with a file" in result.err
    assert not (cli.folder / "ran").exists()
    assert not (cli.folder / ".tradewind").exists()


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (secret(data={"PASSWORD": "hunter2!"}), "Secret my-db: data.PASSWORD: is not base64; plain text goes into"),
        (secret(data={"PASSWORD": "hünter2"}), "data.PASSWORD: is not base64"),
        (secret(data={"PASSWORD": "aHVudGVy!"}), "data.PASSWORD: is not base64"),
        (
            secret(stringData={"PASSWORD": 1234567}),
            "connections.yaml:6: stringData.PASSWORD: must be a string: put the",
        ),
        (secret(data=["hunter2"]), "data: must be an object"),
        ({"my-db": {"PASSWORD": ["hunter2"]}}, "connections.yaml:2: my-db.PASSWORD: must be a string"),
        ({"my-db": {"PASSWORD": None}}, "my-db.PASSWORD: must be a string"),
        ({"my-db": "hunter2"}, "connections.yaml:1: my-db: must be an object, as in {KEY: value}"),
        (["hunter2"], "connections are Secrets, or {name: {KEY: value}}"),
        ({**secret(), "metadata": {}}, "the Secret needs a metadata.name"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_without_its_values(
    cli: Cli, dag: Path, document: object, says: str
) -> None:
    result = cli("run", dag, "--connections", write(cli, document))
    assert (result.code, result.out) == (2, "")
    assert says in result.err
    assert not any(value in result.err for value in ("hunter2", "hünter2", "1234567"))


def test_a_file_that_is_not_there(cli: Cli, dag: Path) -> None:
    result = cli("run", dag, "--connections", "nowhere.yaml")
    assert result.code == 2
    assert "cannot read nowhere.yaml: no such file" in result.err


def test_a_file_that_is_no_yaml(cli: Cli, dag: Path) -> None:
    (cli.folder / "bad.yaml").write_text("my-db: {PASSWORD: 'hunter2}\n")
    result = cli("run", dag, "--connections", "bad.yaml")
    assert result.code == 2
    assert "bad.yaml:" in result.err and "hunter2" not in result.err


def test_values_are_nowhere_but_in_the_process(cli: Cli, dag_file: DagFile) -> None:
    quiet = {"name": "quiet", "script": 'test "$MY_DB_PASSWORD" = hunter2 && exit 3', "connections": ["my-db"]}
    result = cli("run", dag_file(quiet), "--connections", write(cli, {"my-db": {"PASSWORD": "hunter2"}}), "--logs")
    assert result.code == 1
    kept = "".join(path.read_text() for path in cli.run_folder.rglob("*") if path.is_file())
    assert "hunter2" not in result.out + result.err + kept.replace("= hunter2 ", "")
