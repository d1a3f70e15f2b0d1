"""Defaults, taskDefaults and a task's own fields are combined."""

from datetime import timedelta
from typing import Any

import pytest

from tradewind.api.dag import DagSpec
from tradewind.api.kinds import NOOP
from tradewind.api.resolve import ForEach, ResolvedSensor, ResolvedTask, Source, argv, resolve, script_command

pytestmark = pytest.mark.unit


def task(own: dict[str, Any], defaults: dict[str, Any] | None = None) -> ResolvedTask:
    spec = {"tasks": [{"name": "t", **own}], **({"taskDefaults": defaults} if defaults else {})}
    return resolve(DagSpec.model_validate(spec)).tasks[0]


def test_the_defaults_of_the_api() -> None:
    found = task({"image": "busybox", "command": ["true"]})
    assert (found.retries.limit, found.retries.delay, found.retries.on_lost) == (0, timedelta(minutes=5), 3)
    assert found.retries.max_delay == timedelta(hours=24)
    assert (found.pool, found.pool_slots) == ("default", 1)
    assert found.skip_exit_codes == {99}
    assert found.fail_exit_codes == frozenset()
    assert (found.timeout, found.queued_timeout) == (None, timedelta(minutes=10))


def test_the_defaults_of_a_dag() -> None:
    dag = resolve(DagSpec.model_validate({"tasks": [{"name": "t", "noop": True}]}))
    assert (dag.max_active_runs, dag.max_active_tasks, dag.run_timeout, dag.protect_results) == (16, 16, None, False)


def test_own_fields_win() -> None:
    found = task(
        {"image": "own", "timeout": "1m", "pool": "own"}, {"image": "shared", "timeout": "1h", "pool": "shared"}
    )
    assert (found.image, found.timeout, found.pool) == ("own", timedelta(minutes=1), "own")


def test_retries_merge_field_by_field() -> None:
    found = task({"retries": {"limit": 5}}, {"retries": {"limit": 1, "delay": "10s", "backoff": 2, "onLost": 0}})
    assert (found.retries.limit, found.retries.delay) == (5, timedelta(seconds=10))
    assert (found.retries.backoff, found.retries.on_lost) == (2, 0)


def test_a_limit_of_zero_is_a_setting() -> None:
    assert task({"retries": {"limit": 0}}, {"retries": {"limit": 3}}).retries.limit == 0


def test_delays_are_capped_at_a_day() -> None:
    found = task({"retries": {"limit": 1, "delay": "3d", "maxDelay": "7d"}})
    assert found.retries.delay == found.retries.max_delay == timedelta(hours=24)


def test_env_merges_by_name_in_order() -> None:
    found = task(
        {"env": [{"name": "B", "value": "own"}, {"name": "C", "value": "own"}]},
        {"env": [{"name": "A", "value": "shared"}, {"name": "B", "value": "shared"}]},
    )
    assert [(each["name"], each["value"]) for each in found.env] == [("A", "shared"), ("B", "own"), ("C", "own")]


def test_resources_merge_by_kind_and_name() -> None:
    found = task(
        {"resources": {"requests": {"memory": "1Gi"}}},
        {"resources": {"requests": {"memory": "64Mi", "cpu": "50m"}, "limits": {"memory": "2Gi"}}},
    )
    assert found.resources == {"requests": {"memory": "1Gi", "cpu": "50m"}, "limits": {"memory": "2Gi"}}


def test_an_empty_list_of_skip_codes_means_none() -> None:
    assert task({"skipExitCodes": []}).skip_exit_codes == frozenset()
    assert task({"skipExitCodes": []}, {"skipExitCodes": [3]}).skip_exit_codes == frozenset()


@pytest.mark.parametrize(
    ("interpreter", "command"),
    [
        (("python3",), ["python3", "-c"]),
        (("/usr/bin/node",), ["/usr/bin/node", "-e"]),
        (("ruby",), ["ruby", "-e"]),
        (("bash", "-e", "-c"), ["bash", "-e", "-c"]),
        (("sh",), ["sh", "-c"]),
        (("bash", "-euo", "pipefail"), ["bash", "-euo", "pipefail", "-c"]),
        (("/bin/bash", "--norc", "-ce"), ["/bin/bash", "--norc", "-ce"]),
        (("python3", "-u"), ["python3", "-u", "-c"]),
        (("python3.12", "-m", "mytool"), ["python3.12", "-m", "mytool"]),
        (("python3", "wrapper.py"), ["python3", "wrapper.py"]),
        (("perl", "-ne"), ["perl", "-ne"]),
        (("perl", "-w"), ["perl", "-w", "-e"]),
        (("env", "bash"), ["env", "bash"]),
    ],
)
def test_script_command(interpreter: tuple[str, ...], command: list[str]) -> None:
    assert script_command(interpreter) == command


def test_argv_of_a_command() -> None:
    assert argv(task({"command": ["echo", "-n"], "args": ["a"]})) == (["echo", "-n"], ["a"])


def test_argv_of_an_entrypoint() -> None:
    assert argv(task({"image": "x", "args": ["a"]})) == (None, ["a"])


def test_argv_of_a_shell_script_gives_its_args_from_dollar_one() -> None:
    assert argv(task({"script": "echo $1", "args": ["a"]})) == (["sh", "-c"], ["echo $1", "sh", "a"])


