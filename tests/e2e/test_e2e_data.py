"""Variables and connections with real ConfigMaps and Secrets: values of tasks, and messages for missing values."""

import hashlib
import json
from typing import Any

from tests.cluster import Manifest, moment
from tests.e2e.spaces import Space, task
from tests.e2e.stage import Stage, side_by_side
from tradewind.api.variables import MAX_BYTES

LABEL = "tradewind.dev/variables"
LABELS = {LABEL: "true"}
PASSWORD = "correct-horse-battery-staple"


def config_map(space: Space, name: str, labels: dict[str, str] | None = None, **data: str) -> None:
    """Make a ConfigMap."""
    body = {"metadata": {"name": name, "labels": labels}, "data": data}
    space.witness.core.create_namespaced_config_map(space.name, body)


def change(space: Space, name: str, **body: Any) -> None:
    """Merge something into a ConfigMap."""
    space.witness.core.patch_namespaced_config_map(name, space.name, body)


def secret(space: Space, name: str, **data: str) -> None:
    space.kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})


def reads(name: str, template: str) -> Manifest:
    return task(name, f'echo "{template}"', retries={"limit": 0})


@side_by_side
def test_a_later_try_sees_a_changed_variable(stage: Stage) -> None:
    space = stage.watched_space("variables")
    config_map(space, "my-settings", LABELS, **{"region.name": "eu", "state": "down"})
    script = 'echo "{{ vars.my_settings.region_name }} is {{ vars["my-settings"]["state"] }}"\n'
    script += 'test "{{ vars.my_settings.state }}" = up'
    space.dag("wait", task("wait", script, retries={"limit": 5, "delay": "3s"}))
    run = space.run("wait")
    space.wait_state(run, "wait", "UpForRetry")
    change(space, "my-settings", data={"state": "up"})
    space.wait_succeeded(run)
    logs = [space.log(pod.metadata.name) for pod in space.pods_of(run, "wait")]
    assert len(logs) >= 2
    assert logs == ["eu is down\n"] * (len(logs) - 1) + ["eu is up\n"]


@side_by_side
def test_only_labelled_config_maps_are_readable(stage: Stage) -> None:
    space = stage.watched_space("unlabelled")
    config_map(space, "settings", region="eu")
    space.dag("read", reads("read", "{{ vars.settings.region }}"))
    space.dag("root", reads("root", "{{ vars['kube-root-ca.crt']['ca.crt'] }}"))

    def refused(dag: str) -> str:
        run = space.run(dag)
        assert space.wait_finished(run)["phase"] == "Failed"
        entry = space.task(run, dag)
        assert (entry["state"], entry["reason"], entry["try"]) == ("Failed", "InvalidTemplate", 1)
        assert not space.pods_of(run)
        return str(entry["message"])

    def read() -> str:
        run = space.run("read")
        space.wait_succeeded(run)
        return space.log(space.pods_of(run)[0].metadata.name)

    message = refused("read")
    assert message.startswith("script: `vars.settings.region` is undefined: namespace")
    assert f"`kubectl -n {space.name} label configmap settings {LABEL}=true`" in message
    assert "has no ConfigMap 'kube-root-ca.crt'" in refused("root")

    # What the message says helps.
    space.kubectl.run(*message.rpartition("`kubectl ")[2].partition("`")[0].split())
    space.eventually(lambda: "eu" in read_or_nothing(space), "the labelled ConfigMap is readable")
    assert read() == "eu\n"
    change(space, "settings", metadata={"labels": {LABEL: None}})
    space.eventually(lambda: "eu" not in read_or_nothing(space), "without the label it is not")
    assert "namespace" in refused("read")


def read_or_nothing(space: Space) -> str:
    """Return the message of a run of the Dag `read`; empty if it may not read."""
    run = space.run("read")
    space.wait_finished(run)
    return "".join(space.log(pod.metadata.name) for pod in space.pods_of(run))


@side_by_side
def test_a_variable_that_is_created_a_moment_later(stage: Stage) -> None:
    space = stage.watched_space("late-variable")
    space.dag("read", reads("read", "{{ vars.settings.region }}"))
    run = space.run("read")
    space.wait_state(run, "read", "Scheduled")
    config_map(space, "settings", LABELS, region="eu")
    space.wait_succeeded(run)
    assert space.log(space.pods_of(run)[0].metadata.name) == "eu\n"


