"""Ports of this machine."""

import contextlib
import random
import socket

CHOICE = range(10_000, 20_000)
"""Below the ports of clusters, and below those that a system gives to outgoing connections: one of them might have it
before whoever is to listen there."""


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on just now."""
    ports: list[int] = []
    with contextlib.ExitStack() as stack:
        for port in random.sample(CHOICE, len(CHOICE)):
            if len(ports) == count:
                break
            with contextlib.suppress(OSError):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                ports.append(port)
    return ports
