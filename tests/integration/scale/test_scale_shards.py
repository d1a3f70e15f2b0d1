"""The number of shards changes under load, from one to two to three: no try is lost and none is made twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localkube import Cluster
from tests.cluster import CLUSTER, GROUP, REPOSITORY, VERSION, Kubectl, Manifest, Witness, eventually
from tests.e2e.controller_process import ControllerProcess
from tests.integration.scale.all_pods import AllPods
from tests.integration.scale.shard_users import SYSTEM, ShardUsers
from tradewind.api.shards import Shard, bucket_of

API_VERSION = f"{GROUP}/{VERSION}"
NAMESPACES = 12
EARLY, LATE, TASKS = 2, 1, 3
"""Runs of each namespace for each change: while those before still lead, and when they have gone; tasks of each run."""
BEGUN = 5
"""Pods in each shard's namespaces after which its controllers are in the middle of it."""
PATIENCE_SECONDS = 300.0


def spread(count: int) -> list[str]:
    """Names of namespaces of which each shard has as many, of two as of three."""
    found: dict[int, list[str]] = {number: [] for number in range(6)}
    for number in range(1000):
        name = f"team-{number}"
        if len(found[bucket_of(name) % 6]) < count // 6:
            found[bucket_of(name) % 6].append(name)
    return [name for names in found.values() for name in names]


@dataclass
class Stage:
    """A cluster, with a Dag in each of some namespaces."""

    kubeconfig: Path
    witness: Witness
    namespaces: list[str]
    users: ShardUsers
    pods: AllPods
    folder: Path
    started: list[ControllerProcess]

    def launch(self, part: Shard) -> ControllerProcess:
        options = (f"--shards={part.count}", f"--shard={part.index}")
        log = self.folder / f"{part.index}-of-{part.count}.log"
        process = ControllerProcess(self.users.kubeconfig(part), log, *options, lease_namespace=SYSTEM)
        self.started.append(process)
        return process

    def load(self, batch: str, runs: int) -> None:
        """Runs in all namespaces: some as `kubectl create` makes them, some as `tradewind trigger` does."""
        for namespace in self.namespaces:
            for number in range(runs):
                label = {"tradewind.dev/bucket": str(bucket_of(namespace))} if number else {}
                metadata = {"name": f"{batch}-{number}", "labels": label}
                run: Manifest = {"apiVersion": API_VERSION, "kind": "DagRun", "metadata": metadata}
                self.witness.create(namespace, "dagruns", run | {"spec": {"dag": "chain"}})

    def wait_begun(self, parts: list[Shard], before: dict[Shard, int]) -> None:
        """Return once each shard has made some more Pods."""
        for part in parts:
            self.eventually(lambda p=part: self.made(p) >= before[p] + BEGUN, f"{part} has made Pods")

    def made(self, part: Shard) -> int:
        return self.pods.count({namespace for namespace in self.namespaces if part.owns(namespace)})

    def eventually(self, holds: Any, what: str) -> None:
        def tails() -> str:
            return "\n".join(process.tail(15) for process in self.started)

        eventually(holds, what, PATIENCE_SECONDS, tails)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Cluster(f"{CLUSTER}-scale", profile="kwok", nodes=4) as cluster:
        kubectl, witness = Kubectl(cluster.kubeconfig), Witness(cluster.kubeconfig)
        kubectl.run("apply", "--server-side", "-f", str(REPOSITORY / "crds"))
        for kind in ("dags", "dagruns", "pools", "backfills"):
            kubectl.run("wait", "--for=condition=Established", f"crd/{kind}.{GROUP}", "--timeout=60s")
            eventually(lambda kind=kind: kubectl.attempt("get", kind).returncode == 0, f"{kind} are served", 60)
        namespaces = spread(NAMESPACES)
        tasks = [
            {"name": f"t{n}", "image": "busybox:1.36", **({"dependsOn": [f"t{n - 1}"]} if n else {})}
            for n in range(TASKS)
        ]
        for namespace in namespaces:
            witness.core.create_namespace({"metadata": {"name": namespace}})
            dag: Manifest = {"apiVersion": API_VERSION, "kind": "Dag", "metadata": {"name": "chain"}}
            spec = {"tasks": tasks, "successfulRunsHistoryLimit": 100}
            witness.create(namespace, "dags", dag | {"spec": spec})
        users = ShardUsers(cluster.kubeconfig, witness, namespaces, tmp_path)
        stage = Stage(cluster.kubeconfig, witness, namespaces, users, AllPods(witness), tmp_path, [])
        try:
            yield stage
        finally:
            for process in stage.started:
                if process.process.poll() is None:
                    process.kill()


