"""The chart's life in a real API server: install, upgrade, uninstall, install again.

The nodes are fake (KWOK), so no image is needed: the controller's Pods get ready and the uninstall hook's
Job succeeds without doing anything. What is tested is what helm, the API server and its controllers make of
the chart.
"""

import base64
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from localkube import Cluster
from tests.chart.helm_chart import CHART, NAMESPACE, RELEASE

pytestmark = pytest.mark.integration

CONFIGURATION = f"tradewind.{NAMESPACE}"
CA = base64.b64encode(b"-----BEGIN CERTIFICATE-----\n").decode()
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Operator:
    """A person with helm and a kubeconfig."""

    helm_program: Path
    kubeconfig: Path

    def helm(self, *arguments: str) -> str:
        """Run helm; what it prints on stdout."""
        done = subprocess.run(
            [self.helm_program, *arguments],
            check=True,
            timeout=180,
            env=os.environ | {"KUBECONFIG": str(self.kubeconfig)},
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout

    def install(self, *arguments: str) -> None:
        self.helm("install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--wait", *arguments)

    def upgrade(self, *arguments: str) -> None:
        self.helm("upgrade", RELEASE, str(CHART), f"--namespace={NAMESPACE}", *arguments)

    def uninstall(self) -> None:
        self.helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--wait")


@pytest.fixture(scope="module")
def operator(helm_program: Path) -> Iterator[Operator]:
    """A cluster with a namespace that enforces the Pod Security Standard `restricted`."""
    with Cluster("chart-test", profile="kwok") as cluster:
        config.load_kube_config(str(cluster.kubeconfig))  # type: ignore[no-untyped-call]
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        api(client.CoreV1Api).create_namespace({"metadata": {"name": NAMESPACE, "labels": labels}})
        yield Operator(helm_program, cluster.kubeconfig)


@pytest.fixture
def installed(operator: Operator) -> Iterator[Operator]:
    """The chart, installed with its defaults for one test."""
    operator.install()
    yield operator
    operator.uninstall()


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until it holds; fails after PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.2)


def api(kind: type) -> Any:
    """The official client's API of one group, which takes plain mappings for objects."""
    return kind()


def webhook() -> Any:
    [found] = api(client.AdmissionregistrationV1Api).read_validating_webhook_configuration(CONFIGURATION).webhooks
    return found


def remains() -> list[str]:
    """Kind and name of all that the release, or its hook, has in the cluster, but for the CRDs."""
    rbac, core = api(client.RbacAuthorizationV1Api), api(client.CoreV1Api)
    lists = [
        rbac.list_cluster_role(),
        rbac.list_cluster_role_binding(),
        rbac.list_role_for_all_namespaces(),
        rbac.list_role_binding_for_all_namespaces(),
        core.list_service_account_for_all_namespaces(),
        core.list_secret_for_all_namespaces(),
        core.list_service_for_all_namespaces(),
        core.list_pod_for_all_namespaces(),
        api(client.AppsV1Api).list_deployment_for_all_namespaces(),
        api(client.BatchV1Api).list_job_for_all_namespaces(),
        api(client.NetworkingV1Api).list_network_policy_for_all_namespaces(),
        api(client.PolicyV1Api).list_pod_disruption_budget_for_all_namespaces(),
        api(client.AdmissionregistrationV1Api).list_validating_webhook_configuration(),
    ]
    return [
        f"{found.kind} {item.metadata.name}"
        for found in lists
        for item in found.items
        if "tradewind" in item.metadata.name
    ]


def may(user: str, verb: str, resource: str, subresource: str = "") -> bool:
    """Whether the API server lets a user do something in namespace default."""
    attributes = {
        "namespace": "default",
        "group": "tradewind.dev",
        "verb": verb,
        "resource": resource,
        "subresource": subresource,
    }
    review = {"spec": {"user": user, "resourceAttributes": attributes}}
    answer = api(client.AuthorizationV1Api).create_subject_access_review(review)
    return bool(answer.status.allowed)


