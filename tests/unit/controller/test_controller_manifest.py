"""The Pod of a try: restricted, without a token, and not to be bent by templates where it matters."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tradewind.api import names
from tradewind.api.dag import DagSpec
from tradewind.api.resolve import resolve
from tradewind.api.shards import bucket_of
from tradewind.controller.pods.manifest import pod_manifest
from tradewind.engine.rules.rendering import RenderedTask
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.tries import TryKey

pytestmark = pytest.mark.unit

DATE = datetime(2026, 3, 1, 6, tzinfo=UTC)
INFO = RunInfo("analytics", "sales-1", "uid-1", "sales", "Manual", DATE, DATE, DATE, revision="sales-0123456789")


def manifest(
    task: dict[str, Any] | None = None,
    *,
    rendered: RenderedTask | None = None,
    number: int = 1,
    **spec: Any,
) -> dict[str, Any]:
    own = {"name": "extract", "image": "python:3.12", **(task or {})}
    dag = resolve(DagSpec.model_validate({"tasks": [own], **spec}))
    return pod_manifest(
        INFO, dag, dag.tasks[0], TryKey(dag.tasks[0].name, None, number), rendered or RenderedTask(None, [], [])
    )


def container(pod: dict[str, Any]) -> dict[str, Any]:
    return next(found for found in pod["spec"]["containers"] if found["name"] == "task")


def test_it_passes_the_restricted_pod_security_standard() -> None:
    pod = manifest()
    spec = pod["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(pod)["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & spec.keys()


def test_it_gets_no_token_runs_once_and_leaves_its_last_words() -> None:
    pod = manifest()
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["restartPolicy"] == "Never"
    assert container(pod)["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert container(pod)["terminationMessagePath"] == "/dev/termination-log"
    assert [found["name"] for found in pod["spec"]["containers"]] == ["task"]
    assert "initContainers" not in pod["spec"]


def test_its_name_labels_and_owner_say_what_it_is() -> None:
    metadata = manifest(number=3)["metadata"]
    assert metadata["name"] == names.pod_name("sales-1", "uid-1", "extract", None, 3)
    assert metadata["namespace"] == "analytics"
    assert metadata["labels"] == {
        "tradewind.dev/dag": "sales",
        "tradewind.dev/run": "sales-1",
        "tradewind.dev/task": "extract",
        "tradewind.dev/try": "3",
        "tradewind.dev/bucket": str(bucket_of("analytics")),
        "app.kubernetes.io/managed-by": "tradewind",
    }
    assert metadata["annotations"]["tradewind.dev/revision"] == "sales-0123456789"
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "tradewind.dev/v1alpha1",
            "kind": "DagRun",
            "name": "sales-1",
            "uid": "uid-1",
            "controller": True,
        }
    ]


def test_templates_cannot_change_what_identifies_a_try() -> None:
    evil = {
        "metadata": {"name": "mine", "namespace": "kube-system", "labels": {"tradewind.dev/task": "x", "team": "a"}},
        "spec": {"restartPolicy": "Always"},
    }
    expected, pod = manifest(), manifest({"podTemplate": evil}, podTemplate=evil)
    assert pod["metadata"]["labels"] == {**expected["metadata"]["labels"], "team": "a"}
    for field in ("name", "namespace", "ownerReferences"):
        assert pod["metadata"][field] == expected["metadata"][field]
    assert pod["spec"]["restartPolicy"] == "Never"


def test_the_template_of_the_task_goes_over_that_of_the_dag() -> None:
    pod = manifest(
        {"podTemplate": {"spec": {"nodeSelector": {"disk": "nvme"}}}},
        podTemplate={"spec": {"nodeSelector": {"disk": "ssd", "zone": "b"}, "serviceAccountName": "etl"}},
    )
    assert pod["spec"]["nodeSelector"] == {"disk": "nvme", "zone": "b"}
    assert pod["spec"]["serviceAccountName"] == "etl"


def test_templates_reach_the_tasks_container_by_its_name() -> None:
    mount = {"name": "data", "mountPath": "/data"}
    template = {"spec": {"containers": [{"name": "task", "imagePullPolicy": "Always", "volumeMounts": [mount]}]}}
    found = container(manifest({"podTemplate": template}))
    assert (found["image"], found["imagePullPolicy"], found["volumeMounts"]) == ("python:3.12", "Always", [mount])


def test_when_an_image_is_pulled_is_up_to_kubernetes() -> None:
    assert "imagePullPolicy" not in container(manifest())


DATA = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}


@pytest.mark.parametrize(
    ("template", "group"),
    [
        ({}, {}),
        (DATA, {"fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch"}),
        ({**DATA, "securityContext": {"fsGroup": 100}}, {"fsGroup": 100, "fsGroupChangePolicy": "OnRootMismatch"}),
        ({**DATA, "securityContext": {"fsGroup": None}}, {}),
        (
            {**DATA, "securityContext": {"fsGroupChangePolicy": "Always"}},
            {"fsGroup": 65532, "fsGroupChangePolicy": "Always"},
        ),
        ({"securityContext": {"fsGroup": 100}}, {"fsGroup": 100, "fsGroupChangePolicy": "OnRootMismatch"}),
        ({"securityContext": None}, {}),
    ],
)
def test_volumes_belong_to_the_group_of_the_task_and_are_gone_through_once(
    template: dict[str, Any], group: dict[str, Any]
) -> None:
    security = manifest(podTemplate={"spec": template})["spec"].get("securityContext") or {}
    assert {field: value for field, value in security.items() if field.startswith("fsGroup")} == group


@pytest.mark.parametrize(
    ("text", "literal"),
    [("$(HOME)", "$$(HOME)"), ("$HOME", "$$HOME"), ("$$", "$$$$"), ("cost: 5$", "cost: 5$$"), ("plain", "plain")],
)
def test_dollars_are_passed_on_as_they_are(text: str, literal: str) -> None:
    """The kubelet replaces $(NAME) and makes one dollar of two."""
    secret = {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "$(k)"}}}
    rendered = RenderedTask([text], [text], [{"name": "X", "value": text}, secret])
    found = container(manifest(rendered=rendered))
    assert (found["command"], found["args"]) == ([literal], [literal])
    assert found["env"][-2:] == [{"name": "X", "value": literal}, secret]


def test_an_image_keeps_its_own_entrypoint() -> None:
    assert "command" not in container(manifest(rendered=RenderedTask(None, ["x"], [])))


def test_the_facts_are_in_its_environment() -> None:
    env = {variable["name"]: variable["value"] for variable in container(manifest(number=2))["env"]}
    assert env["TRADEWIND_TASK"] == "extract"
    assert env["TRADEWIND_TRY"] == "2"
    assert env["TRADEWIND_OUTPUT"] == "/dev/termination-log"


def test_what_the_task_says_about_its_container() -> None:
    resources = {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}}
    env_from = [{"secretRef": {"name": "warehouse"}}]
    found = container(manifest({"resources": resources, "envFrom": env_from, "workingDir": "/work"}))
    assert (found["resources"], found["envFrom"], found["workingDir"]) == (resources, env_from, "/work")


def test_the_finalizer_comes_with_result_protection() -> None:
    assert "finalizers" not in manifest()["metadata"]
    assert manifest(resultProtection="Finalizer")["metadata"]["finalizers"] == ["tradewind.dev/result"]


def test_a_deadline_far_beyond_the_limits_ends_a_pod_whose_controller_is_dead() -> None:
    assert "activeDeadlineSeconds" not in manifest()["spec"]
    assert manifest({"timeout": "90s", "queuedTimeout": "2m"})["spec"]["activeDeadlineSeconds"] == 90 + 120 + 60
    assert manifest({"timeout": "1500ms"})["spec"]["activeDeadlineSeconds"] == 2 + 600 + 60


def secret(name: str, prefix: str) -> dict[str, Any]:
    return {"prefix": prefix, "secretRef": {"name": name}}


def test_connections_are_secrets_in_the_environment() -> None:
    own = {"connections": ["warehouse", "my-api.eu", "2nd"], "envFrom": [{"configMapRef": {"name": "settings"}}]}
    assert container(manifest(own))["envFrom"] == [
        secret("warehouse", "WAREHOUSE_"),
        secret("my-api.eu", "MY_API_EU_"),
        secret("2nd", "_2ND_"),
        {"configMapRef": {"name": "settings"}},
    ]


def test_connections_of_task_defaults_and_none() -> None:
    assert container(manifest(taskDefaults={"connections": ["a"]}))["envFrom"] == [secret("a", "A_")]
    assert "envFrom" not in container(manifest({"connections": []}, taskDefaults={"connections": ["a"]}))


def test_a_pod_template_does_not_take_connections_away() -> None:
    from_template = {"secretRef": {"name": "other"}}
    template: dict[str, Any] = {
        "spec": {"containers": [{"name": "task", "envFrom": [from_template]}, {"name": "beside", "image": "x"}]}
    }
    pod = manifest({"connections": ["a"]}, podTemplate=template)
    assert container(pod)["envFrom"] == [secret("a", "A_"), from_template]
    assert "envFrom" not in pod["spec"]["containers"][1]
    assert template["spec"]["containers"][0]["envFrom"] == [from_template]


def test_init_containers_say_why_they_failed_and_no_one_but_the_controller_ends_a_pod() -> None:
    other = {"name": "polite", "image": "busybox", "terminationMessagePolicy": "File"}
    containers = [{"name": "fetch", "image": "busybox"}, other]
    template = {"metadata": {"annotations": {"tradewind.dev/ended": "Sidecars", "x.io/a": "b"}}}
    made = manifest({"podTemplate": {**template, "spec": {"initContainers": containers}}})
    policies = [each["terminationMessagePolicy"] for each in made["spec"]["initContainers"]]
    assert policies == ["FallbackToLogsOnError", "File"]
    assert made["metadata"]["annotations"]["x.io/a"] == "b"
    assert "tradewind.dev/ended" not in made["metadata"]["annotations"]
    assert "terminationMessagePolicy" not in containers[0], "the Dag is not changed"
    assert manifest({"podTemplate": {"metadata": {"annotations": None}, "spec": {"initContainers": None}}})