def test_argv_of_another_script_gives_its_args_from_argv_one() -> None:
    found = task({"script": "print(1)", "interpreter": ["python3"], "args": ["a"]})
    assert argv(found) == (["python3", "-c"], ["print(1)", "a"])


def test_the_defaults_of_kinds_and_limits() -> None:
    found = task({"noop": True})
    assert (found.branch, found.short_circuit, found.respect_trigger_rules) == (False, False, False)
    assert (found.setup, found.teardown, found.teardown_setups, found.on_failure_fail_run) == (False, False, (), False)
    assert (found.for_each, found.mapped_group, found.group) == (None, None, None)
    assert (found.sensor, found.kind) == (None, NOOP)
    assert (found.depends_on_past, found.wait_for_downstream) == (False, False)
    assert (found.priority_weight, found.weight_rule) == (1, "Downstream")
    assert (found.max_active_per_dag, found.max_active_per_run, found.connections) == (None, None, ())
    assert found.trigger_rule == "AllSuccess"


def test_the_defaults_of_a_dag_with_groups() -> None:
    dag = resolve(DagSpec.model_validate({"tasks": [{"name": "t", "noop": True}]}))
    assert (dag.fail_fast, dag.max_consecutive_failed_runs, dag.max_map_length, dag.groups) == (False, 0, 1024, {})


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (True, (True, False)),
        (False, (False, False)),
        ({}, (True, False)),
        ({"respectTriggerRules": True}, (True, True)),
        ({"respectTriggerRules": False}, (True, False)),
    ],
)
def test_short_circuit(given: Any, found: tuple[bool, bool]) -> None:
    short = task({"shortCircuit": given})
    assert (short.short_circuit, short.respect_trigger_rules) == found


def test_sensor_defaults() -> None:
    assert task({"sensor": {}}).sensor == ResolvedSensor("Poke", timedelta(minutes=1), timedelta(days=7), False, None)
    own = {"mode": "Reschedule", "interval": "5s", "timeout": "1h", "softFail": True, "retryExitCode": 3}
    expected = ResolvedSensor("Reschedule", timedelta(seconds=5), timedelta(hours=1), True, 3)
    assert task({"sensor": own}).sensor == expected


def test_wait_for_has_a_timeout() -> None:
    found = task({"waitFor": {"duration": "2h"}})
    assert found.spec.wait_for is not None
    assert found.spec.wait_for.duration == "2h"
    assert found.sensor is not None
    assert (found.sensor.timeout, found.sensor.soft_fail) == (timedelta(days=7), False)
    found = task({"waitFor": {"duration": "2h"}, "sensor": {"timeout": "1m", "softFail": True}})
    assert found.sensor is not None
    assert (found.sensor.timeout, found.sensor.soft_fail) == (timedelta(minutes=1), True)


def test_a_teardown() -> None:
    tasks = [
        {"name": "make", "setup": True},
        {"name": "drop", "teardown": {"setups": ["make"], "onFailureFailRun": True}},
        {"name": "own", "teardown": {"setups": ["make"]}, "triggerRule": "AllDone"},
    ]
    make, drop, own = resolve(DagSpec.model_validate({"tasks": tasks})).tasks
    assert (make.setup, make.trigger_rule) == (True, "AllSuccess")
    assert (drop.teardown, drop.teardown_setups, drop.depends_on) == (True, ("make",), ("make",))
    assert (drop.on_failure_fail_run, drop.trigger_rule) == (True, "AllDoneSetupSuccess")
    assert (own.on_failure_fail_run, own.trigger_rule) == (False, "AllDone")


def test_waiting_for_downstream_is_depending_on_the_past() -> None:
    assert task({"waitForDownstream": True}).depends_on_past
    assert task({}, {"waitForDownstream": True}).depends_on_past
    assert not task({"waitForDownstream": False}, {"waitForDownstream": True}).depends_on_past
    assert not task({"dependsOnPast": False}, {"dependsOnPast": True}).depends_on_past


def test_settings_of_scheduling_have_defaults_of_the_dag() -> None:
    shared = {"priorityWeight": 5, "weightRule": "Absolute", "maxActivePerDag": 3, "maxActivePerRun": 2}
    found = task({"priorityWeight": 0}, {**shared, "connections": ["warehouse"]})
    assert (found.priority_weight, found.weight_rule) == (0, "Absolute")
    assert (found.max_active_per_dag, found.max_active_per_run) == (3, 2)
    assert found.connections == ("warehouse",)
    assert task({"connections": []}, {"connections": ["warehouse"]}).connections == ()


def test_one_source() -> None:
    assert task({"forEach": {"items": [1, {"a": "b"}]}}).for_each == ForEach(
        (Source(items=(1, {"a": "b"})),), "Product"
    )
    assert task({"forEach": {"items": []}}).for_each == ForEach((Source(items=()),), "Product")
    assert task({"forEach": {"param": "stores"}}).for_each == ForEach((Source(param="stores"),), "Product")


def test_several_sources() -> None:
    tasks = [
        {"name": "list", "image": "x"},
        {
            "name": "t",
            "forEach": [{"name": "store", "output": "list.eu.stores"}, {"name": "day", "items": [1, 2]}],
            "combine": "Zip",
        },
    ]
    found = resolve(DagSpec.model_validate({"tasks": tasks})).tasks[1]
    store = Source("store", output_task="list", output_path=("eu", "stores"))
    assert found.for_each == ForEach((store, Source("day", items=(1, 2))), "Zip")
    assert found.depends_on == ("list",)
