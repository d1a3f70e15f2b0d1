"""Each setting of the controller is an option and an environment variable of the same name."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from click.testing import CliRunner

from tradewind import logs
from tradewind.controller.process import process
from tradewind.controller.process.process import main_command
from tradewind.controller.process.settings import Settings, default_identity, ended_identities

pytestmark = pytest.mark.unit

NOT_OPTIONS = {"identity", "ended_identities"}
VALUES: dict[str, tuple[str, object]] = {
    "namespaces": ("b, a,,b", ("a", "b")),
    "pod_namespace": ("tradewind", "tradewind"),
    "lease_name": ("mine", "mine"),
    "lease_duration": ("30", 30.0),
    "parallelism": ("64", 64),
    "shards": ("64", 64),
    "shard": ("2", 2),
    "check_crds": ("false", False),
    "metrics_port": ("0", 0),
    "probe_port": ("9", 9),
    "webhook_port": ("9443", 9443),
    "webhook_secret": ("s", "s"),
    "webhook_service": ("w", "w"),
    "webhook_configuration": ("c", "c"),
    "webhook_certificates": ("provided", "provided"),
    "webhook_authorize": ("false", False),
    "log_format": ("json", "json"),
    "log_level": ("debug", "debug"),
}
OTHERS = {"shard": {"TRADEWIND_SHARDS": "3"}}
"""Settings that others require."""


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings with which the controller would have been run."""
    found: list[Settings] = []

    async def run(settings: Settings) -> None:
        found.append(settings)

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    for name in VALUES:
        monkeypatch.delenv("TRADEWIND_" + name.upper(), raising=False)
    return found


def invoke(*arguments: str, env: dict[str, str] | None = None) -> Any:
    return CliRunner().invoke(main_command, arguments, env=env or {}, catch_exceptions=False)


def test_every_setting_is_covered_here() -> None:
    assert {field.name for field in fields(Settings)} - NOT_OPTIONS == set(VALUES)


def test_the_defaults_of_the_options_are_those_of_the_settings(ran: list[Settings]) -> None:
    assert invoke().exit_code == 0
    assert ran == [Settings()]
    assert ran[0].scopes == (None,)


@pytest.mark.parametrize("name", VALUES)
def test_by_option(ran: list[Settings], name: str) -> None:
    text, value = VALUES[name]
    assert invoke("--" + name.replace("_", "-"), text, env=OTHERS.get(name)).exit_code == 0
    assert getattr(ran[0], name) == value


@pytest.mark.parametrize("name", VALUES)
def test_by_environment_variable(ran: list[Settings], name: str) -> None:
    text, value = VALUES[name]
    assert invoke(env={"TRADEWIND_" + name.upper(): text, **OTHERS.get(name, {})}).exit_code == 0
    assert getattr(ran[0], name) == value


def test_an_option_wins_over_the_environment(ran: list[Settings]) -> None:
    invoke("--parallelism", "1", env={"TRADEWIND_PARALLELISM": "2"})
    assert ran[0].parallelism == 1


def test_namespaces_are_watched_one_by_one(ran: list[Settings]) -> None:
    invoke("--namespaces", "b,a")
    assert ran[0].scopes == ("a", "b")


@pytest.mark.parametrize(("name", "text"), [("parallelism", "many"), ("log-format", "xml"), ("check-crds", "perhaps")])
def test_a_bad_value_is_refused(ran: list[Settings], name: str, text: str) -> None:
    refused = invoke(f"--{name}", text)
    assert refused.exit_code == 2
    assert f"--{name}" in refused.output
    assert ran == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--shards", "0"), "--shards must be 1 to 64, not 0"),
        (("--shards", "65"), "--shards must be 1 to 64, not 65"),
        (("--shards", "two"), "Invalid value for '--shards'"),
        (("--shards", "2", "--shard", "2"), "--shard must be 0 to 1, not 2"),
        (("--shard", "1"), "--shard must be 0 unless --shards is greater than 1, not 1"),
    ],
)
def test_a_shard_that_cannot_be_is_refused(ran: list[Settings], arguments: tuple[str, ...], says: str) -> None:
    refused = invoke(*arguments)
    assert (refused.exit_code, ran) == (2, [])
    assert says in refused.output


def test_of_the_namespaces_that_are_listed_a_shard_watches_its_own(ran: list[Settings]) -> None:
    for shard in ("0", "1", "2"):
        assert invoke("--namespaces", "prod,team-1,team-2", "--shards", "3", "--shard", shard).exit_code == 0
    assert [settings.scopes for settings in ran] == [("team-1",), ("prod", "team-2"), ()]


def test_a_process_that_starts_again_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_POD_NAME", "tradewind-controller-abc")
    first, second = default_identity(), default_identity()
    assert first.startswith("tradewind-controller-abc_")
    assert first != second
    assert ended_identities() == ""


def test_an_earlier_container_of_the_same_pod_has_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_POD_NAME", "tradewind-controller-abc")
    monkeypatch.setenv("TRADEWIND_POD_UID", "4711")
    first, second = default_identity(), default_identity()
    assert first != second
    assert ended_identities() == "tradewind-controller-abc_4711_"
    assert first.startswith(ended_identities())
    monkeypatch.setenv("TRADEWIND_POD_UID", "4712")
    assert not first.startswith(ended_identities())