@pytest.mark.parametrize("apply", ["--server-side=true", "--server-side=false"])
def test_an_upgrade_keeps_writes_of_the_controller(installed: Operator, apply: str) -> None:
    api(client.AdmissionregistrationV1Api).patch_validating_webhook_configuration(
        CONFIGURATION,
        [{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": CA}],
        field_manager="tradewind",
    )
    core = api(client.CoreV1Api)
    secret = {"data": {"ca.crt": CA, "tls.crt": CA, "tls.key": CA}}
    core.patch_namespaced_secret("tradewind-webhook-tls", NAMESPACE, secret, field_manager="tradewind")

    installed.upgrade("--set=webhook.timeoutSeconds=7", apply)

    assert webhook().timeout_seconds == 7
    assert webhook().client_config.ca_bundle == CA
    assert core.read_namespaced_secret("tradewind-webhook-tls", NAMESPACE).data == secret["data"]


def test_an_upgrade_changes_the_crds(installed: Operator) -> None:
    def annotations() -> dict[str, str]:
        crd = api(client.ApiextensionsV1Api).read_custom_resource_definition("dags.tradewind.dev")
        return dict(crd.metadata.annotations)

    assert "marked" not in annotations()
    installed.upgrade("--set=crds.annotations.marked=yes")
    assert annotations()["marked"] == "yes"


def test_the_clusters_roles_get_rights_on_dags(installed: Operator) -> None:
    rbac = api(client.RbacAuthorizationV1Api)
    for role in ("view", "edit", "admin"):
        binding = {
            "metadata": {"name": f"a-{role}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"a-{role}"}],
        }
        rbac.create_namespaced_role_binding("default", binding)
    eventually(lambda: may("a-admin", "create", "pools") and may("a-view", "get", "dags"))
    allowed = {
        role: {
            f"{verb} {resource}"
            for verb in ("get", "patch")
            for resource in ("dags", "dagruns", "pools", "backfills")
            if may(f"a-{role}", verb, resource)
        }
        for role in ("view", "edit", "admin")
    }
    read = {"get dags", "get dagruns", "get pools", "get backfills"}
    assert allowed["view"] == read
    edit = read | {"patch dags", "patch dagruns", "patch backfills"}
    assert allowed["edit"] == edit
    assert allowed["admin"] == edit | {"patch pools"}
    for role in ("view", "edit", "admin"):
        assert may(f"a-{role}", "get", "dags", "status")
        assert not may(f"a-{role}", "patch", "dags", "status")


def test_uninstall_leaves_the_dags_and_nothing_else(operator: Operator) -> None:
    operator.install()
    assert remains()
    dags = api(client.CustomObjectsApi)
    dag = {
        "apiVersion": "tradewind.dev/v1alpha1",
        "kind": "Dag",
        "metadata": {"name": "hello"},
        "spec": {"tasks": [{"name": "greet", "image": "busybox:1.36"}]},
    }
    dags.create_namespaced_custom_object("tradewind.dev", "v1alpha1", "default", "dags", dag)

    operator.uninstall()

    eventually(lambda: not remains())
    assert dags.get_namespaced_custom_object("tradewind.dev", "v1alpha1", "default", "dags", "hello")


def test_a_second_release_for_the_same_namespaces_is_warned_of(installed: Operator) -> None:
    alone = installed.helm("upgrade", RELEASE, str(CHART), f"--namespace={NAMESPACE}")
    assert "is installed as release" in alone
    assert "WARNING" not in alone
    second = ["second", str(CHART), "--namespace=second", "--create-namespace", "--set=crds.install=false"]
    try:
        output = installed.helm("install", *second)
        assert f"WARNING: release {RELEASE} in namespace {NAMESPACE} runs Dags of the same namespaces." in output
    finally:
        installed.helm("uninstall", "second", "--namespace=second", "--no-hooks")


def test_another_release_takes_over_the_crds(installed: Operator) -> None:
    installed.uninstall()
    arguments = ["blue", str(CHART), "--namespace=default"]
    with pytest.raises(subprocess.CalledProcessError):
        installed.helm("install", *arguments)
    installed.helm("install", *arguments, "--take-ownership")
    installed.helm("uninstall", "blue", "--namespace=default", "--wait")
    installed.install("--take-ownership")
