"""Dags that are too many, too broken or too large block no other."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kubernetes
import orjson
import pytest

from tests.cluster import Manifest
from tests.e2e.controller_process import Controllers
from tests.e2e.spaces import API_VERSION, NewSpace, Space
from tests.faults.audit import Audit
from tests.faults.sizes import Figure, size

BROKEN = size("BROKEN", 300)
AT_ONCE = 16
LARGE, LARGEST = 1_400_000, 921_000
"""Bytes; etcd takes 1.5 MiB in one request."""
A_SCRIPT = 30_000


def broken(number: int) -> Manifest:
    """A Dag whose two tasks wait for each other, which no schema can see."""
    tasks = [{"name": name, "dependsOn": [other]} for name, other in (("a", "b"), ("b", "a"))]
    return {
        "apiVersion": API_VERSION,
        "kind": "Dag",
        "metadata": {"name": f"broken-{number:05}"},
        "spec": {"taskDefaults": {"image": "busybox:1.36"}, "tasks": tasks},
    }


def judged(space: Space) -> list[Manifest]:
    """The broken Dags that say what is wrong with them."""
    dags = space.witness.list(space.name, "dags")
    return [dag for dag in dags if any(one["reason"] == "Cycle" for one in dag.get("status", {}).get("conditions", ()))]


def test_a_good_dag_beside_thousands_of_broken_ones(
    new_kwok_space: NewSpace, kwok_controllers: Controllers, figure: Figure
) -> None:
    """A controller finds all of them at once."""
    space = new_kwok_space("broken")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda number: space.witness.create(space.name, "dags", broken(number)), range(BROKEN)))
    space.dag("the-good-one", {"name": "only"})
    space.run("the-good-one", "at-the-start")
    audit = Audit(space)
    controller = kwok_controllers.launch_for(space.name).wait_leading()
    began = time.monotonic()
    [first] = space.eventually(lambda: audit.of("at-the-start"), "the good Dag's Pod is made")
    figure("seconds from the start of its term until the Pod", round(first.at - began, 2))
    space.eventually(lambda: len(judged(space)) == BROKEN, "all broken Dags say what is wrong", 600)
    figure(f"seconds until {BROKEN} broken Dags say what is wrong", round(time.monotonic() - began, 1))
    before = sum(int(dag["metadata"]["resourceVersion"]) < first.order for dag in judged(space))
    figure("of them before the Pod", before)
    assert before < BROKEN / 2
    space.wait_succeeded("at-the-start")
    began = time.monotonic()
    space.run("the-good-one", "later")
    [pod] = space.eventually(lambda: audit.of("later"), "the good Dag's next Pod is made")
    figure("seconds until the Pod of another run", round(pod.at - began, 2))
    assert controller.metric("tradewind_loop_failures_total") == 0
    audit.end()


def large_dag(name: str, length: int) -> Manifest:
    """A Dag of about so many bytes, most of them in scripts."""
    dag: Manifest = {"apiVersion": API_VERSION, "kind": "Dag", "metadata": {"name": name}}
    tasks = [
        {"name": f"t{number}", "script": f"true # {'x' * A_SCRIPT}"} for number in range(max(1, length // A_SCRIPT - 1))
    ]
    dag["spec"] = {"taskDefaults": {"image": "busybox:1.36"}, "tasks": tasks}
    tasks[-1]["script"] += "x" * (length - len(orjson.dumps(dag)))
    return dag


def test_a_dag_that_is_too_large_to_work_with_says_so(
    new_kwok_space: NewSpace, kwok_controllers: Controllers, figure: Figure
) -> None:
    """etcd accepts the Dag, but not with its revision and runs. The largest accepted one runs beside it."""
    space = new_kwok_space("large")
    for name, length in (("too-large", LARGE), ("largest", LARGEST)):
        dag = large_dag(name, length)
        assert abs(len(orjson.dumps(dag)) - length) < 10
        space.witness.create(space.name, "dags", dag)
    kwok_controllers.launch_for(space.name).wait_leading()
    condition = space.wait_accepted("too-large", "False")
    assert condition["reason"] == "TooLarge"
    assert "the limit is 921600" in condition["message"]
    waits = space.run("too-large")
    space.wait_accepted("largest")
    began = time.monotonic()
    status = space.wait_succeeded(space.run("largest"))
    took = round(time.monotonic() - began, 1)
    figure(f"seconds of a run of {len(status['tasks'])} tasks, Dag of {LARGEST} bytes", took)
    space.eventually(lambda: space.status(waits).get("reason") == "DagNotAccepted", "the run says why it waits")


@pytest.mark.parametrize("length", [1_600_000, 3_500_000])
def test_the_api_server_rejects_a_larger_one(new_kwok_space: NewSpace, figure: Figure, length: int) -> None:
    space = new_kwok_space("too-large")
    with pytest.raises(kubernetes.client.ApiException) as refusal:
        space.witness.create(space.name, "dags", large_dag("too-large", length))
    error: Any = refusal.value
    figure(f"a Dag of {length} bytes", (error.status, error.body[:300]))
    assert "too large" in str(error.body)
