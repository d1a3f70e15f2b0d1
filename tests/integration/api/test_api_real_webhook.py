"""The chart's webhook configuration on a real API server: what is sent to the webhook, and what gets past it.

The webhook's server and what it decides are the controller's own; only where it listens is not as in a cluster.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import yaml

from localkube import tools
from tests.cluster import REPOSITORY, Kubectl, Manifest, Witness, eventually
from tradewind.controller.webhook.admission import Admission
from tradewind.controller.webhook.certificates import make_bundle
from tradewind.controller.webhook.reviews import ReviewServer
from tradewind.controller.webhook.tls import ServedCertificate
from tradewind.kube.client import KubeClient

PORT = 19_553
LARGE = [{"name": f"t{i}", "image": "busybox", "script": "x" * 97_000} for i in range(9)]
NOTE = "y" * 240_000
"""With these a review has more than 2 MiB."""


def rendered(policy: str) -> Manifest:
    """The webhook configuration as the chart has it."""
    program = shutil.which("helm") or str(tools.ensure("helm"))
    words = [program, "template", "tradewind", str(REPOSITORY / "helm" / "tradewind"), "--namespace=tradewind-system"]
    settings = ["--set=image.repository=x", f"--set=webhook.failurePolicy={policy}"]
    text = subprocess.run([*words, *settings], capture_output=True, text=True, check=True).stdout
    [found] = [each for each in yaml.safe_load_all(text) if each and each["kind"] == "ValidatingWebhookConfiguration"]
    return dict(found)


class Webhook:
    """The webhook's server, in a thread; it may be stopped and started."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self.bundle = make_bundle(["localhost"], datetime.now(UTC))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()

    def start(self) -> None:
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)

    async def _start(self) -> None:
        client = KubeClient.from_environment(self._kubeconfig)
        self._stack.push_async_callback(client.close)
        shown = ServedCertificate()
        shown.show(self.bundle.certificate, self.bundle.key)
        await ReviewServer(Admission(None, client).handlers).serve(PORT, shown.context, self._stack)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stack.aclose(), self._loop).result(30)

    def end(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


@dataclass
class Place:
    """A namespace with a user who may write Dags and runs there, and create no Pods."""

    kubectl: Kubectl
    namespace: str
    user: str

    def attempt(self, verb: str, *words: str, stdin: str = "", user: str | None = None) -> str:
        """Return the API server's rejection; empty if it accepts."""
        who = user or self.user
        done = self.kubectl.attempt(verb, *words, *([f"--as={who}"] if who != "admin" else []), stdin=stdin)
        return done.stderr if done.returncode else ""

    def put(self, verb: str, manifest: Manifest, *options: str, user: str | None = None) -> str:
        return self.attempt(verb, *options, "-f", "-", stdin=yaml.safe_dump(manifest), user=user)


@pytest.fixture(scope="module", params=["Ignore", "Fail"])
def webhook(request: pytest.FixtureRequest, kubeconfig: Path, resources: Witness) -> Iterator[Webhook]:
    webhook = Webhook(kubeconfig)
    webhook.start()
    configuration = rendered(request.param)
    for each in configuration["webhooks"]:
        authority = base64.b64encode(webhook.bundle.ca).decode()
        each["clientConfig"] = {"url": f"https://localhost:{PORT}/validate", "caBundle": authority}
        each["timeoutSeconds"] = 10
    name = configuration["metadata"]["name"]
    resources.admission.create_validating_webhook_configuration(configuration)
    kubectl = Kubectl(kubeconfig)
    bad = dag("probe", tasks=[{"name": "a", "noop": True, "dependsOn": ["b"]}])
    eventually(
        lambda: kubectl.attempt("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(bad)).returncode,
        "the webhook is asked",
        30,
    )
    yield webhook
    resources.admission.delete_validating_webhook_configuration(name)
    webhook.end()


@pytest.fixture
def place(webhook: Webhook, kubeconfig: Path, resources: Witness) -> Iterator[Place]:
    name = f"hook-{secrets.token_hex(4)}"
    resources.core.create_namespace({"metadata": {"name": name}})
    kinds = ["dags", "dagruns", "pools", "backfills", "dags/status", "dagruns/status"]
    rule = {"apiGroups": ["tradewind.dev"], "resources": kinds, "verbs": ["*"]}
    resources.rbac.create_namespaced_role(name, {"metadata": {"name": "writer"}, "rules": [rule]})
    subject = {"kind": "User", "name": "eve", "apiGroup": "rbac.authorization.k8s.io"}
    role = {"kind": "Role", "name": "writer", "apiGroup": "rbac.authorization.k8s.io"}
    binding = {"metadata": {"name": "writer"}, "roleRef": role, "subjects": [subject]}
    resources.rbac.create_namespaced_role_binding(name, binding)
    kubectl = Kubectl(kubeconfig, name)
    eventually(lambda: kubectl.attempt("get", "dags", "--as=eve").returncode == 0, "the role counts", 30)
    yield Place(kubectl, name, "eve")
    for plural in ("dags", "dagruns"):
        for found in resources.list(name, plural):
            patch = {"metadata": {"finalizers": None}}
            resources.patch(name, plural, found["metadata"]["name"], patch)
    resources.core.delete_namespace(name)


def dag(name: str, **spec: Any) -> Manifest:
    body = {"tasks": [{"name": "load", "image": "busybox"}], **spec}
    return {"apiVersion": "tradewind.dev/v1alpha1", "kind": "Dag", "metadata": {"name": name}, "spec": body}


def run(name: str, **spec: Any) -> Manifest:
    body = {"dag": "sales", **spec}
    return {"apiVersion": "tradewind.dev/v1alpha1", "kind": "DagRun", "metadata": {"name": name}, "spec": body}


def large(manifest: Manifest, note: str = NOTE) -> Manifest:
    """Close to what a spec may have, with annotations besides."""
    metadata = {**manifest["metadata"], "annotations": {"note": note}}
    return {**manifest, "metadata": metadata, "spec": {**manifest["spec"], "tasks": LARGE}}


NO_PODS = "may not create Pods"


@pytest.mark.parametrize("verb", ["create", "apply", "replace"])
def test_a_dag_as_large_as_can_be(place: Place, verb: str) -> None:
    server_side = ["--server-side"] if verb == "apply" else []
    if verb != "replace":
        assert NO_PODS in place.put(verb, large(dag("sales")), *server_side)
        assert place.put(verb, large(dag("sales")), *server_side, user="admin") == ""
    else:
        assert place.put("create", large(dag("sales")), user="admin") == ""
    changed = large(dag("sales", docs="z"))
    assert NO_PODS in place.put("replace", changed)
    assert NO_PODS in place.put("apply", changed, "--server-side", "--force-conflicts")
    assert place.put("replace", changed, user="admin") == ""


def test_the_finalizer_of_a_dag_that_is_being_deleted(place: Place, resources: Witness) -> None:
    assert place.put("create", dag("sales"), user="admin") == ""
    held = '{"metadata": {"finalizers": ["example.com/mine"]}}'
    assert place.attempt("patch", "dag", "sales", "--type=merge", "-p", held) == ""
    assert place.attempt("delete", "dag", "sales", "--wait=false") == ""
    evil = '{"spec": {"tasks": [{"name": "load", "image": "evil"}]}}'
    assert NO_PODS in place.attempt("patch", "dag", "sales", "--type=merge", "-p", evil)
    assert NO_PODS in place.put("apply", dag("sales", docs="x"), "--server-side", "--force-conflicts")
    assert "is not upstream" in place.attempt(
        "patch",
        "dag",
        "sales",
        "--type=merge",
        "-p",
        '{"spec": {"tasks": [{"name": "a", "image": "x", "args": ["{{ tasks.b.output }}"]}, '
        '{"name": "b", "image": "x"}]}}',
        user="admin",
    )
    assert place.attempt("patch", "dag", "sales", "--type=merge", "-p", '{"metadata": {"labels": {"a": "b"}}}') == ""
    assert resources.get(place.namespace, "dags", "sales")["spec"]["tasks"][0]["image"] == "busybox"
    assert place.attempt("patch", "dag", "sales", "--type=merge", "-p", '{"metadata": {"finalizers": null}}') == ""


def test_status_is_no_way_around(place: Place, resources: Witness) -> None:
    assert place.put("create", dag("sales"), user="admin") == ""
    evil = '{"spec": {"tasks": [{"name": "load", "image": "evil"}]}, "status": {"lastRun": "x"}}'
    assert place.attempt("patch", "dag", "sales", "--subresource=status", "--type=merge", "-p", evil) == ""
    assert resources.get(place.namespace, "dags", "sales")["spec"]["tasks"][0]["image"] == "busybox"


def test_who_asks_of_a_run_with_a_large_status(place: Place, resources: Witness) -> None:
    assert place.put("create", dag("sales"), user="admin") == ""
    assert place.put("create", run("one")) == ""
    tasks = [{"name": f"t{i}", "state": "Failed", "message": "m" * 1000} for i in range(1100)]
    status = {"status": {"phase": "Running", "tasks": tasks}}
    api = kubernetes.client.CustomObjectsApi(kubernetes.config.new_client_from_config(str(place.kubectl.kubeconfig)))
    api.patch_namespaced_custom_object_status("tradewind.dev", "v1alpha1", place.namespace, "dagruns", "one", status)
    forged = '{"spec": {"request": {"id": "1", "type": "Stop", "requestedBy": "alice"}}}'
    assert "must be the requesting user, 'eve'" in place.attempt("patch", "dagrun", "one", "--type=merge", "-p", forged)
    assert place.attempt("patch", "dagrun", "one", "--type=merge", "-p", forged.replace("alice", "eve")) == ""


def test_a_run_that_is_being_deleted_is_asked_truly(place: Place) -> None:
    assert place.put("create", run("one")) == ""
    held = '{"metadata": {"finalizers": ["example.com/mine"]}}'
    assert place.attempt("patch", "dagrun", "one", "--type=merge", "-p", held) == ""
    assert place.attempt("delete", "dagrun", "one", "--wait=false") == ""
    forged = '{"spec": {"request": {"id": "1", "type": "Stop", "requestedBy": "alice"}}}'
    assert "must be the requesting user" in place.attempt("patch", "dagrun", "one", "--type=merge", "-p", forged)


def test_what_gets_through_while_no_one_answers(place: Place, webhook: Webhook, request: pytest.FixtureRequest) -> None:
    assert place.put("create", dag("held"), user="admin") == ""
    held = '{"metadata": {"finalizers": ["example.com/mine"]}}'
    assert place.attempt("patch", "dag", "held", "--type=merge", "-p", held) == ""
    assert place.attempt("delete", "dag", "held", "--wait=false") == ""
    webhook.stop()
    try:
        answer = place.put("create", dag("sales"))
        assert ("failed calling webhook" in answer) if "Fail" in request.node.name else answer == ""
        # With both: what only takes a finalizer off.
        assert place.attempt("patch", "dag", "held", "--type=merge", "-p", '{"metadata": {"finalizers": null}}') == ""
    finally:
        webhook.start()
