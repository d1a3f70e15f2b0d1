"""Dags that cannot run are rejected, or report their problems, and block no other."""

from typing import Any

import kubernetes
import pytest
import yaml

from tests.cluster import REPOSITORY, Manifest
from tests.e2e.spaces import API_VERSION, Space, task
from tests.e2e.stage import Stage, side_by_side

BAD_DAGS: list[Manifest] = yaml.safe_load((REPOSITORY / "tests" / "bad_dags.yaml").read_text())
BY_SCHEMA = [case for case in BAD_DAGS if case["rejectedBy"] == "schema"]
BY_VALIDATION = [case for case in BAD_DAGS if case["rejectedBy"] == "validation"]


@pytest.fixture(scope="module")
def space(stage: Stage) -> Space:
    """A namespace with every bad Dag that the API server lets in, and one good one."""
    space = stage.watched_space("bad-dags")
    for case in BY_VALIDATION:
        space.witness.create(space.name, "dags", case["dag"], field_validation="Strict")
    space.dag("good", task("good", "true"))
    return space


def by_name(case: Manifest) -> str:
    return str(case["name"])


@pytest.mark.parametrize("case", BY_SCHEMA, ids=by_name)
def test_the_api_server_rejects_it(space: Space, case: Manifest) -> None:
    with pytest.raises(kubernetes.client.ApiException) as refusal:
        space.witness.create(space.name, "dags", case["dag"], field_validation="Strict", dry_run="All")
    error: Any = refusal.value
    assert error.status in (400, 422), error.body
    message = yaml.safe_load(error.body)["message"]
    where = case["field"].rpartition(".")[2].partition("[")[0]
    assert where in message or "must" in message or "name" in message, message


@pytest.mark.parametrize("case", BY_VALIDATION, ids=by_name)
def test_not_accepted(space: Space, case: Manifest) -> None:
    condition = space.wait_accepted(case["dag"]["metadata"]["name"], "False")
    assert condition["reason"] == case["reason"]
    assert case["contains"] in condition["message"]


def test_a_good_dag_beside_them_runs(space: Space) -> None:
    space.wait_succeeded(space.run("good"))


def test_a_person_sees_which_are_bad(space: Space) -> None:
    space.wait_accepted("cycle-of-two", "False")
    shown = space.kubectl.run("get", "dag", "cycle-of-two", "good", "-o", "wide")
    assert "extract → load → extract" in shown
    assert "the Dag can run" in shown
    events = space.eventually(lambda: space.events("Dag", "cycle-of-two"), "there is an Event")
    assert [(event.type, event.reason) for event in events] == [("Warning", "Cycle")]
    assert "extract → load → extract" in events[0].message


@side_by_side
def test_a_run_waits_until_its_dag_is_repaired(stage: Stage) -> None:
    space = stage.watched_space("repaired")
    space.dag("bent", task("a", "true", "b"), task("b", "true", "a"))
    space.wait_accepted("bent", "False")
    run = space.run("bent")
    space.eventually(lambda: space.status(run).get("reason") == "DagNotAccepted", "the run says why it waits")
    assert space.status(run)["phase"] == "Queued"
    assert "'bent' is not accepted" in space.status(run)["message"]

    space.edit_dag("bent", tasks=[task("a", "true"), task("b", "true", "a")])

    status = space.wait_succeeded(run)
    assert "is not accepted" not in status.get("message", "")


@side_by_side
def test_a_run_waits_until_its_dag_exists(stage: Stage) -> None:
    space = stage.watched_space("late")
    run = space.run("late")
    space.eventually(lambda: space.status(run).get("reason") == "DagNotFound", "the run says why it waits")
    assert "no Dag named 'late'" in space.status(run)["message"]
    space.dag("late", task("late", "true"))
    space.wait_succeeded(run)
    [owner] = space.witness.get(space.name, "dagruns", run)["metadata"]["ownerReferences"]
    assert owner["kind"] == "Dag"


@side_by_side
def test_params(stage: Stage) -> None:
    space = stage.watched_space("params")
    space.dag(
        "sales",
        task("tell", "echo '\"{{ params.region }} {{ params.days }}\"' >$TRADEWIND_OUTPUT"),
        params={"region": {"type": "string", "enum": ["eu", "us"]}, "days": {"type": "integer", "default": 7}},
    )
    good = space.run("sales", "good", params={"region": "us"})
    bad = {
        "wrong": ({"region": "mars"}, "'mars' is not one of ['eu', 'us']"),
        "missing": ({}, "region"),
        "unknown": ({"region": "eu", "regoin": "eu"}, "regoin"),
    }
    for name, (params, _) in bad.items():
        space.run("sales", name, params=params)
    space.wait_succeeded(good)
    assert space.task(good, "tell")["output"] == "us 7"
    assert space.status(good)["params"] == {"region": "us", "days": 7}
    for name, (_, says) in bad.items():
        status = space.wait_finished(name)
        assert (status["phase"], status["reason"]) == ("Failed", "InvalidParams"), status
        assert says in status["message"]
        conditions = {condition["type"]: condition["status"] for condition in status["conditions"]}
        assert conditions == {"Complete": "False", "Failed": "True"}
        assert not space.pods_of(name)


@side_by_side
def test_kubectl_says_what_is_wrong(stage: Stage) -> None:
    space = stage.space("apply")
    dag = {
        "apiVersion": API_VERSION,
        "kind": "Dag",
        "metadata": {"name": "wrong"},
        "spec": {"tasks": [task("a", "true", "a", image="busybox:1.36")]},
    }
    refused = space.kubectl.attempt("apply", "-f", "-", stdin=yaml.safe_dump(dag))
    assert refused.returncode == 1
    assert "a task cannot depend on itself" in refused.stderr


def test_a_run_nested_too_deeply_does_not_block_others(space: Space) -> None:
    """The API server takes what no decoder of ours can: it is passed over, by a controller that sees it come and by
    one that finds it there."""
    deep = '{"a":' * 2000 + "1" + "}" * 2000
    head = f'"apiVersion":"{API_VERSION}","kind":"DagRun","metadata":{{"name":"deep"}}'
    space.kubectl.run("create", "-f", "-", stdin=f'{{{head},"spec":{{"dag":"good","params":{{"x":{deep}}}}}}}')
    space.wait_succeeded(space.run("good"))
    assert space.kubectl.run("get", "dagrun", "deep", "-o", "jsonpath={.status.phase}") == ""
    space.kubectl.run("delete", "dagrun", "deep")
