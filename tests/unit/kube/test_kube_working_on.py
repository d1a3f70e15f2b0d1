"""Which object a thread is working on."""

import threading
import time

import pytest

from tradewind.kube import working_on as module
from tradewind.kube.working_on import current, take_slowest, working_on

pytestmark = pytest.mark.unit

HERE = threading.get_ident()


def test_the_innermost_object_is_named() -> None:
    assert current(HERE) is None
    with working_on("Dag", ("ns", "sales")):
        with working_on("DagRun", ("ns", "sales-1")):
            assert str(current(HERE)) == "DagRun ns/sales-1"
        assert str(current(HERE)) == "Dag ns/sales"
    assert current(HERE) is None


def test_an_exception_ends_the_work_too() -> None:
    with pytest.raises(ValueError, match="bad"), working_on("Dag", ("ns", "sales")):
        raise ValueError("bad")
    assert current(HERE) is None


def test_threads_have_nothing_to_do_with_each_other() -> None:
    seen = []
    with working_on("Dag", ("ns", "sales")):
        other = threading.Thread(target=lambda: seen.append(current(threading.get_ident())))
        other.start()
        other.join()
    assert seen == [None]


def test_work_that_was_slow_is_remembered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOW", 0.02)
    take_slowest(HERE)
    with working_on("Dag", ("", "around them")):
        for name, seconds in (("quick", 0.0), ("slow", 0.06), ("less", 0.03)):
            with working_on("Dag", ("", name)):
                time.sleep(seconds)
    assert str(take_slowest(HERE)) == "Dag slow"
    assert take_slowest(HERE) is None


def test_an_await_in_between_leaves_no_stale_name() -> None:
    one, two = working_on("Dag", ("ns", "one")), working_on("Dag", ("ns", "two"))
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    two.__exit__(None, None, None)
    assert current(HERE) is None
