"""/healthz, and the cluster, when a connection hangs silently or the process is stopped."""

import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster import RealCluster, eventually
from tests.e2e.controller_process import Controllers
from tests.e2e.spaces import NewSpace, task

SILENCE_SECONDS = 100.0
"""Longer than the time after which a silent watch is opened again (90)."""


class Proxy:
    """Forwards between a controller and the API server, and can drop some of the traffic."""

    def __init__(self, server: str) -> None:
        host, _, port = server.removeprefix("https://").partition(":")
        self._target = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._silent: set[socket.socket] = set()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def fall_silent(self) -> None:
        """Existing connections stay open but transfer nothing; new ones work."""
        self._silent |= set(self._pairs)

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        for end in [self._listener, *self._pairs]:
            end.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            heard = [end for end in list(self._pairs) if end not in self._silent]
            for ready in select.select([self._listener, *heard], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    if ready is self._listener:
                        near, far = self._listener.accept()[0], socket.create_connection(self._target, timeout=30)
                        self._pairs |= {near: far, far: near}
                    elif ready in self._pairs:
                        self._pass_on(ready)

    def _pass_on(self, end: socket.socket) -> None:
        other = self._pairs[end]
        data = b""
        with contextlib.suppress(OSError):
            data = end.recv(65536)
        if data:
            other.sendall(data)
            return
        for closed in (end, other):
            del self._pairs[closed]
            closed.close()


@pytest.fixture
def proxy(real: RealCluster) -> Iterator[Proxy]:
    proxy = Proxy(yaml.safe_load(real.kubeconfig.read_text())["clusters"][0]["cluster"]["server"])
    yield proxy
    proxy.end()


def test_a_silent_connection_is_noticed(real: RealCluster, new_space: NewSpace, proxy: Proxy, tmp_path: Path) -> None:
    """As when a firewall drops a connection: it is not closed, and no bookmark arrives."""
    config = yaml.safe_load(real.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{proxy.port}"
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    controllers = Controllers(kubeconfig, tmp_path)
    space = new_space("silent")
    controller = controllers.launch_for(space.name).wait_leading()
    try:
        space.dag("hello", task("t", "true"))
        space.wait_succeeded(space.run("hello"))

        proxy.fall_silent()

        run = space.run("hello")
        verdicts = set()
        deadline = time.monotonic() + SILENCE_SECONDS
        while time.monotonic() < deadline:
            verdicts.add(controller.probe("/healthz")[0])
            time.sleep(1)
        space.wait_succeeded(run)
        assert controller.probe("/healthz") == (200, "ok")
        assert verdicts <= {200, 0}, "it has recovered itself: there was no need for a restart"
    finally:
        controllers.end()


def test_a_process_that_is_stopped_answers_no_probe(new_space: NewSpace, controllers: Controllers) -> None:
    """Nor does one whose loop is blocked: the kubelet then restarts it."""
    space = new_space("stopped")
    controller = controllers.launch_for(space.name).wait_ready()
    os.kill(controller.process.pid, signal.SIGSTOP)
    os.waitpid(controller.process.pid, os.WUNTRACED)  # each of its threads has to stop first
    try:
        assert controller.probe("/healthz")[0] == 0
    finally:
        os.kill(controller.process.pid, signal.SIGCONT)
    eventually(lambda: controller.probe("/healthz") == (200, "ok"), "it continues", 240, controller.tail)
