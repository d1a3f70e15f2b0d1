"""Processes that localkube starts are stopped completely."""

import socket
import subprocess
import sys

import pytest

from localkube import processes
from localkube.ports import free_ports

pytestmark = pytest.mark.unit

LISTENS = """
import socket, sys, threading, time
listening = socket.socket()
listening.bind(("127.0.0.1", int(sys.argv[1])))
listening.listen()
memory = bytearray(1 << 29)
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
print("ready", flush=True)
time.sleep(600)
"""


def test_who_was_killed_holds_no_port_any_more() -> None:
    """Its first thread ends at once, and looks like the process; the last one gives up what they have in common."""
    for _ in range(5):
        [port] = free_ports(1)
        command = [sys.executable, "-c", LISTENS, str(port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
            process = processes.identify(running.pid)
            assert process is not None
            processes.kill_all([process])
            with socket.socket() as again:
                again.bind(("127.0.0.1", port))
