"""How defaults, taskDefaults and a task's own fields come together."""

from datetime import timedelta
from typing import Any

import pytest

from tradewind.api.dag import DagSpec
from tradewind.api.resolve import ResolvedTask, argv, resolve, script_command

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
