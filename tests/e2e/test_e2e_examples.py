"""Every example of examples/ does on a cluster what it says."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import REPOSITORY, Manifest, RealCluster, moment
from tests.e2e.built_images import weather_image
from tests.e2e.spaces import Space
from tests.e2e.stage import Stage
from tradewind.api.shards import bucket_of

EXAMPLES = sorted((REPOSITORY / "examples").glob("*.yaml"))
WEATHER = REPOSITORY / "examples" / "weather"
EXPECT = re.compile(r"# expect: (\w+)")


@pytest.fixture(scope="module")
def space(stage: Stage) -> Space:
    """A namespace with all examples, each with a run named after its Dag."""
    space = stage.watched_space("examples")
    for path in EXAMPLES:
        space.kubectl.run("apply", "-f", str(path))
    for path in EXAMPLES:
        for dag in dags_in(path):
            space.run(dag, dag)
    return space


@pytest.fixture(scope="module")
def weather(stage: Stage, real: RealCluster) -> Space:
    """A namespace with the weather pipeline and a run of it."""
    real.load_image(weather_image())
    space = stage.watched_space("weather")
    space.kubectl.run("apply", "-f", str(WEATHER / "volume.yaml"), "-f", str(WEATHER / "dag.yaml"))
    space.run("weather", "weather")
    return space


def dags_in(path: Path) -> list[str]:
    return [found["metadata"]["name"] for found in yaml.safe_load_all(path.read_text()) if found["kind"] == "Dag"]


def assert_in_order(space: Space, run: str, status: Manifest) -> None:
    """No task was scheduled before all its upstream tasks had finished, successfully if its rule requires that."""
    dag = space.witness.get(space.name, "dags", space.witness.get(space.name, "dagruns", run)["spec"]["dag"])
    entries = {entry["name"]: entry for entry in status["tasks"]}
    for task in dag["spec"]["tasks"]:
        for upstream in (name for name in task.get("dependsOn", ()) if name in entries):
            # In a mapped group an instance waits for one, not for all.
            by_index = task.get("group") and "count" in entries[task["name"]] and "count" in entries[upstream]
            if "scheduledAt" in entries[task["name"]] and not by_index:
                if not {"triggerRule", "teardown"} & task.keys():
                    assert entries[upstream]["state"] == "Succeeded"
                assert moment(entries[task["name"]]["scheduledAt"]) >= moment(entries[upstream]["finishedAt"])


def assert_together(entries: dict[str, Manifest], *names: str) -> None:
    """Tasks were started at the same time: by one decision."""
    assert len({entries[name]["scheduledAt"] for name in names}) == 1


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(space: Space, path: Path) -> None:
    expected = EXPECT.match(path.read_text().partition("\n")[0])
    for run in dags_in(path):
        status = space.wait_finished(run)
        assert status["phase"] == (expected[1] if expected else "Succeeded"), space.explain()
        done, total = status["done"].split("/")
        assert done == total == str(sum(entry.get("count", 1) for entry in status["tasks"]))
        assert_in_order(space, run, status)


def test_weather(weather: Space) -> None:
    status = weather.wait_succeeded("weather")
    assert_in_order(weather, "weather", status)
    assert {entry["state"] for entry in status["tasks"]} == {"Succeeded"}
    assert_together(weather.tasks("weather"), "temperature", "rain", "wind", "kinds")
    assert weather.task("weather", "extract")["output"]["days"] == 1461
    weather.dag(
        "look",
        {"name": "look", "script": "head -c 300 /data/report/index.html; ls /data/report"},
        podTemplate={
            "spec": {
                "containers": [{"name": "task", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "weather-data"}}],
            }
        },
    )
    weather.wait_succeeded(weather.run("look", "look"))
    assert "<!doctype html>" in weather.log(weather.pods_of("look")[0].metadata.name).lower()


def test_diamond_runs_side_by_side(space: Space) -> None:
    space.wait_succeeded("diamond")
    assert_together(space.tasks("diamond"), "b", "c")


def test_retry_is_recorded(space: Space) -> None:
    space.wait_succeeded("retry")
    flaky = space.task("retry", "flaky")
    assert (flaky["state"], flaky["try"], flaky["exitCode"]) == ("Succeeded", 2, 0)
    [first] = flaky["tries"]
    assert (first["number"], first["state"], first["exitCode"]) == (1, "Failed", 1)
    assert "the service does not answer" in first["message"]
    assert (moment(flaky["startedAt"]) - moment(first["finishedAt"])).total_seconds() >= 1
    assert len(space.pods_of("retry", "flaky")) == 2


def test_outputs_go_from_task_to_task(space: Space) -> None:
    space.wait_succeeded("outputs-and-params")
    assert space.task("outputs-and-params", "add")["output"] == {"sum": 12, "count": 3}
    [tell] = space.pods_of("outputs-and-params", "tell")
    assert space.log(tell.metadata.name) == "Good morning! The sum of 3 numbers is 12.\n"


def test_skip_skips_downstream_tasks(space: Space) -> None:
    space.wait_succeeded("skip")
    states = {name: entry["state"] for name, entry in space.tasks("skip").items()}
    assert states == {"new-orders": "Skipped", "import-orders": "Skipped", "housekeeping": "Succeeded"}
    assert not space.pods_of("skip", "import-orders")


def test_timeout_fails_the_run(space: Space) -> None:
    status = space.wait_finished("timeout")
    forever, never = space.task("timeout", "forever"), space.task("timeout", "never")
    assert (forever["state"], forever["reason"]) == ("Failed", "Timeout")
    assert never["state"] == "UpstreamFailed"
    assert "forever" in status["message"]
    assert "waiting" in space.log(space.pods_of("timeout", "forever")[0].metadata.name)


def test_pods_are_restricted_labelled_and_owned(space: Space) -> None:
    space.wait_succeeded("diamond")
    run = space.witness.get(space.name, "dagruns", "diamond")
    [pod] = space.pods_of("diamond", "b")
    assert pod.metadata.labels == {
        "app.kubernetes.io/managed-by": "tradewind",
        "tradewind.dev/dag": "diamond",
        "tradewind.dev/run": "diamond",
        "tradewind.dev/task": "b",
        "tradewind.dev/try": "1",
        "tradewind.dev/bucket": str(bucket_of(space.name)),
    }
    assert pod.metadata.name.startswith("diamond-b-1-")
    [owner] = pod.metadata.owner_references
    assert (owner.kind, owner.uid, owner.controller) == ("DagRun", run["metadata"]["uid"], True)
    [dag_owner] = run["metadata"]["ownerReferences"]
    assert dag_owner["uid"] == space.witness.get(space.name, "dags", "diamond")["metadata"]["uid"]
    assert run["metadata"]["labels"]["tradewind.dev/dag"] == "diamond"
    assert_no_privileges(pod)


def assert_no_privileges(pod: Any) -> None:
    """The namespace refuses Pods that are not restricted; this is what it does not look at."""
    assert pod.spec.automount_service_account_token is False
    assert pod.spec.restart_policy == "Never"
    assert not pod.spec.volumes
    [container] = pod.spec.containers
    assert not container.volume_mounts
    assert container.security_context.capabilities.drop == ["ALL"]
