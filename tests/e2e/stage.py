"""Tests that spend their time waiting run at the same time, each in namespaces of its own.

    @side_by_side
    def test_something(stage: Stage) -> None:
        space = stage.watched_space("something")
        …

All such tests of a module start when the first of them is due; each is then reported in its turn.
"""

import functools
import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from tests.e2e.controller_process import ControllerProcess, Controllers
from tests.e2e.spaces import NewSpace, Space

Test = Callable[["Stage"], None]
LONGEST_SECONDS = 900.0


class Stage:
    """The shared part of the tests of a module that run in parallel."""

    def __init__(self, new_space: NewSpace, controllers: Controllers) -> None:
        self.controllers = controllers
        self._new_space = new_space
        self._lock = Lock()
        self._controller: ControllerProcess | None = None
        self._running: dict[Test, Future[None]] = {}
        self._pool: ThreadPoolExecutor | None = None

    def space(self, label: str) -> Space:
        """A namespace without a controller."""
        with self._lock:
            return self._new_space(label)

    def watched_space(self, label: str) -> Space:
        """A namespace that the module's controller watches, as all others. Not for modules that start their own."""
        self.controller()
        return self.space(label)

    def controller(self) -> ControllerProcess:
        """The module's controller, which watches the whole cluster."""
        with self._lock:
            if self._controller is None:
                self._controller = self.controllers.launch(lease_namespace="default").wait_leading()
            return self._controller

    def space_and_controller(self, label: str, *options: str) -> tuple[Space, ControllerProcess]:
        """A namespace, and a leader that watches only that."""
        space = self.space(label)
        return space, self.controllers.launch_for(space.name, *options).wait_leading()

    def start(self, tests: Iterable[Test]) -> None:
        """Run tests at the same time, without waiting for them."""
        tests = list(tests)
        self._pool = ThreadPoolExecutor(max(1, len(tests)))
        self._running = {test: self._pool.submit(test, self) for test in tests}

    def join(self, test: Test) -> None:
        """Wait for one test, and fail as it did. A test that is run again after that is run by itself."""
        running = self._running.pop(test, None)
        if running is None:
            test(self)
        else:
            running.result(LONGEST_SECONDS)

    def end(self) -> None:
        """Wait for those that were not joined."""
        if self._pool is not None:
            self._pool.shutdown()


def side_by_side(test: Test) -> Test:
    """A test that runs together with the others of its module that are marked so."""

    @functools.wraps(test)
    def joined(stage: Stage) -> None:
        stage.join(test)

    joined.runs = test  # type: ignore[attr-defined]
    return joined


def tests_to_start(functions: Iterable[object]) -> list[Test]:
    """Return the result of `side_by_side` for some test functions, each once."""
    found = (getattr(function, "runs", None) for function in functions)
    return [test for test, _ in itertools.groupby(test for test in found if test is not None)]
