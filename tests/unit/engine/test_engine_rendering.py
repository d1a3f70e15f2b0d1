"""Values of templates, and a task with its templates rendered."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.engine.engine_world import START, World, run_info, task
from tradewind.api.variables import Variables
from tradewind.engine.rules.rendering import RenderedTask, TemplateError, facts_of_try, render_task, template_values
from tradewind.engine.run.run_info import PreviousRuns
from tradewind.engine.run.tries import TryKey

pytestmark = pytest.mark.unit


def world(*tasks: dict[str, Any], spec: dict[str, Any] | None = None, **facts: Any) -> World:
    made = World(*tasks, **(spec or {}))
    made.run = made.add(run_info("r2", **facts))
    return made


def render(made: World, name: str = "a", number: int = 1) -> RenderedTask:
    return render_task(made.run, made.run[name].task, number)


def args(template: str, **facts: Any) -> str:
    return render(world(task("a", args=[template]), **facts)).args[0]


def test_the_values() -> None:
    made = world(task("a"), params={"region": "eu"}, type="Scheduled", dag_name="sales")
    variables = Variables()
    made.run.variables = lambda: variables
    assert template_values(made.run, made.run["a"].task, 3) == {
        "logicalDate": "2026-03-01T12:00:00Z",
        "ds": "2026-03-01",
        "ts": "2026-03-01T12:00:00+00:00",
        "dsNodash": "20260301",
        "tsNodash": "20260301T120000",
        "dataInterval": {
            "start": "2026-03-01T12:00:00Z",
            "end": "2026-03-01T12:00:00Z",
            "startDs": "2026-03-01",
            "endDs": "2026-03-01",
        },
        "params": {"region": "eu"},
        "run": {"name": "r2", "type": "Scheduled"},
        "dag": {"name": "sales", "namespace": "ns"},
        "task": {"name": "a", "try": 3},
        "tasks": {},
        "vars": variables,
    }


@pytest.mark.parametrize(
    ("zone", "logical_date", "ds", "ts"),
    [
        ("UTC", datetime(2026, 3, 1, 23, 30, tzinfo=UTC), "2026-03-01", "2026-03-01T23:30:00+00:00"),
        ("Europe/Berlin", datetime(2026, 3, 1, 23, 30, tzinfo=UTC), "2026-03-02", "2026-03-02T00:30:00+01:00"),
        ("Europe/Berlin", datetime(2026, 7, 1, 22, 0, tzinfo=UTC), "2026-07-02", "2026-07-02T00:00:00+02:00"),
        ("America/New_York", datetime(2026, 3, 1, 2, 0, tzinfo=UTC), "2026-02-28", "2026-02-28T21:00:00-05:00"),
        ("Asia/Kolkata", datetime(2026, 3, 1, 0, 0, tzinfo=UTC), "2026-03-01", "2026-03-01T05:30:00+05:30"),
    ],
)
def test_ds_and_ts_are_in_the_time_zone_of_the_dag(zone: str, logical_date: datetime, ds: str, ts: str) -> None:
    made = world(task("a", args=["{{ ds }} {{ ts }}"]), spec={"timeZone": zone}, logical_date=logical_date)
    assert render(made).args == [f"{ds} {ts}"]


def test_command_args_env_and_script_are_templates_and_an_interpreter_is_not() -> None:
    made = world(
        task("a", command=["{{ ds }}"], args=["{{ ds }}"], env=[{"name": "DAY", "value": "{{ ds }}"}]),
        task("b", image="busybox", script="echo {{ ds }} $1", args=["{{ params.x }}"]),
        spec={"params": {"x": {"type": "integer"}}},
        params={"x": 3},
    )
    assert render(made) == RenderedTask(["2026-03-01"], ["2026-03-01"], [{"name": "DAY", "value": "2026-03-01"}])
    assert render(made, "b") == RenderedTask(["sh", "-c"], ["echo 2026-03-01 $1", "sh", "3"], [])


def test_variables_are_those_of_the_moment() -> None:
    made = world(task("a", image="busybox", script="{{ vars.settings.region }} {{ vars.my_settings.log_level }}"))
    config_maps = {"settings": {"region": "eu"}, "my-settings": {"log.level": "info"}}
    made.run.variables = lambda: Variables(config_maps)
    rendered = [render(made)]
    config_maps["settings"] = {"region": "us"}
    rendered.append(render(made))
    assert [each.args for each in rendered] == [["eu info"], ["us info"]]


def test_an_unknown_variable_names_field_and_fix() -> None:
    made = world(task("a", env=[{"name": "REGION", "value": "{{ vars.settings.region }}"}]))
    made.run.variables = lambda: Variables({}, "ns")
    with pytest.raises(TemplateError) as caught:
        render(made)
    assert str(caught.value).startswith("env[REGION]: `vars.settings.region` is undefined: namespace 'ns' has no")
    assert "create configmap settings" in str(caught.value)


def test_without_variables_none_is_there() -> None:
    with pytest.raises(TemplateError, match=r"^args\[0\]: `vars.settings.region` is undefined"):
        args("{{ vars.settings.region }}")


def test_what_was_before() -> None:
    moments = [datetime(2026, 2, day, 6, 30, tzinfo=UTC) for day in range(1, 6)]
    names = ("LogicalDate", "DataIntervalStartSuccess", "DataIntervalEndSuccess", "StartDateSuccess", "EndDateSuccess")
    template = " ".join(f"{{{{ prev{name} }}}}" for name in names)
    assert args(template, previous=PreviousRuns(*moments)) == " ".join(
        f"2026-02-0{day}T06:30:00Z" for day in range(1, 6)
    )


@pytest.mark.parametrize("previous", [None, PreviousRuns(), PreviousRuns(logical_date=START)])
def test_a_run_that_was_not_before_is_undefined(previous: PreviousRuns | None) -> None:
    facts = {"previous": previous}
    assert args("{{ prevEndDateSuccess | default('never') }}", **facts) == "never"
    assert args("{% if prevEndDateSuccess is defined %}again{% else %}first{% endif %}", **facts) == "first"
    with pytest.raises(TemplateError, match="`prevEndDateSuccess` is undefined: there is no such previous run; "):
        args("{{ prevEndDateSuccess }}", **facts)


def test_env_from_elsewhere_is_left_alone() -> None:
    secret = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}
    assert render(world(task("a", env=[secret, {"name": "EMPTY", "value": ""}]))).env == [
        secret,
        {"name": "EMPTY", "value": ""},
    ]


def test_outputs_of_tasks_upstream_by_either_spelling() -> None:
    made = World(
        task("per-store"),
        task("a", "per-store", args=["{{ tasks.per_store.output.rows }} {{ tasks['per-store'].output.rows }}"]),
    )
    made.succeed("per-store", '{"rows": 12}')
    assert render(made).args == ["12 12"]


@pytest.mark.parametrize(
    ("output", "template", "text"),
    [
        ('["x", "y"]', "{{ tasks.up.output[1] }}", "y"),
        ('["x", "y"]', "{{ tasks.up.output | tojson }}", '["x", "y"]'),
        ('{"a": {"b": [1, 2]}}', "{{ tasks.up.output.a.b | sum }}", "3"),
        ("null", "{% if tasks.up.output is none %}none{% endif %}", "none"),
        ("false", "{% if tasks.up.output %}yes{% else %}no{% endif %}", "no"),
        ("2", "{% for n in [1, 2] %}{{ n + tasks.up.output }}{% endfor %}", "34"),
    ],
)
def test_outputs_are_data(output: str, template: str, text: str) -> None:
    made = World(task("up"), task("a", "up", args=[template]))
    made.succeed("up", output)
    assert render(made).args == [text]


def test_an_output_that_was_never_written_is_an_error() -> None:
    made = World(task("up"), task("a", "up", args=["{{ tasks.up.output.rows }}"]))
    made.succeed("up")
    with pytest.raises(TemplateError, match=r"^args\[0\]: "):
        render(made)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"args": ["fine", "{{ params.nope }}"]}, r"args\[1\]"),
        ({"env": [{"name": "X", "value": "{{ params.nope }}"}]}, r"env\[X\]"),
        ({"image": "busybox", "script": "echo {{ params.nope }}"}, "script"),
        ({"image": "busybox", "script": "echo", "args": ["{{ params.nope }}"]}, "args"),
    ],
)
def test_an_error_names_the_field(fields: dict[str, Any], field: str) -> None:
    made = world(task("a", **fields), spec={"params": {"nope": {}}})
    with pytest.raises(TemplateError, match=f"^{field}: "):
        render(made)


def test_a_date_beyond_the_calendar_of_the_zone() -> None:
    with pytest.raises(TemplateError, match="too far from now for the time zone America/New_York"):
        args("{{ ds }}", logical_date=datetime(1, 1, 1, tzinfo=UTC), spec={"timeZone": "America/New_York"})


def test_braces_in_data_are_not_templates() -> None:
    assert args("{{ params.x }}", params={"x": "{{ ds }}"}, spec={"params": {"x": {}}}) == "{{ ds }}"


def test_the_facts_that_every_task_can_read() -> None:
    assert facts_of_try(run_info(logical_date=START), TryKey("a", None, 2)) == {
        "TRADEWIND_DAG": "d",
        "TRADEWIND_RUN": "r1",
        "TRADEWIND_NAMESPACE": "ns",
        "TRADEWIND_TASK": "a",
        "TRADEWIND_TRY": "2",
        "TRADEWIND_LOGICAL_DATE": "2026-03-01T12:00:00Z",
        "TRADEWIND_DATA_INTERVAL_START": "2026-03-01T12:00:00Z",
        "TRADEWIND_DATA_INTERVAL_END": "2026-03-01T12:00:00Z",
    }
