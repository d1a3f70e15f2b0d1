"""One real cluster for all tests that ask for it; it starts with the first of them."""

from collections.abc import Iterator

import pytest

from cluster import RealCluster, Witness, real_cluster


@pytest.fixture(scope="session")
def real() -> Iterator[RealCluster]:
    """The cluster to test on, with our CRDs."""
    with real_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def witness(real: RealCluster) -> Witness:
    """What it sees is so."""
    return Witness(real.kubeconfig)
