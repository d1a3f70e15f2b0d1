"""The API server and etcd are killed during runs, and restarted."""

import random
import time
from collections.abc import Callable

import pytest

from localkube import Cluster
from tests.e2e.controller_process import Controllers
from tests.e2e.spaces import NewSpace
from tests.faults.audit import Audit
from tests.faults.load import Load, assert_sound
from tests.faults.replicas import Replicas
from tests.faults.sizes import Figure, size

OUTAGES = size("OUTAGES", 1)
SHORT, LONG = 0.5, 6.0
"""Seconds without: much less than a Lease lasts, and more."""

Outage = Callable[[Cluster, float], None]


def api_server(cluster: Cluster, seconds: float) -> None:
    """SIGKILL of the API server."""
    cluster.kill_component("kube-apiserver")
    time.sleep(seconds)
    cluster.start_component("kube-apiserver")


def etcd(cluster: Cluster, seconds: float) -> None:
    """SIGKILL of etcd, while the API server runs on."""
    cluster.kill_component("etcd")
    time.sleep(seconds)
    cluster.start_component("etcd")


def both(cluster: Cluster, seconds: float) -> None:
    """SIGKILL of both, at once."""
    cluster.kill_component("kube-apiserver")
    etcd(cluster, seconds)
    cluster.start_component("kube-apiserver")


@pytest.mark.parametrize("outage", [api_server, etcd, both])
def test_an_outage_in_the_middle_of_runs(
    kwok: Cluster,
    new_kwok_space: NewSpace,
    kwok_controllers: Controllers,
    chance: random.Random,
    figure: Figure,
    outage: Outage,
) -> None:
    space = new_kwok_space("outage")
    audit = Audit(space)
    load = Load(space)
    replicas = Replicas(space, kwok_controllers)
    space.eventually(lambda: len(audit.made) > 10, "runs are running")
    back = []
    for number in range(OUTAGES):
        time.sleep(chance.uniform(0, 1))
        outage(kwok, SHORT if number % 2 else LONG)
        # The fake kubelet forgets what it could not write (a real one does not), and the scheduler asks an API server
        # that was away several times only once in up to a minute: neither is what is measured here.
        for component in ("kwok", "kube-scheduler"):
            kwok.kill_component(component)
            kwok.start_component(component)
        began, before = time.monotonic(), len(audit.made)
        space.eventually(
            lambda: space.kubectl.attempt("get", "--raw", "/readyz").returncode == 0, "the API server is ready"
        )
        space.eventually(lambda before=before: len(audit.made) > before, "runs continue")
        back.append(round(time.monotonic() - began, 1))
    load.end()
    assert_sound(space, load, audit)
    replicas.end()
    figure("runs, Pods", (len(load.runs), len(audit.made)))
    figure("seconds from its return until the next Pod", back)
