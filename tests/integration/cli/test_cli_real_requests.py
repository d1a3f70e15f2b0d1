"""The requests of `tradewind rerun`, `mark`, `stop` and `pause` to a real API server, and their rights."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import Manifest, Witness, eventually
from tradewind.cli.cluster.client import Cluster
from tradewind.cli.cluster.requests import send_request
from tradewind.cli.errors import CliError

DAG: Manifest = {"tasks": [{"name": "load", "image": "busybox:1.36"}]}
ENDED: Manifest = {
    "phase": "Failed",
    "reason": "TaskFailed",
    "startedAt": "2026-01-31T06:00:00Z",
    "finishedAt": "2026-01-31T06:01:00Z",
    "tasks": [{"name": "load", "state": "Failed", "try": 1}],
}
RIGHTS = {
    "asker": [
        {"apiGroups": ["tradewind.dev"], "resources": ["dags"], "verbs": ["get"]},
        {"apiGroups": ["tradewind.dev"], "resources": ["dagruns"], "verbs": ["get", "patch"]},
        {"apiGroups": ["apps"], "resources": ["controllerrevisions"], "verbs": ["get"]},
    ],
    "reader": [{"apiGroups": ["tradewind.dev"], "resources": ["dags", "dagruns"], "verbs": ["get"]}],
}


@dataclass
class Person:
    """A user with a kubeconfig of their own and the command line."""

    name: str
    kubeconfig: Path

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).with_name("tradewind")
        env = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        return subprocess.run([program, *words], env=env, capture_output=True, text=True, timeout=120, check=False)


@dataclass
class Place:
    """A namespace with the Dag `sales` and its run `r`, which has failed."""

    witness: Witness
    namespace: str
    admin: Path
    folder: Path

    def run(self) -> Manifest:
        return self.witness.get(self.namespace, "dagruns", "r")

    def answer(self, state: str, message: str) -> None:
        """As the controller would."""
        record = {"id": self.run()["spec"]["request"]["id"], "type": "Rerun", "state": state, "message": message}
        self.witness.patch_status(self.namespace, "dagruns", "r", {"status": {"requests": [record]}})
        self.witness.patch(self.namespace, "dagruns", "r", {"spec": {"request": None}})

    def person(self, name: str) -> Person:
        """A ServiceAccount with the rights of that role."""
        core, rbac = self.witness.core, self.witness.rbac
        core.create_namespaced_service_account(self.namespace, {"metadata": {"name": name}})
        rbac.create_namespaced_role(self.namespace, {"metadata": {"name": name}, "rules": RIGHTS[name]})
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.namespace}],
        }
        rbac.create_namespaced_role_binding(self.namespace, binding)
        token = core.create_namespaced_service_account_token(name, self.namespace, {"spec": {}}).status.token
        config = yaml.safe_load(self.admin.read_text())
        config["users"] = [{"name": name, "user": {"token": token}}]
        config["contexts"][0]["context"] |= {"user": name, "namespace": self.namespace}
        config["current-context"] = config["contexts"][0]["name"]
        kubeconfig = self.folder / name
        kubeconfig.write_text(yaml.safe_dump(config))
        return Person(f"system:serviceaccount:{self.namespace}:{name}", kubeconfig)


@pytest.fixture
def place(resources: Witness, namespace: str, kubeconfig: Path, tmp_path: Path) -> Place:
    api = {"apiVersion": "tradewind.dev/v1alpha1"}
    resources.create(namespace, "dags", {**api, "kind": "Dag", "metadata": {"name": "sales"}, "spec": DAG})
    run = {**api, "kind": "DagRun", "metadata": {"name": "r"}, "spec": {"dag": "sales"}}
    resources.create(namespace, "dagruns", run)
    resources.patch_status(namespace, "dagruns", "r", {"status": ENDED})
    return Place(resources, namespace, kubeconfig, tmp_path)


def test_these_rights_suffice(place: Place) -> None:
    asker = place.person("asker")
    asked = asker("rerun", "r", "load", "--downstream", "--no-wait", "-m", "late data")
    assert asked.returncode == 0, asked.stderr
    request = place.run()["spec"]["request"]
    assert len(request.pop("id")) == 36
    assert request == {
        "type": "Rerun",
        "tasks": ["load"],
        "downstream": True,
        "message": "late data",
        # The API server says who that is.
        "requestedBy": asker.name,
    }
    for command in (("pause", "dagrun/r"), ("status", "r")):
        assert asker(*command).returncode == 0
    assert place.run()["spec"]["suspend"] is True
    assert asker("resume", "dagrun/r").returncode == 0
    assert "suspend" not in place.run()["spec"]


def test_who_may_only_read_asks_for_nothing(place: Place) -> None:
    reader = place.person("reader")
    for command in (("rerun", "r"), ("mark", "r", "--state", "succeeded"), ("stop", "r"), ("pause", "dagrun/r")):
        done = reader(*command)
        assert (done.returncode, done.stdout) == (2, "")
        assert "permission denied" in done.stderr and "dagruns" in done.stderr
    assert place.run()["spec"] == {"dag": "sales", "type": "Manual"}
    dry_run = reader("rerun", "r", "--dry-run")
    assert dry_run.returncode == 0
    assert dry_run.stderr == "dry run: tasks to rerun: load\n"


def test_one_request_at_a_time(place: Place) -> None:
    """Also where the other one comes between reading and writing: the API server sees to it."""
    asker = place.person("asker")
    cluster = Cluster(str(place.admin), None, place.namespace)
    before = cluster.get("DagRun", "r")
    assert asker("mark", "r", "load", "--state", "succeeded", "--no-wait").returncode == 0
    pending = "run 'r' has a pending request: mark load --state succeeded, requested by " + asker.name
    late = asker("stop", "r")
    assert late.returncode == 2 and pending in late.stderr
    with pytest.raises(CliError, match="pending request") as refused:
        send_request(cluster, before, {"id": "2", "type": "Stop"})
    assert pending in str(refused.value)
    assert place.run()["spec"]["request"]["type"] == "Mark"
    place.answer("Applied", "done")
    assert send_request(cluster, before, {"id": "2", "type": "Stop"})["spec"]["request"] == {"id": "2", "type": "Stop"}


def test_another_run_of_that_name_is_let_alone(place: Place) -> None:
    cluster = Cluster(str(place.admin), None, place.namespace)
    before = cluster.get("DagRun", "r")
    place.witness.delete(place.namespace, "dagruns", "r")
    api = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "DagRun", "metadata": {"name": "r"}}
    place.witness.create(place.namespace, "dagruns", {**api, "spec": {"dag": "sales"}})
    with pytest.raises(CliError, match="was deleted and recreated meanwhile"):
        send_request(cluster, before, {"id": "1", "type": "Stop"})
    assert "request" not in place.run()["spec"]


@pytest.mark.parametrize(("state", "code"), [("Applied", 0), ("Rejected", 1)])
def test_the_answer_is_waited_for(place: Place, state: str, code: int) -> None:
    person = Person("admin", place.admin)
    program = Path(sys.executable).with_name("tradewind")
    env = {**os.environ, "KUBECONFIG": str(person.kubeconfig)}
    command: list[Any] = [program, "rerun", "r", "load", "-n", place.namespace]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asking:
        try:
            eventually(lambda: place.run()["spec"].get("request"), "something is asked", 120)
            place.answer(state, "so it is")
            out, err = asking.communicate(timeout=120)
        finally:
            asking.kill()
    assert asking.returncode == code
    assert (out, err) == (("r: so it is\n", "") if code == 0 else ("", "rejected: so it is\n"))