@side_by_side
def test_a_missing_key_and_too_much_data(stage: Stage) -> None:
    space = stage.watched_space("wrong-vars")
    config_map(space, "settings", LABELS, region="eu")
    config_map(space, "huge", LABELS, x="x" * MAX_BYTES)
    space.dag(
        "wrong",
        reads("typo", "{{ vars.settings.regoin }}"),
        reads("huge", "{{ vars.huge.x }}"),
        reads("fine", "{{ vars.settings.regoin | default('d') }} {{ vars.nowhere.x | default('e') }}"),
    )
    run = space.run("wrong")
    space.wait_finished(run)
    messages = {name: entry.get("message", "") for name, entry in space.tasks(run).items()}
    assert "the ConfigMap 'settings' has no key 'regoin'; did you mean 'region'?" in messages["typo"]
    assert "the data of ConfigMap 'huge' exceeds" in messages["huge"]
    assert space.log(space.pods_of(run, "fine")[0].metadata.name) == "d e\n"


@side_by_side
def test_connections_reach_the_task_and_nothing_else(stage: Stage) -> None:
    space = stage.watched_space("connections")
    secret(space, "warehouse", USER="reader", PASSWORD=PASSWORD)
    secret(space, "my-api.eu", token="t0ken")
    script = 'echo "$WAREHOUSE_USER $MY_API_EU_token"; printf %s "$WAREHOUSE_PASSWORD" | sha256sum'
    space.dag(
        "load",
        task("load", script, connections=["warehouse", "my-api.eu"]),
        task("none", 'echo "[$WAREHOUSE_USER]"', connections=[]),
        taskDefaults={"image": "busybox:1.36", "connections": ["warehouse"]},
    )
    run = space.run("load")
    space.wait_succeeded(run)
    [load], [none] = space.pods_of(run, "load"), space.pods_of(run, "none")
    digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
    assert space.log(load.metadata.name) == f"reader t0ken\n{digest}  -\n"
    assert space.log(none.metadata.name) == "[]\n"
    [container] = load.spec.containers
    assert [(each.prefix, each.secret_ref.name) for each in container.env_from] == [
        ("WAREHOUSE_", "warehouse"),
        ("MY_API_EU_", "my-api.eu"),
    ]
    run_and_pod = json.dumps(space.witness.get(space.name, "dagruns", run)) + str(load)
    for value in (PASSWORD, "t0ken"):
        assert value not in run_and_pod + stage.controllers.tails()


@side_by_side
def test_a_secret_that_does_not_exist(stage: Stage) -> None:
    space = stage.watched_space("no-secret")
    space.dag("load", task("load", "true", connections=["warehouse"], queuedTimeout="12s"))
    history = space.history_of(space.run("load", "load"))
    waiting = [
        entry
        for status in history
        for entry in status.get("tasks", ())
        if entry["state"] == "Queued" and entry.get("reason")
    ]
    assert waiting, history
    for entry in waiting:
        assert entry["reason"] == "CreateContainerConfigError"
        assert 'secret "warehouse" not found' in entry["message"]
    failed = space.task("load", "load")
    assert (failed["state"], failed["reason"]) == ("Failed", "CreateContainerConfigError")
    assert failed["message"] == 'did not start within queuedTimeout (12s): secret "warehouse" not found'
    assert 12 <= (moment(failed["finishedAt"]) - moment(failed["queuedAt"])).total_seconds() < 60


@side_by_side
def test_a_secret_that_is_created_later(stage: Stage) -> None:
    space = stage.watched_space("late-secret")
    space.dag("load", task("load", 'echo "$WAREHOUSE_USER"', connections=["warehouse"], queuedTimeout="2m"))
    run = space.run("load")
    space.eventually(
        lambda: space.task(run, "load").get("reason") == "CreateContainerConfigError", "the kubelet says why"
    )
    secret(space, "warehouse", USER="reader")
    space.wait_succeeded(run)
    entry = space.task(run, "load")
    assert (entry["try"], "reason" in entry, "message" in entry) == (1, False, False)
    assert space.log(space.pods_of(run)[0].metadata.name) == "reader\n"
