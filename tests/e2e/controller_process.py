"""The controller as a process that tests query, stop and kill."""

import itertools
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from localkube.ports import free_ports
from tests.cluster import eventually

TRADEWIND = Path(sys.executable).with_name("tradewind")
LEASE_SECONDS = 3
START_SECONDS = 240.0
STOP_SECONDS = 90.0
TAIL_LINES = 40


class ControllerProcess:
    """One replica, from its start to its end."""

    def __init__(self, kubeconfig: Path, log: Path, *options: str, lease_namespace: str) -> None:
        """Replicas that are given the same `lease_namespace` elect a leader among them."""
        self.log = log
        self.metrics_port, self.probe_port = free_ports(2)
        command = [
            str(TRADEWIND),
            "controller",
            f"--pod-namespace={lease_namespace}",
            f"--lease-duration={LEASE_SECONDS}",
            f"--metrics-port={self.metrics_port}",
            f"--probe-port={self.probe_port}",
            *options,
        ]
        env = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        with log.open("w") as output:
            self.process = subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT)

    def wait_ready(self) -> "ControllerProcess":
        """Return once it could take over."""
        self._wait(lambda: self.probe("/readyz") == (200, "ok"), "the controller is ready")
        return self

    def wait_leading(self, seconds: float = START_SECONDS) -> "ControllerProcess":
        """Return once it leads."""
        self._wait(self.leads, "the controller leads", seconds)
        return self

    def _wait(self, holds: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
        eventually(lambda: holds() or self.process.poll() is not None, what, seconds, self.tail)
        assert self.process.poll() is None, f"the controller ended with {self.process.returncode}\n{self.tail()}"

    def leads(self) -> bool:
        """Whether it says that it leads."""
        return self.metric("tradewind_leader") == 1

    def probe(self, path: str) -> tuple[int, str]:
        """Status and text of /healthz or /readyz; (0, …) when nothing answers."""
        return _get(f"http://127.0.0.1:{self.probe_port}{path}")

    def metrics(self) -> str:
        """The page that Prometheus reads."""
        return _get(f"http://127.0.0.1:{self.metrics_port}/metrics")[1]

    def metric(self, series: str) -> float | None:
        """The value of a series, written as on the page: `name{label="value"}`."""
        for line in self.metrics().splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        return None

    def longest_turn(self) -> float:
        """The smallest bound in seconds, of the metric's own, below which every turn of its event loop was."""
        name = 'tradewind_event_loop_delay_seconds_bucket{le="'
        found = [line.removeprefix(name).split('"} ') for line in self.metrics().splitlines() if line.startswith(name)]
        counts = [(float(bound), float(count)) for bound, count in found]
        return min(bound for bound, count in counts if count == counts[-1][1])

    def resident_mib(self) -> int:
        """Its resident memory."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        [kib] = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
        return int(kib) // 1024

    def stop(self) -> float:
        """Send SIGTERM, and return the seconds until it exited; fails on a bad exit code."""
        began = time.monotonic()
        self.process.terminate()
        self.wait_ended()
        return time.monotonic() - began

    def wait_ended(self) -> None:
        """Return once it has exited cleanly after a SIGTERM."""
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not end within {STOP_SECONDS:g} s of SIGTERM\n{self.tail()}") from None
        assert code == 0, f"it ended with {code} after SIGTERM\n{self.tail()}"

    def kill(self) -> None:
        """SIGKILL: it can do nothing about it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace").splitlines()
        return "\n".join([f"--- log of controller {self.process.pid} ({self.log})", *text[-lines:]])


class Controllers:
    """Starts controllers, and ends what is left of them."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self.started: list[ControllerProcess] = []
        self._kubeconfig, self._folder = kubeconfig, folder
        self._numbers = itertools.count(1)

    def launch(self, *options: str, lease_namespace: str) -> ControllerProcess:
        """Start one and do not wait."""
        log = self._folder / f"controller-{next(self._numbers)}.log"
        process = ControllerProcess(self._kubeconfig, log, *options, lease_namespace=lease_namespace)
        self.started.append(process)
        return process

    def launch_for(self, namespace: str, *options: str) -> ControllerProcess:
        """Start one that watches one namespace, and has its lease there."""
        return self.launch(f"--namespaces={namespace}", *options, lease_namespace=namespace)

    def end(self) -> None:
        """End all; fails when one does not end as it should."""
        running = [process for process in self.started if process.process.poll() is None]
        for process in running:
            process.process.terminate()
        for process in running:
            process.wait_ended()

    def tails(self) -> str:
        """The end of every log."""
        return "\n".join(process.tail() for process in self.started)


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)
