"""A node is lost: its Pods are recreated on another node, without using up a retry. On fake nodes (KWOK)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from localkube import Cluster
from tests.cluster import CLUSTER, RealCluster, Witness, apply_crds
from tests.e2e.controller_process import Controllers
from tests.e2e.spaces import Space, task

LOST = "node.kubernetes.io/out-of-service"


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Space]:
    """A namespace, with a controller, in a cluster of two fake nodes."""
    with Cluster(f"{CLUSTER}-nodes", profile="kwok", nodes=2) as cluster:
        apply_crds(cluster.kubeconfig)
        controllers = Controllers(cluster.kubeconfig, tmp_path)
        try:
            controllers.launch(lease_namespace="default").wait_leading()
            yield Space(RealCluster(cluster.kubeconfig, cluster), Witness(cluster.kubeconfig), controllers, "node")
        finally:
            controllers.end()


def test_a_try_on_a_lost_node_is_not_used_up(space: Space) -> None:
    space.dag(
        "far",
        task("work", "true", retries={"limit": 0}),
        podTemplate={"metadata": {"annotations": {"localkube/duration": "1h"}}},
    )
    run = space.run("far")
    space.wait_state(run, "work", "Running")
    [pod] = space.pods_of(run)
    # As for a node that will not return.
    space.kubectl.run("cordon", pod.spec.node_name)
    space.kubectl.run("taint", "node", pod.spec.node_name, f"{LOST}:NoExecute")
    space.eventually(lambda: space.task(run, "work").get("try") == 2, "a second try")
    again = space.wait_state(run, "work", "Running")
    assert (again["try"], again["lost"]) == (2, 1)
    [first] = again["tries"]
    assert (first["state"], first["reason"]) == ("Lost", "DeletionByTaintManager")
    assert [found.spec.node_name for found in space.pods_of(run)][-1] != pod.spec.node_name
