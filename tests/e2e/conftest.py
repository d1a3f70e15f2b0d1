"""Controllers and namespaces for the end-to-end tests.

Tests that only need some controller share one per module, which watches the whole cluster; the others start their own
for their namespace. No module has both: they would fight over the runs.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cluster import RealCluster, Witness
from tests.e2e.controller_process import Controllers
from tests.e2e.spaces import NewSpace, Space
from tests.e2e.stage import Stage, tests_to_start


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = __file__.rpartition("/")[0]
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def ended_spaces(real: RealCluster) -> Iterator[list[Space]]:
    """Namespaces whose deletion was requested: at the end all must be deleted."""
    spaces: list[Space] = []
    yield spaces
    with ThreadPoolExecutor() as pool:
        list(pool.map(Space.wait_gone, spaces))


@pytest.fixture(scope="module")
def controllers(real: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controllers]:
    """Starts controllers; all have exited after the module."""
    controllers = Controllers(real.kubeconfig, tmp_path_factory.mktemp("controllers"))
    yield controllers
    controllers.end()


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


@pytest.fixture(scope="module")
def stage(new_space: NewSpace, controllers: Controllers, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Where the tests of the module run; those that are marked `side_by_side` have started."""
    stage = Stage(new_space, controllers)
    chosen = [item for item in request.session.items if item.path == request.node.path]
    stage.start(tests_to_start(getattr(item, "function", None) for item in chosen))
    yield stage
    stage.end()
