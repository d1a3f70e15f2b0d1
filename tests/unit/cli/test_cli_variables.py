"""Variables on this machine: from ConfigMaps among the files, and from `--var`."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.commandline import Cli, DagFile

pytestmark = pytest.mark.unit

LABEL = "tradewind.dev/variables"


def echo(text: str, **more: object) -> dict[str, object]:
    return {"name": "a", "image": "busybox", "command": ["echo"], "args": [text], **more}


def config_map(name: str, data: dict[str, Any], label: object = "true") -> dict[str, Any]:
    labels = {} if label is None else {"labels": {LABEL: label}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **labels}, "data": data}


@pytest.fixture
def dag(dag_file: DagFile) -> Path:
    return dag_file(
        echo("{{ vars.settings.region }} {{ vars['my-settings']['log.level'] }} {{ vars.my_settings.log_level }}"),
        documents=[
            config_map("settings", {"region": "eu"}),
            config_map("my-settings", {"log.level": "info"}),
        ],
    )


def test_from_files(cli: Cli, dag: Path) -> None:
    assert cli("run", dag).code == 0
    assert cli.log("a") == "eu info info\n"


def test_options_come_first_and_may_spell_with_underscores(cli: Cli, dag: Path) -> None:
    assert cli("run", dag, "--var", "settings.region=a=b", "--var", "my_settings.log_level=debug").code == 0
    assert cli.log("a") == "a=b debug debug\n"


def test_options_alone(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(echo("{{ vars.settings.region }}/{{ vars.settings['key.x'] }}"))
    assert cli("run", file, "--var", "settings.region=eu", "--var", "settings.key.x=").code == 0
    assert cli.log("a") == "eu/\n"


def test_a_variable_that_no_one_gave(cli: Cli, dag_file: DagFile) -> None:
    assert cli("run", dag_file(echo("{{ vars.settings.region }}", retries={"limit": 3}))).code == 1
    task = cli.tasks()["a"]
    assert (task.state, task.reason, task.try_) == ("Failed", "InvalidTemplate", 1)
    assert task.message == (
        "args[0]: `vars.settings.region` is undefined: no ConfigMap 'settings' with the label "
        'tradewind.dev/variables: "true" was given; pass its file, or --var settings.region=VALUE'
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["settings"], "--var 'settings' is not configmap.key=value, as in --var settings.region=eu"),
        (["region=eu"], "--var 'region=eu' is not configmap.key=value"),
        (["settings.=eu"], "--var 'settings.=eu' is not configmap.key=value"),
        (["settings.region=eu", "settings.region=us"], "--var settings.region is given twice"),
        (["my-settings.log.level=a", "my_settings.log_level=b"], "--var my_settings.log_level is given twice"),
    ],
)
@pytest.mark.parametrize("command", [["run"], ["validate"], ["simulate", "-f"]], ids=lambda command: command[0])
def test_options_that_are_wrong(cli: Cli, dag: Path, command: list[str], options: list[str], says: str) -> None:
    result = cli(*command, dag, *(word for option in options for word in ("--var", option)))
    assert result.code == 2
    assert says in result.err


@pytest.mark.parametrize("command", [["run"], ["validate"], ["simulate", "-f"]], ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("document", "says"),
    [
        (
            config_map("settings", {"regoin": "eu"}),
            "test.yaml:12: Dag test: spec.tasks[a].args[0]: there is no vars.settings.region: the ConfigMap 'settings' "
            "has no key 'region'; did you mean 'regoin'?",
        ),
        (config_map("settings", {"region": "eu"}, None), 'it needs the label tradewind.dev/variables: "true"'),
        (config_map("settings", {"region": "eu"}, "yes"), 'it needs the label tradewind.dev/variables: "true"'),
        (config_map("settings", {"region": "eu"}, True), 'must be a string: write "true" in quotes'),
        (config_map("settings", {"region": 5}), "data.region: must be a string: put the value in quotes"),
        (config_map("settings", {"region": "x" * 200_000}), "data: is larger than 131072 bytes"),
        ({**config_map("settings", {}), "data": ["region"]}, "data: must be an object"),
    ],
)
def test_config_maps_that_are_wrong(
    cli: Cli, dag_file: DagFile, command: list[str], document: dict[str, Any], says: str
) -> None:
    result = cli(*command, dag_file(echo("{{ vars.settings.region }}"), documents=[document]))
    assert result.code == 2
    assert says in result.err + result.out


def test_what_may_be_in_the_cluster_or_has_a_default_is_fine(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(
        echo("{{ vars.elsewhere.x }}", description="{{ vars.settings.nope }}"),
        {**echo("{{ vars.settings.absent | default('') }}"), "name": "b"},
        documents=[config_map("settings", {})],
    )
    result = cli("validate", file)
    assert (result.code, result.err) == (0, "")


def test_uses_are_found_in_every_field(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(
        echo("", env=[{"name": "X", "value": "{{ vars.settings.x }}"}]),
        {"name": "b", "image": "busybox", "script": "echo\n{{ vars.settings.y }}"},
        taskDefaults={"env": [{"name": "Z", "value": "{{ vars.settings.z }}"}]},
        documents=[config_map("settings", {})],
    )
    found = cli("validate", file).out
    for field in ("spec.tasks[a].env[X]", "spec.tasks[b].script", "spec.taskDefaults.env[Z]"):
        assert f"{field}: there is no vars.settings." in found
    assert "its keys: none" in found
