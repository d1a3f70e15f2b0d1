"""Controllers and namespaces for the end-to-end tests.

Tests that only need some controller share one per module, which watches the whole cluster; the others start their own
for their namespace. Both never run at the same time, as they would fight over the runs.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from controller_process import ControllerProcess, Controllers
from spaces import NewSpace, Space

from cluster import RealCluster, Witness


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = __file__.rpartition("/")[0]
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="module")
def controllers(real: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controllers]:
    """Starts controllers; all have ended after the module."""
    controllers = Controllers(real.kubeconfig, tmp_path_factory.mktemp("controllers"))
    yield controllers
    controllers.end()


@pytest.fixture(scope="module")
def controller(controllers: Controllers) -> ControllerProcess:
    """One controller for the whole cluster."""
    return controllers.launch(lease_namespace="default").wait_leading()


@pytest.fixture(scope="session")
def ended_spaces(real: RealCluster) -> Iterator[list[Space]]:
    """Namespaces that were deleted: in the end each must really be gone."""
    spaces: list[Space] = []
    yield spaces
    with ThreadPoolExecutor() as pool:
        list(pool.map(Space.wait_gone, spaces))


@pytest.fixture(scope="module")
def new_space(
    real: RealCluster, witness: Witness, controllers: Controllers, ended_spaces: list[Space]
) -> Iterator[NewSpace]:
    """Makes namespaces for the module."""
    spaces: list[Space] = []

    def make(label: str) -> Space:
        spaces.append(Space(real, witness, controllers, label))
        return spaces[-1]

    yield make
    for space in spaces:
        space.delete()
    ended_spaces.extend(spaces)


@pytest.fixture
def space(new_space: NewSpace, request: pytest.FixtureRequest) -> Space:
    """A namespace for one test."""
    label = request.node.originalname.removeprefix("test_").replace("_", "-")
    return new_space(label[:30].strip("-"))
