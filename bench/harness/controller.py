"""The controller as a separate process, as in a deployment."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import aiohttp

from bench.harness import processes
from bench.harness.waiting import until
from localkube.ports import free_ports

TRADEWIND = Path(sys.executable).with_name("tradewind")
LEADING_SECONDS = 120.0
STOP_SECONDS = 30.0


class ControllerProcess:
    """One replica, for one namespace."""

    def __init__(
        self, process: subprocess.Popen[bytes], pod: str, log: Path, metrics_port: int, probe_port: int
    ) -> None:
        self.pid = process.pid
        self.pod = pod
        self.log = log
        self.started_at = time.perf_counter()
        self._process, self._metrics_port, self._probe_port = process, metrics_port, probe_port

    @classmethod
    async def start(cls, kubeconfig: Path, namespace: str, pod: str, log: Path, *options: str) -> ControllerProcess:
        """Start one without waiting; replicas for the same namespace elect a leader."""
        metrics_port, probe_port = free_ports(2)
        command = [
            str(TRADEWIND),
            "controller",
            f"--namespaces={namespace}",
            f"--pod-namespace={namespace}",
            f"--metrics-port={metrics_port}",
            f"--probe-port={probe_port}",
            *options,
        ]
        # As in the chart: a restarted container knows that the previous one has exited.
        env = {**os.environ, "KUBECONFIG": str(kubeconfig), "TRADEWIND_POD_NAME": pod, "TRADEWIND_POD_UID": pod}

        def launch() -> subprocess.Popen[bytes]:
            with log.open("wb") as output:
                return subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT)

        return cls(await asyncio.to_thread(launch), pod, log, metrics_port, probe_port)

    async def leading(self) -> None:
        """Return once it is the leader."""
        await until(self._leads, f"the controller is the leader; see {self.log}", LEADING_SECONDS)

    async def ready(self) -> None:
        """Return once its caches are filled and it can take over."""

        async def says_so() -> bool:
            return await _get(f"http://127.0.0.1:{self._probe_port}/readyz") == "ok"

        await until(says_so, f"the controller is ready; see {self.log}", LEADING_SECONDS)

    async def metric(self, series: str) -> float | None:
        """Return the value of a series, named as on the metrics page: `name{label="value"}`."""
        for line in (await self._page()).splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        return None

    async def histogram(self, name: str) -> list[tuple[float, float]]:
        """Return (upper bound, observations up to it) of a histogram without labels, in order."""
        prefix = f'{name}_bucket{{le="'
        found = []
        for line in (await self._page()).splitlines():
            if line.startswith(prefix):
                bound, _, value = line.removeprefix(prefix).partition('"} ')
                found.append((float(bound), float(value)))
        return found

    async def events_written(self) -> int:
        """Return the number of requests that wrote Events so far."""
        lines = (await self._page()).splitlines()
        counts = [line for line in lines if line.startswith("tradewind_api_writes_total{") and '"events"' in line]
        return sum(int(float(line.rpartition(" ")[2])) for line in counts)

    def cpu_seconds(self) -> float:
        """Return the processor time so far."""
        return processes.cpu_seconds(self.pid)

    def resident_megabytes(self) -> float:
        """Return the current memory."""
        return processes.resident_bytes(self.pid) / 1e6

    def peak_megabytes(self) -> float:
        """Return the peak memory so far."""
        return processes.peak_resident_bytes(self.pid) / 1e6

    async def stop(self) -> None:
        """Send SIGTERM, and wait until it exits."""
        self._process.terminate()
        await asyncio.to_thread(self._process.wait, STOP_SECONDS)

    def kill(self) -> None:
        """Send SIGKILL."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    async def _leads(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"the controller exited with {self._process.returncode}: {_tail(self.log)}")
        return await self.metric("tradewind_leader") == 1

    async def _page(self) -> str:
        return await _get(f"http://127.0.0.1:{self._metrics_port}/metrics")


async def _get(url: str) -> str:
    """Return the text of a page; empty without an answer."""
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return await answer.text()
    except (aiohttp.ClientError, OSError):
        return ""


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
