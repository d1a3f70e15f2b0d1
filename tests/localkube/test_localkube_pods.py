"""Pods on a real cluster: what the tests of Tradewind rely on really happens."""

import base64
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from localkube import Cluster, certificates, tools
from localkube.ports import free_ports
from tests.localkube.local_clusters import Kubectl, unique_name

pytestmark = pytest.mark.e2e

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def pod(name: str, *command: str, container: Mapping[str, object] | None = None, **spec: object) -> str:
    main = {"name": "main", "image": "busybox", "imagePullPolicy": "IfNotPresent", "command": list(command)}
    body = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [{**main, **(container or {})}]}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": body | spec})


def wait_for(kubectl: Kubectl, name: str, path: str, value: str) -> None:
    kubectl("wait", f"pod/{name}", f"--for=jsonpath={path}={value}", "--timeout=180s")


def restricted_namespace(kubectl: Kubectl) -> str:
    """A namespace in which Pods can be made, if they pass the Pod Security Standard `restricted`; its name."""
    name = unique_name()
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    kubectl("wait", "-n", name, "serviceaccount/default", "--for=create", "--timeout=180s")
    return name


def test_restricted_pod_writes_to_a_claim_and_succeeds(kubectl: Kubectl) -> None:
    strict = restricted_namespace(kubectl)
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    kubectl(
        "apply", "-n", strict, "-f", "-",
        stdin=yaml.safe_dump(
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": claim}
        ),
    )  # fmt: skip
    script = "id -u; grep Seccomp: /proc/self/status; echo kept >/data/file && cat /data/file; touch /no || true"
    kubectl(
        "apply", "-n", strict, "-f", "-",
        stdin=pod(
            "job", "sh", "-c", script,
            container={"securityContext": RESTRICTED, "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
            securityContext={
                "runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
            },
            volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        ),
    )  # fmt: skip
    kubectl("wait", "-n", strict, "pod/job", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=180s")
    logs = kubectl("logs", "-n", strict, "job")
    assert logs.split("\n")[:3] == ["65532", "Seccomp:\t2", "kept"]
    assert "Read-only file system" in logs
    assert kubectl("get", "-n", strict, "pvc", "data", "-o", "jsonpath={.status.phase}") == "Bound"


def test_pod_security_rejects_a_pod_that_is_not_restricted(kubectl: Kubectl) -> None:
    refusing = restricted_namespace(kubectl)
    with pytest.raises(AssertionError, match="violates PodSecurity"):
        kubectl("apply", "-n", refusing, "-f", "-", stdin=pod("loose", "true"))


def test_pods_that_fail_say_why(kubectl: Kubectl) -> None:
    """Memory limit, deadline, missing images: applied together, because each takes seconds."""
    limits = {"resources": {"limits": {"memory": "16Mi"}}}
    pods = [
        pod("hungry", "tail", "/dev/zero", container=limits),
        pod("late", "sleep", "1000", activeDeadlineSeconds=2),
        pod("absent", "true", container={"image": "absent:1", "imagePullPolicy": "Never"}),
        pod("unpullable", "true", container={"image": "absent:1"}),
        pod("failing", "sh", "-c", "echo -n broken >/dev/termination-log; exit 7"),
    ]
    kubectl("apply", "-f", "-", stdin="---\n".join(pods))
    state = "{.status.containerStatuses[0].state}"
    wait_for(kubectl, "hungry", "{.status.containerStatuses[0].state.terminated.reason}", "OOMKilled")
    wait_for(kubectl, "late", "{.status.reason}", "DeadlineExceeded")
    wait_for(kubectl, "absent", "{.status.containerStatuses[0].state.waiting.reason}", "ErrImageNeverPull")
    wait_for(kubectl, "unpullable", "{.status.containerStatuses[0].state.waiting.reason}", "ImagePullBackOff")
    wait_for(kubectl, "failing", "{.status.phase}", "Failed")
    ended = json.loads(kubectl("get", "pod", "failing", "-o", f"jsonpath={state}"))["terminated"]
    assert (ended["exitCode"], ended["message"]) == (7, "broken")
    assert "MissingClusterDNS" not in kubectl("get", "events")


def test_exec_port_forward_services_and_deletion_with_grace(cluster: Cluster, kubectl: Kubectl) -> None:
    serve = "mkdir /tmp/web; echo hello >/tmp/web/index.html; exec httpd -f -p 8080 -h /tmp/web"
    kubectl("apply", "-f", "-", stdin=pod("web", "sh", "-c", serve))
    kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=180s")
    assert kubectl("exec", "web", "--", "cat", "/tmp/web/index.html") == "hello"
    assert "hello" in port_forwarded(cluster, "pod/web", 8080)

    kubectl("label", "pod", "web", "app=web")
    kubectl("expose", "pod", "web", "--port=80", "--target-port=8080")
    address = kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    assert "hello" in eventually(lambda: kubectl("exec", "web", "--", "wget", "-qO-", f"http://{address}/"))
    assert "hello" in eventually(lambda: fetch(f"http://{address}/")), "a Service is reachable from the machine too"

    begun = time.monotonic()
    kubectl("delete", "pod", "web", "--grace-period=1", "--timeout=120s")
    assert time.monotonic() - begun < 25, "the default of 30 s was not waited for"


def test_python_image_service_account_and_admission_webhook(cluster: Cluster, kubectl: Kubectl, tmp_path: Path) -> None:
    """A Pod asks the API server with its token; the API server asks a Pod whether it may create an object."""
    cluster.ensure_python_image()
    pair = certificates.Authority(tmp_path).server("hook", [], ["hook.default.svc"])
    (tmp_path / "hook.py").write_text(WEBHOOK)
    files = [f"--from-file={tmp_path / name}" for name in ("hook.py", pair.certificate.name, pair.key.name)]
    kubectl("create", "secret", "generic", "hook", *files)
    run = {
        "image": "python:3.11-slim",
        "volumeMounts": [{"name": "hook", "mountPath": "/hook"}],
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
    }
    volumes = [{"name": "hook", "secret": {"secretName": "hook"}}]
    kubectl("apply", "-f", "-", stdin=pod("hook", "python", "/hook/hook.py", container=run, volumes=volumes))
    kubectl("wait", "pod/hook", "--for=condition=Ready", "--timeout=180s")
    assert "APIVersions" in kubectl("logs", "hook")

    kubectl("label", "pod", "hook", "app=hook")
    kubectl("expose", "pod", "hook", "--port=443", "--target-port=8443")
    kubectl("apply", "-f", "-", stdin=webhook_configuration(cluster, tmp_path / "ca.crt"))

    def refused() -> str:
        with pytest.raises(AssertionError, match="no config maps today"):
            kubectl("create", "configmap", f"refused-{time.monotonic_ns()}")
        return "refused"

    eventually(refused)


WEBHOOK = """
import http.server, json, ssl, sys, urllib.request
token = open("/var/run/secrets/kubernetes.io/serviceaccount/token").read()
trust = ssl.create_default_context(cafile="/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
import os
ask = urllib.request.Request(f"https://{os.environ['KUBERNETES_SERVICE_HOST']}/api",
                             headers={"Authorization": f"Bearer {token}"})
print(json.load(urllib.request.urlopen(ask, context=trust, timeout=10)), flush=True)

class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = {"uid": review["request"]["uid"], "allowed": False, "status": {"message": "no config maps today"}}
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

server = http.server.HTTPServer(("0.0.0.0", 8443), Hook)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain("/hook/hook.crt", "/hook/hook.key")
server.socket = tls.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def webhook_configuration(cluster: Cluster, authority: Path) -> str:
    bundle = base64.b64encode(authority.read_bytes()).decode()
    hook = {
        "name": "hook.localkube.test",
        "clientConfig": {"caBundle": bundle, "service": {"name": "hook", "namespace": "default", "path": "/"}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 5,
    }
    return yaml.safe_dump(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "hook"},
            "webhooks": [hook],
        }
    )


def port_forwarded(cluster: Cluster, target: str, port: int) -> str:
    """Return the answer of a Pod's web server through `kubectl port-forward`."""
    [local] = free_ports(1)
    kubectl = [str(tools.ensure("kubectl")), f"--kubeconfig={cluster.kubeconfig}"]
    command = [*kubectl, "port-forward", target, f"{local}:{port}"]
    forward = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        return eventually(lambda: fetch(f"http://127.0.0.1:{local}/"))
    finally:
        forward.terminate()
        forward.wait(10)


def fetch(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5) as answer:
        return str(answer.read().decode())


def eventually(attempt: Callable[[], str], limit: float = 120.0) -> str:
    """The first result that is not an error; the last error after `limit` seconds."""
    end = time.monotonic() + limit
    while True:
        try:
            return attempt()
        except (AssertionError, OSError, pytest.fail.Exception):
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
