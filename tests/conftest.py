"""One real cluster, and one real API server without nodes, for all tests that ask for it; each starts with the first
of them."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from localkube import Cluster
from tests.cluster import CLUSTER, RealCluster, Witness, real_cluster

# A cluster makes and deletes some ten thousand files, which may take a file system on disk half a minute. One that is
# kept stays where people look for it.
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 8 * 2**30
if os.environ.get("TRADEWIND_TEST_KEEP") != "1" and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES:
    os.environ.setdefault("LOCALKUBE_HOME", str(MEMORY / f"localkube-{os.getuid()}"))

# The same inputs each time, so that a change fails for what it changed; `HYPOTHESIS_PROFILE=thorough` for a long look
# at what was not tried before.
settings.register_profile(
    "ci",
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("thorough", parent=settings.get_profile("ci"), max_examples=10_000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


pytest_plugins = ["tests.durations"]

RERUNS = Path("build/reruns.txt")
MOST_RERUNS = 2
"""A run of all tests in which more than these had to be run again has a fault that hides behind them."""


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the tests that passed only when they were run again."""
    if not terminalreporter.config.getoption("reruns", None):
        return
    again = sorted({report.nodeid for report in terminalreporter.getreports("rerun")})
    if again:
        RERUNS.parent.mkdir(exist_ok=True)
        with RERUNS.open("a") as file:  # the tests without a cluster write to it too, at the same time
            file.write("".join(f"{name}\n" for name in again))
        many = len(again) > MOST_RERUNS
        text = f"{len(again)} tests were run again ({RERUNS}); {MOST_RERUNS} may be the machine, more are a fault"
        terminalreporter.write_line(text, red=many, yellow=not many, bold=many)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # They wait more than others do: better while there is something else to do than all at the end.
    items.sort(key=lambda item: "faults" not in item.path.parts)


@pytest.fixture(scope="session")
def real() -> Iterator[RealCluster]:
    """The cluster to test on, with our CRDs."""
    with real_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def witness(real: RealCluster) -> Witness:
    """Its observations are true."""
    return Witness(real.kubeconfig)


@dataclass(frozen=True, slots=True)
class ApiServer:
    """A real API server; `etcd` is the URL of what is behind it."""

    kubeconfig: Path
    etcd: str


@pytest.fixture(scope="session")
def api_server() -> Iterator[ApiServer]:
    """`$TRADEWIND_TEST_KUBECONFIG` and `$TRADEWIND_TEST_ETCD`, or a cluster of localkube; no node is needed."""
    given, etcd = os.environ.get("TRADEWIND_TEST_KUBECONFIG"), os.environ.get("TRADEWIND_TEST_ETCD")
    if given and etcd:
        yield ApiServer(Path(given), etcd)
        return
    with Cluster(f"{CLUSTER}-kube", profile="kwok") as cluster:
        # An API server answers from memory what happened since its start; the tests need a past that it has not seen.
        cluster.kill_component("kube-apiserver")
        cluster.start_component("kube-apiserver")
        yield ApiServer(cluster.kubeconfig, cluster.etcd_url)


@pytest.fixture(scope="session")
def kubeconfig(api_server: ApiServer) -> Path:
    return api_server.kubeconfig


@pytest.fixture(scope="session")
def etcd(api_server: ApiServer) -> str:
    return api_server.etcd
