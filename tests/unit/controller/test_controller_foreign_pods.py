"""A Pod in another namespace says nothing of a run, whatever its labels and owner say."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.controller.memory_cluster import MemoryCluster
from tradewind.cache.listeners import Listener
from tradewind.cache.resources import DagRunObject, PodObject
from tradewind.kube.informer import Change, ChangeKind
from tradewind.kube.objects import ObjectMeta

pytestmark = pytest.mark.unit


class Heard(Listener):
    """Notes of which runs a Pod is heard."""

    def __init__(self, uids: list[str]) -> None:
        self.uids = uids

    def pod_changed(self, run_uid: str, pod: PodObject, gone: bool) -> None:
        self.uids.append(run_uid)


def forged(uid: str, namespace: str, *, exit_code: int = 0) -> PodObject:
    """A Pod that claims to be the finished first try of task `load` of a run."""
    labels = {"tradewind.dev/run": "r", "tradewind.dev/task": "load", "tradewind.dev/try": "1"}
    owner = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "DagRun", "name": "r", "uid": uid, "controller": True}
    metadata = {"name": "x", "namespace": namespace, "uid": namespace, "labels": labels, "ownerReferences": [owner]}
    ended = {"exitCode": exit_code, "message": '"forged"'}
    status = {"phase": "Succeeded", "containerStatuses": [{"name": "task", "state": {"terminated": ended}}]}
    return msgspec.convert({"metadata": metadata, "status": status}, PodObject)


@pytest.mark.parametrize("kind", [ChangeKind.ADDED, ChangeKind.DELETED])
async def test_while_the_run_is_known(cluster: MemoryCluster, kind: ChangeKind) -> None:
    cluster.dag("sales", tasks=[{"name": "load", "image": "x"}])
    cluster.stays.add("r")
    cluster.run("sales", "r")
    uid = cluster.get("dagruns", "r")["metadata"]["uid"]
    seen: list[str] = []
    known = cluster.controller.cluster
    await cluster.eventually(lambda: uid in known.pods, "its Pod is seen")
    stop = known.subscribe(Heard(seen))
    known._pod(Change(kind, forged(uid, "elsewhere")))
    assert not seen
    assert {pod.metadata.namespace for pod in known.pods[uid].values()} == {"ns"}
    assert not [report for report in known.reports(uid) if report.output]
    known._pod(Change(kind, forged(uid, "ns")))
    assert seen == [uid], "that one is of the run's namespace"
    stop()


@pytest.mark.parametrize("kind", [ChangeKind.ADDED, ChangeKind.DELETED])
async def test_before_the_run_is_known(cluster: MemoryCluster, kind: ChangeKind) -> None:
    known = cluster.controller.cluster
    known._pod(Change(kind, forged("u", "elsewhere")))
    known._pod(Change(kind, forged("u", "ns")) if kind is ChangeKind.ADDED else Change(kind, forged("v", "ns")))
    metadata = ObjectMeta(name="r", namespace="ns", uid="u", resource_version="1")
    known._run(Change(ChangeKind.ADDED, DagRunObject(metadata=metadata, spec={"dag": "sales"})))
    assert {pod.metadata.namespace for pod in known.pods.get("u", {}).values()} <= {"ns"}
    assert len(known.reports("u")) == (1 if kind is ChangeKind.ADDED else 0)
    assert "u" not in known._deleted_in
