"""Pods of tasks in a namespace that enforces the Pod Security Standard `restricted`, as all of these tests' do."""

from typing import Any

from tests.e2e.spaces import RESTRICTED, Space, task
from tests.e2e.stage import Stage, side_by_side

NO_TOKEN = "test ! -e /var/run/secrets/kubernetes.io && test $(id -u) -ne 0"
BEYOND: dict[str, dict[str, Any]] = {
    "privileged": {
        "containers": [{"name": "task", "securityContext": {"privileged": True, "allowPrivilegeEscalation": True}}]
    },
    "root": {"securityContext": {"runAsNonRoot": False, "runAsUser": 0}},
    "host-path": {"volumes": [{"name": "node", "hostPath": {"path": "/"}}]},
    "host-network": {"hostNetwork": True},
    "capability": {
        "containers": [{"name": "task", "securityContext": {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}}]
    },
    "sidecar": {"containers": [{"name": "beside", "image": "busybox:1.36"}]},
}


@side_by_side
def test_tasks_of_every_kind_are_restricted_and_have_no_token(stage: Stage) -> None:
    space = stage.watched_space("restricted")
    labels = space.witness.core.read_namespace(space.name).metadata.labels
    assert RESTRICTED.items() <= labels.items()
    space.dag(
        "all",
        task("plain", NO_TOKEN),
        task("mapped", NO_TOKEN, forEach={"items": [1, 2]}),
        task("sensor", NO_TOKEN, sensor={"mode": "Reschedule", "interval": "1s"}),
        task("own", NO_TOKEN, podTemplate={"spec": {"serviceAccountName": "default"}}),
        task(
            "merged",
            NO_TOKEN,
            podTemplate={
                "spec": {
                    "volumes": [{"name": "scratch", "emptyDir": {}}],
                    "containers": [{"name": "task", "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}],
                }
            },
        ),
    )
    run = space.run("all")
    space.wait_succeeded(run)
    pods = space.pods_of(run)
    assert len(pods) == 6
    for pod in pods:
        assert pod.spec.automount_service_account_token is False
        assert pod.spec.security_context.run_as_non_root is True
        assert pod.spec.containers[0].security_context.capabilities.drop == ["ALL"]


def attempt(space: Space, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """The task of a Dag with such a Pod, once its run has finished."""
    space.dag(name, task("t", "true", retries={"limit": 0}), podTemplate={"spec": spec})
    run = space.run(name)
    space.eventually(lambda: space.status(run).get("phase") == "Failed", f"{name} is refused")
    return space.task(run, "t")


@side_by_side
def test_kubernetes_rejects_pods_that_violate_it(stage: Stage) -> None:
    """The controller creates it like any Pod: it gets nothing that the namespace does not allow."""
    space = stage.watched_space("beyond")
    for name, spec in BEYOND.items():
        message = attempt(space, name, spec)["message"]
        assert "violates PodSecurity" in message, f"{name}: {message}"
    assert not space.pods()


@side_by_side
def test_secrets_of_other_namespaces_cannot_be_had(stage: Stage) -> None:
    theirs, ours = stage.space("theirs"), stage.watched_space("ours")
    secret: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "warehouse"}}
    theirs.kubectl.apply({**secret, "stringData": {"PASSWORD": "hidden"}})
    ours.dag("peek", task("t", "env", connections=["warehouse"], queuedTimeout="5s", retries={"limit": 0}))
    run = ours.run("peek")
    ours.eventually(lambda: ours.status(run).get("phase") == "Failed", "it does not start")
    assert 'secret "warehouse" not found' in ours.task(run, "t")["message"]
