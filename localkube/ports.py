"""Ports of this machine."""

import contextlib
import random
import socket

CHOICE = range(10_000, 20_000)
"""Below the ports of clusters, and below the system's range for outgoing connections, one of which might take the port
first."""


def free_ports(count: int) -> list[int]:
    """Free ports of the loopback interface."""
    ports: list[int] = []
    with contextlib.ExitStack() as stack:
        for port in random.sample(CHOICE, len(CHOICE)):
            if len(ports) == count:
                break
            with contextlib.suppress(OSError):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                ports.append(port)
    return ports