def writes(process: ControllerProcess) -> list[str]:
    """Its count of writes, by their answers; empty where it does not answer in time."""
    return [line for line in process.metrics().splitlines() if line.startswith("tradewind_api_writes_total{")]


def assert_allowed(processes: list[ControllerProcess]) -> None:
    """Each has the right to write in the namespaces of its shard only: where it has written, it had to; and it has not
    tried anything else."""
    for process in processes:
        page = eventually(lambda p=process: "\n".join(writes(p)), "it says what it has written", PATIENCE_SECONDS)
        assert 'code="403"' not in page, process.tail()


def test_one_two_and_three_shards_under_load(stage: Stage) -> None:
    began = time.monotonic()
    assert len(stage.namespaces) == NAMESPACES
    for part in (Shard(), Shard(1, 2), Shard(2, 3)):
        kubeconfig = stage.users.kubeconfig(part)
        for namespace in stage.namespaces[::3]:
            asked = Kubectl(kubeconfig, namespace).attempt("auth", "can-i", "create", "pods").stdout
            assert asked.strip() == ("yes" if part.owns(namespace) else "no")
    generations = [[Shard(index, count) for index in range(count)] for count in (1, 2, 3)]
    leading: list[ControllerProcess] = []
    for parts in generations:
        # The new ones are there, and ready, before the old ones go: the worst that a rolling update does.
        coming = [stage.launch(part).wait_ready() for part in parts]
        stage.load(f"early-{len(parts)}", EARLY)
        assert_allowed(leading)
        for number, process in enumerate(leading):
            # One of two is lost without a word, so that its Lease has to run out.
            if number == 1:
                process.kill()
            else:
                process.stop()
        before = {part: stage.made(part) for part in parts}
        stage.load(f"late-{len(parts)}", LATE)
        for process in coming:
            process.wait_leading()
        stage.wait_begun(parts, before)
        leading = coming
    everything = len(generations) * (EARLY + LATE) * TASKS * NAMESPACES
    stage.eventually(lambda: stage.made(Shard()) >= everything, f"all {everything} Pods are made")

    def unfinished() -> list[str]:
        return [
            f"{namespace}/{run['metadata']['name']}"
            for namespace in stage.namespaces
            for run in stage.witness.list(namespace, "dagruns")
            if run.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        ]

    stage.eventually(lambda: not unfinished(), "all runs end")
    print(f"{everything} Pods in {time.monotonic() - began:.1f} s, with two changes of the number of shards")
    assert_allowed(leading)
    for process in leading:
        process.stop()
    stage.pods.end()

    runs = [run for namespace in stage.namespaces for run in stage.witness.list(namespace, "dagruns")]
    assert len(runs) == everything // TASKS
    for run in runs:
        status = run["status"]
        assert (status["phase"], status["done"]) == ("Succeeded", f"{TASKS}/{TASKS}"), run
    twice = {place: uids for place, uids in stage.pods.made.items() if len(uids) > 1}
    assert twice == {}
    assert {place[4] for place in stage.pods.made} == {"1"}, "each succeeded in its first try"
    assert len(stage.pods.made) == everything
    for (namespace, *_), [uid] in stage.pods.made.items():
        assert stage.pods.labels[uid]["tradewind.dev/bucket"] == str(bucket_of(namespace))
    leases = {lease.metadata.name: lease for lease in stage.witness.leases.list_namespaced_lease(SYSTEM).items}
    assert set(leases) == {part.lease_name("tradewind-controller") for parts in generations for part in parts}
    waited = [process for process in stage.started if "is waiting: the lease" in process.log.read_text()]
    assert waited, "the new ones came while the old ones led"
