"""Messages of container runtimes, down to what matters."""

import pytest

from tests.unit.controller.kubelet_pods import pod, terminated
from tradewind.cache.observation import observe
from tradewind.cache.runtime_errors import in_short

pytestmark = pytest.mark.unit

MISSING = 'exec: "pyton3": executable file not found in $PATH'
CONTAINERD = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    f"unable to start container process: error during container init: {MISSING}: unknown"
)


@pytest.mark.parametrize(
    ("message", "short"),
    [
        (CONTAINERD, MISSING),
        (
            f'failed to start container "ab12": Error response from daemon: OCI runtime create failed: {MISSING}',
            MISSING,
        ),
        ('secret "warehouse" not found', 'secret "warehouse" not found'),
        ("Traceback: runc create failed: no", "Traceback: runc create failed: no"),
        ("", ""),
    ],
)
def test_in_short(message: str, short: str) -> None:
    assert in_short(message) == short


def test_it_is_what_a_task_says() -> None:
    report = observe(pod(terminated(128, "StartError", message=CONTAINERD)), gone=False)
    assert report is not None
    assert (report.reason, report.message) == ("StartError", MISSING)
    waiting = f"{{waiting: {{reason: RunContainerError, message: '{CONTAINERD}'}}}}"
    report = observe(pod(f"phase: Pending\ncontainerStatuses: [{{name: task, state: {waiting}}}]"), gone=False)
    assert report is not None
    assert (report.reason, report.message) == ("RunContainerError", MISSING)
