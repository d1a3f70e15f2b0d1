"""A namespace under test: creates objects in it, and reads their state."""

import secrets
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Protocol

import kubernetes

from tests.cluster import GROUP, VERSION, Kubectl, Manifest, RealCluster, Witness, eventually, moment

API_VERSION = f"{GROUP}/{VERSION}"
RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}
FINISHED = ("Succeeded", "Failed")
PATIENCE_SECONDS = 240.0
"""Timeout of a wait: much longer than any operation takes, so that a busy machine fails no test."""


class HasLogs(Protocol):
    """The controllers that act on a namespace."""

    def tails(self) -> str:
        """The ends of their logs."""


class Space:
    """One namespace, in which only Pods of the Pod Security Standard `restricted` may run."""

    def __init__(self, real: RealCluster, witness: Witness, controllers: HasLogs, label: str) -> None:
        self.name = f"e2e-{label}-{secrets.token_hex(3)}"
        self.witness, self._controllers = witness, controllers
        self.kubectl = Kubectl(real.kubeconfig, self.name)
        witness.core.create_namespace({"metadata": {"name": self.name, "labels": RESTRICTED}})

    # What a person makes ------------------------------------------------------------------------------------------

    def dag(self, name: str, *tasks: Manifest, **spec: Any) -> Manifest:
        """Make a Dag of busybox tasks whose Pods do not linger. `spec` has fields of the Dag's spec."""
        made = {
            "apiVersion": API_VERSION,
            "kind": "Dag",
            "metadata": {"name": name},
            "spec": {
                "taskDefaults": {"image": "busybox:1.36"},
                "podTemplate": {"spec": {"terminationGracePeriodSeconds": 1}},
                "tasks": list(tasks),
                **spec,
            },
        }
        return self.witness.create(self.name, "dags", made)

    def edit_dag(self, name: str, **spec: Any) -> Manifest:
        """Change fields of a Dag's spec."""
        return self.witness.patch(self.name, "dags", name, {"spec": spec})

    def run(self, dag: str, name: str = "", **spec: Any) -> str:
        """Make a DagRun; its name."""
        name = name or f"{dag}-{secrets.token_hex(2)}"
        body = {"apiVersion": API_VERSION, "kind": "DagRun", "metadata": {"name": name}, "spec": {"dag": dag, **spec}}
        self.witness.create(self.name, "dagruns", body)
        return name

    def pool(self, name: str, slots: int) -> None:
        """Make a Pool."""
        body = {"apiVersion": API_VERSION, "kind": "Pool", "metadata": {"name": name}, "spec": {"slots": slots}}
        self.witness.create(self.name, "pools", body)

    def volume(self, name: str) -> None:
        """Make a PersistentVolumeClaim."""
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}}
        self.witness.core.create_namespaced_persistent_volume_claim(
            self.name, {"metadata": {"name": name}, "spec": spec}
        )

    # What is there ------------------------------------------------------------------------------------------------

    def dag_status(self, name: str) -> Manifest:
        """A Dag's status, {} before there is one."""
        status: Manifest = self.witness.get(self.name, "dags", name).get("status", {})
        return status

    def status(self, run: str) -> Manifest:
        """A run's status, {} before there is one."""
        status: Manifest = self.witness.get(self.name, "dagruns", run).get("status", {})
        return status

    def tasks(self, run: str) -> dict[str, Manifest]:
        """The entries of a run's tasks, by name."""
        return {entry["name"]: entry for entry in self.status(run).get("tasks", ())}

    def task(self, run: str, name: str) -> Manifest:
        """The entry of a task, {} before there is one."""
        return self.tasks(run).get(name, {})

    def runs(self, dag: str) -> list[Manifest]:
        """The runs of a Dag, by name."""
        found = self.witness.list(self.name, "dagruns", field_selector=f"spec.dag={dag}")
        return sorted(found, key=lambda run: str(run["metadata"]["name"]))

    def pods(self, selector: str = "") -> list[Any]:
        """Pods, as the official client has them."""
        return list(self.witness.core.list_namespaced_pod(self.name, label_selector=selector).items)

    def pods_of(self, run: str, task: str = "") -> list[Any]:
        """The Pods of a run, or of one of its tasks, first try first."""
        selector = f"tradewind.dev/run={run}" + (f",tradewind.dev/task={task}" if task else "")
        return sorted(self.pods(selector), key=lambda pod: int(pod.metadata.labels["tradewind.dev/try"]))

    def log(self, pod: str) -> str:
        """Return the log of a Pod's container."""
        return str(self.witness.core.read_namespaced_pod_log(pod, self.name))

    def events(self, kind: str, name: str) -> list[Any]:
        """Events about an object."""
        selector = f"involvedObject.kind={kind},involvedObject.name={name}"
        return list(self.witness.core.list_namespaced_event(self.name, field_selector=selector).items)

    # Waiting ------------------------------------------------------------------------------------------------------

    def eventually(self, holds: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
        """The first true value of `holds()`; AssertionError that shows the namespace when there is none."""
        return eventually(holds, what, seconds, self.explain)

    def wait_finished(self, run: str, seconds: float = PATIENCE_SECONDS) -> Manifest:
        """Return the status of a finished run."""
        self.eventually(lambda: self.status(run).get("phase") in FINISHED, f"run {run} ends", seconds)
        return self.status(run)

    def wait_succeeded(self, run: str, seconds: float = PATIENCE_SECONDS) -> Manifest:
        """The status of a run that has succeeded; any other end fails at once."""
        status = self.wait_finished(run, seconds)
        assert status["phase"] == "Succeeded", f"run {run} is {status['phase']}\n{self.explain()}"
        return status

    def wait_state(self, run: str, task: str, state: str, seconds: float = PATIENCE_SECONDS) -> Manifest:
        """The entry of a task once it is in a state."""
        for status in self.statuses(run, f"{run}/{task} is {state}", seconds):
            for entry in status.get("tasks", ()):
                if (entry["name"], entry["state"]) == (task, state):
                    return dict(entry)
        raise AssertionError("not reached")

    def wait_accepted(self, dag: str, status: str = "True") -> Manifest:
        """The condition Accepted of a Dag, once it speaks of the Dag as it is."""

        def accepted() -> Manifest | None:
            found = self.witness.get(self.name, "dags", dag)
            for condition in found.get("status", {}).get("conditions", ()):
                current = condition["observedGeneration"] == found["metadata"]["generation"]
                if condition["type"] == "Accepted" and condition["status"] == status and current:
                    return dict(condition)
            return None

        condition: Manifest = self.eventually(accepted, f"Dag {dag} is Accepted={status}")
        return condition

    def history_of(self, run: str, seconds: float = PATIENCE_SECONDS) -> list[Manifest]:
        """Every status of a run until it finishes."""
        seen: list[Manifest] = []
        for status in self.statuses(run, f"run {run} ends", seconds):
            seen.append(status)
            if status.get("phase") in FINISHED:
                break
        return seen

    def statuses(self, run: str, what: str, seconds: float = PATIENCE_SECONDS) -> Iterator[Manifest]:
        """A run's status now, and then each that is written: none is missed, however short it lasts. AssertionError
        when another request is made after so long."""
        deadline = time.monotonic() + seconds
        for found in self.witness.watch(self.name, "dagruns", run, seconds):
            yield found.get("status", {})
            if time.monotonic() > deadline:
                break
        raise AssertionError(f"waited {seconds:g} s in vain: {what}\n{self.explain()}")

    # The end ------------------------------------------------------------------------------------------------------

    def delete(self) -> None:
        """Delete the namespace, without waiting; does nothing if it is being deleted."""
        if self.exists():
            self.witness.core.delete_namespace(self.name)

    def wait_gone(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the namespace is deleted; fails with the objects that block it."""
        self.eventually(lambda: not self.exists(), f"namespace {self.name} goes", seconds)

    def exists(self) -> bool:
        """Whether the namespace is there, ending or not."""
        try:
            self.witness.core.read_namespace(self.name)
        except kubernetes.client.ApiException as error:
            if error.status == 404:
                return False
            raise
        return True

    def explain(self) -> str:
        """Return what a user would look at: runs, Pods, the ends of the controllers' logs."""
        words = ("get", "dags,dagruns,pods,pools,backfills", "-o", "wide")
        shown = [self.kubectl.attempt(*words).stdout]
        runs = self.kubectl.attempt("get", "dagruns", "-o", "jsonpath={range .items[*]}{.status}{'\\n'}{end}").stdout
        namespace = self.kubectl.attempt("get", "namespace", self.name, "-o", "jsonpath={.status}").stdout
        return "\n".join([f"--- namespace {self.name} {namespace}", *shown, runs, self._controllers.tails()])


NewSpace = Callable[[str], Space]
"""Makes a namespace; the argument says what for."""


def task(name: str, script: str, *after: str, **fields: Any) -> Manifest:
    """A task that runs a shell script, after others."""
    return {"name": name, "script": script, **({"dependsOn": list(after)} if after else {}), **fields}


def between(entry: Manifest) -> tuple[datetime, datetime]:
    """Start and finish time of a task's last try, or of a run, in its status."""
    return moment(entry["startedAt"]), moment(entry["finishedAt"])


def most_at_once(spans: list[tuple[datetime, datetime]]) -> int:
    """Return the maximum of overlapping spans; one may start in the moment in which another ends."""
    return max((sum(start <= at < end for start, end in spans) for at, _ in spans), default=0)


def stay(seconds: float, holds: Callable[[], bool], what: str) -> None:
    """Fail if something does not hold at any look during so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert holds(), f"did not last: {what}"
        time.sleep(0.2)
