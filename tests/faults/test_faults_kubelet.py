"""The kubelet is killed during a run: containers keep running without it, and their results are known once it is
back. On real containers."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localkube import Cluster
from tests.cluster import CLUSTER, RealCluster, Witness, apply_crds
from tests.e2e.busy_run import FIRST, finished, make_busy
from tests.e2e.controller_process import Controllers
from tests.e2e.ledger import read_ledger
from tests.e2e.spaces import Space

AWAY_SECONDS = 5.0


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """One with real containers, and a kubelet of its own to be killed."""
    with Cluster(f"{CLUSTER}-kubelet") as cluster:
        apply_crds(cluster.kubeconfig)
        yield cluster


@pytest.fixture
def space(cluster: Cluster, tmp_path: Path) -> Iterator[Space]:
    """A namespace, and a controller for it."""
    controllers = Controllers(cluster.kubeconfig, tmp_path)
    space = Space(RealCluster(cluster.kubeconfig, cluster), Witness(cluster.kubeconfig), controllers, "kubelet")
    try:
        controllers.launch_for(space.name).wait_leading()
        yield space
    finally:
        controllers.end()


def test_running_tasks_continue_and_each_try_runs_once(cluster: Cluster, space: Space) -> None:
    make_busy(space)
    space.run("busy", "busy")
    for least in (1, 4):
        space.eventually(lambda least=least: finished(space, "busy") >= least, f"{least} tasks have finished")
        cluster.kill_component("kubelet")
        time.sleep(AWAY_SECONDS)
        cluster.start_component("kubelet")
    space.wait_succeeded("busy")
    assert_sound(space, "busy")


def assert_sound(space: Space, run: str) -> None:
    """Each Pod ran once and no result was lost. One that was being started when the kubelet died was ended at its very
    beginning, which is no fault of its task."""
    pods = [pod for pod in space.pods_of(run) if pod.metadata.labels["tradewind.dev/task"] != "tell"]
    ended = {try_of(pod): pod.status.container_statuses[0].state.terminated.reason for pod in pods}
    assert len(ended) == len(pods), space.explain()
    cut_off = {of for of, reason in ended.items() if reason == "StartError"}
    ran = read_ledger(space)
    assert set(ended) - cut_off <= set(ran) <= set(ended), space.explain()
    assert set(ran.values()) == {1}, space.explain()
    entries = space.tasks(run)
    for name in [*FIRST, "join"]:
        lost = sum(task == name for task, _ in cut_off)
        assert (entries[name]["output"], entries[name].get("lost", 0)) == (name, lost), entries[name]


def try_of(pod: Any) -> tuple[str, int]:
    return pod.metadata.labels["tradewind.dev/task"], int(pod.metadata.labels["tradewind.dev/try"])
