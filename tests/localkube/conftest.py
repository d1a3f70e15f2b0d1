"""A real cluster for the tests of each module, and kubectl for it."""

from collections.abc import Iterator

import pytest

from localkube import Cluster
from tests.localkube.local_clusters import Kubectl, kubectl_for, unique_name


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(unique_name()) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> Kubectl:
    return kubectl_for(cluster)
