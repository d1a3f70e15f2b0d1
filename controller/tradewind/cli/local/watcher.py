"""Kills the tasks of a local run if its `tradewind` process is killed, since SIGKILL leaves that no time to do it.

Every run starts a watcher: a process in its own session, which imports nothing of Tradewind. It reads standard input,
to which only its `tradewind` process writes: `+123` for each process group that starts, `-123` for each that exits, and
`done` at the end. If the input ends without `done`, it kills the remaining groups and, on Linux, also processes in
other sessions, which it finds by TRADEWIND_OUTPUT in their environment.
"""

import contextlib
import os
import signal
import sys
import time

ROUNDS = 100


def main() -> None:
    """The argument is the folder with TRADEWIND_OUTPUT of every try of the run."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    marker = b"TRADEWIND_OUTPUT=" + os.fsencode(sys.argv[1]) + b"/"
    groups: set[int] = set()
    for line in sys.stdin.buffer:
        if line == b"done\n":
            return
        if line.endswith(b"\n"):
            (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
    for group in groups:
        kill(-group)
    for _ in range(ROUNDS):
        found = [pid for pid in _processes() if _has(pid, marker)]
        if not found:
            return
        for pid in found:
            kill(pid)
        time.sleep(0.02)


def kill(pid: int) -> None:
    """Kill a process, or a process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _processes() -> list[int]:
    with contextlib.suppress(OSError):
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]  # noqa: PTH208
    return []


def _has(pid: int, marker: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - it imports little
            return any(entry.startswith(marker) for entry in file.read().split(b"\0"))
    except OSError:
        return False


if __name__ == "__main__":
    main()
