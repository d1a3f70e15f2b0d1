"""Each kind of task has all of its parts: a forgotten one fails here."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from tradewind.api.kinds import TASK_KINDS, TaskKind
from tradewind.api.task import Task
from tradewind.api.validation.kinds import VALIDATORS
from tradewind.cli.local.kinds import CARRIERS as LOCAL_CARRIERS
from tradewind.cli.local.kinds import LocalCarrier
from tradewind.cli.local.kinds.noop import Nothing as LocalNothing
from tradewind.controller.kinds import CARRIERS, Carrier
from tradewind.controller.kinds.noop import Nothing
from tradewind.engine.kinds import KINDS
from tradewind.engine.kinds.kind import Finish, NeedsSlots

pytestmark = pytest.mark.unit

REGISTRIES: dict[str, Collection[str]] = {
    "engine": KINDS,
    "controller": CARRIERS,
    "cli/local": LOCAL_CARRIERS,
    "api/validation": VALIDATORS,
}
each_kind = pytest.mark.parametrize("kind", TASK_KINDS, ids=lambda kind: kind.name)


@pytest.mark.parametrize("package", REGISTRIES)
def test_each_registry_has_each_kind(package: str) -> None:
    assert sorted(REGISTRIES[package]) == sorted(kind.name for kind in TASK_KINDS)


@each_kind
def test_what_starts_a_kind_agrees_with_its_facts(kind: TaskKind) -> None:
    alike = KINDS[kind.name].common_start
    finishes, needs_slots = isinstance(alike, Finish), isinstance(alike, NeedsSlots)
    assert (not finishes, needs_slots, alike is None) == (kind.has_tries, kind.makes_pods, kind.waits)


@each_kind
@pytest.mark.parametrize(("carriers", "base"), [(CARRIERS, Carrier), (LOCAL_CARRIERS, LocalCarrier)])
def test_who_carries_a_kind_out_does_what_is_planned_for_it(kind: TaskKind, carriers: Any, base: Any) -> None:
    carrier = carriers[kind.name]
    if kind.makes_pods:
        assert base.start is not carrier.start
        assert base is Carrier or base.stop is not carrier.stop
    if kind.waits:
        assert carrier in (Nothing, LocalNothing) or base.wait is not carrier.wait


@each_kind
def test_the_schema_lets_a_task_have_only_one_field_that_says_what_runs(kind: TaskKind) -> None:
    extra: Any = Task.model_config["json_schema_extra"]
    (rule,) = [each["rule"] for each in extra["x-kubernetes-validations"] if "size() <= 1" in each["rule"]]
    aliases = [Task.model_fields[field].alias for field in kind.fields]
    assert all((f"has(self.{alias})" in rule) != kind.beside for alias in aliases)


@each_kind
def test_each_kind_has_its_tests(kind: TaskKind) -> None:
    module = type(KINDS[kind.name]).__module__.rpartition(".")[2]
    assert (Path(__file__).parent / "engine" / "kinds" / f"test_engine_kind_{module}.py").is_file()
