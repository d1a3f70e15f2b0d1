"""A controller whose event loop is blocked, on a real API server: it keeps its Lease for a time, then releases it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localkube.ports import free_ports
from tests.cluster import Witness, eventually

LEASE = 4.0
SECONDS = 120.0


class Held:
    """One replica as a process."""

    def __init__(self, kubeconfig: Path, namespace: str, log: Path, *, held_for: float, stuck_after: float) -> None:
        self.log = log
        self.metrics_port, self.probe_port = free_ports(2)
        words = [
            str(Path(__file__).with_name("held_controller.py")),
            *(str(held_for), str(stuck_after)),
            *(f"--namespaces={namespace}", f"--pod-namespace={namespace}", f"--lease-duration={LEASE}"),
            *(f"--metrics-port={self.metrics_port}", f"--probe-port={self.probe_port}"),
        ]
        env = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        with log.open("w") as output:
            self.process = subprocess.Popen([sys.executable, *words], env=env, stdout=output, stderr=subprocess.STDOUT)

    def ask(self, path: str) -> tuple[int, str]:
        port = self.metrics_port if path == "/metrics" else self.probe_port
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=15) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    @property
    def leads(self) -> bool:
        return "\ntradewind_leader 1.0\n" in self.ask("/metrics")[1]

    def hold(self) -> None:
        self.process.send_signal(signal.SIGUSR1)
        self.eventually(lambda: "held" in self.log.read_text(), "its loop is held")

    @property
    def is_held(self) -> bool:
        return "free" not in self.log.read_text()

    def eventually(self, holds: Callable[[], object], what: str) -> None:
        eventually(holds, what, SECONDS, lambda: "\n".join(self.log.read_text().splitlines()[-30:]))


@pytest.fixture
def replica(kubeconfig: Path, namespace: str, tmp_path: Path, resources: Witness) -> Iterator[Callable[..., Held]]:
    started: list[Held] = []

    def start(held_for: float, stuck_after: float) -> Held:
        log = tmp_path / f"{len(started)}.log"
        started.append(Held(kubeconfig, namespace, log, held_for=held_for, stuck_after=stuck_after))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def test_a_loop_that_is_held_for_longer_than_the_lease_remains_leader(
    replica: Callable[..., Held], namespace: str, resources: Witness
) -> None:
    leader = replica(held_for=3 * LEASE, stuck_after=60)
    leader.eventually(lambda: leader.leads, "it leads")
    standby = replica(held_for=0, stuck_after=60)
    standby.eventually(lambda: standby.ask("/readyz")[0] == 200, "the standby is ready")
    leader.hold()
    while leader.is_held:
        assert leader.ask("/healthz") == (200, "ok")
        assert (leader.leads, standby.leads) == (True, False) or not leader.is_held
        time.sleep(0.2)
    lease = resources.leases.read_namespaced_lease("tradewind-controller", namespace).spec
    assert (lease.lease_transitions, leader.leads) == (0, True)
    page = leader.ask("/metrics")[1]
    assert 'tradewind_event_loop_stall_seconds{kind="DagRun",name="large",namespace="ns"}' in page
    assert "and still is, by DagRun ns/large" in leader.log.read_text()


def test_a_loop_that_is_stuck_gives_the_lease_up_and_says_what_it_is_at(
    replica: Callable[..., Held], namespace: str, resources: Witness
) -> None:
    leader = replica(held_for=8 * LEASE, stuck_after=2 * LEASE)
    leader.eventually(lambda: leader.leads, "it leads")
    standby = replica(held_for=0, stuck_after=60)
    standby.eventually(lambda: standby.ask("/readyz")[0] == 200, "the standby is ready")
    leader.hold()
    standby.eventually(lambda: standby.leads, "the standby leads")
    status, why = leader.ask("/healthz")
    assert (leader.is_held, leader.leads, status) == (True, False, 503), "it is given up in the middle of it"
    assert "the event loop has been blocked for" in why
    assert "DagRun ns/large" in why
    leader.eventually(lambda: not leader.is_held, "the loop is free again")
    leader.eventually(lambda: leader.ask("/readyz") == (200, "ok"), "it is a standby again")
    assert (leader.leads, standby.leads) == (False, True)
    assert resources.leases.read_namespaced_lease("tradewind-controller", namespace).spec.lease_transitions >= 1
