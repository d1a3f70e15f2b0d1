"""The logs of all tasks of a run, with each line prefixed by the name of its task."""

import errno
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

import click

from tradewind.api.names import LABEL_RUN, LABEL_TRY
from tradewind.cli.cluster.client import Cluster
from tradewind.cli.cluster.pod_logs import (
    attempt,
    has_container,
    has_log,
    instance_of,
    start_error,
    started,
    waiting_reason,
)
from tradewind.cli.errors import CliError

_POLL_SECONDS = 1.0
_POLL_SHARE = 5
"""Ratio of pause to duration of a list of Pods, which takes long for a run with many tasks."""
_MAX_FOLLOWED = 50
"""Limit of logs that are followed at once."""
_MAX_LINE = 1 << 16
_MAX_MISSING = 10


def print_all(
    cluster: Cluster, run: str, container: str, *, number: int | None, since: int | None, tail: int | None
) -> None:
    """Print the log of the last try of each task (or of try `number`), in the order in which they started.

    Raises CliError if there are no logs.
    """
    last: dict[str, dict[str, Any]] = {}
    for pod in _pods(cluster, run, number):
        known = last.setdefault(instance_of(pod), pod)
        last[instance_of(pod)] = max(known, pod, key=attempt)
    missing, found = [], 0
    for pod in sorted(last.values(), key=lambda pod: started(pod, container)):
        if not has_container(pod, container):
            continue
        if not has_log(pod, container):
            missing.append(f"{instance_of(pod)}: has not started{waiting_reason(pod)}")
            continue
        found += 1
        try:
            _Lines(f"[{instance_of(pod)}] ", threading.Lock()).copy(
                cluster.log(pod["metadata"]["name"], container, since=since, tail=tail)
            )
        except CliError as error:
            missing.append(f"{instance_of(pod)}: {error}")
        else:
            if error_text := start_error(pod, container):
                missing.append(f"{instance_of(pod)}: could not start: {error_text}")
    _report_missing(missing)
    if not found and not missing:
        cluster.get("DagRun", run)
        of = f" of try {number}" if number is not None else ""
        raise CliError(
            f"run {run!r} has no Pods{of} with a container {container!r}; see `tradewind status {run}`, "
            "or wait for them with -f"
        )


def follow_all(cluster: Cluster, run: str, container: str, *, since: int | None, tail: int | None) -> None:
    """Print the logs of all tries as they arrive, until the run finishes."""
    lock, threads, seen = threading.Lock(), list[threading.Thread](), set[str]()
    broken = threading.Event()

    def copy(pod: Mapping[str, Any]) -> None:
        number = pod["metadata"]["labels"].get(LABEL_TRY, "1")
        name = instance_of(pod) + (f" try {number}" if number != "1" else "")
        try:
            pieces = cluster.log(pod["metadata"]["name"], container, follow=True, since=since, tail=tail)
            _Lines(f"[{name}] ", lock).copy(pieces)
            if error_text := start_error(pod, container):
                raise CliError(f"could not start: {error_text}")
        except CliError as error:
            with lock:
                click.echo(f"[{name}] {error}", err=True)
        except OSError:
            broken.set()

    while True:
        began = time.monotonic()
        finished = (cluster.get("DagRun", run).get("status") or {}).get("phase") in ("Succeeded", "Failed")
        threads = [thread for thread in threads if thread.is_alive()]
        new = [
            pod
            for pod in sorted(_pods(cluster, run, None), key=lambda pod: started(pod, container))
            if pod["metadata"]["uid"] not in seen and has_log(pod, container)
        ]
        for pod in new[: max(0, _MAX_FOLLOWED - len(threads))]:
            seen.add(pod["metadata"]["uid"])
            threads.append(threading.Thread(target=copy, args=(pod,), daemon=True))
            threads[-1].start()
        if finished and not new and not threads:
            return
        pause = max(_POLL_SECONDS, _POLL_SHARE * (time.monotonic() - began))
        if broken.wait(pause):
            raise BrokenPipeError(errno.EPIPE, "the reader of the output exited")


def _pods(cluster: Cluster, run: str, number: int | None) -> list[dict[str, Any]]:
    return cluster.pods(f"{LABEL_RUN}={run}" + (f",{LABEL_TRY}={number}" if number is not None else ""))


def _report_missing(missing: list[str]) -> None:
    for line in missing[:_MAX_MISSING]:
        click.echo(f"no log of {line}", err=True)
    if len(missing) > _MAX_MISSING:
        click.echo(f"and {len(missing) - _MAX_MISSING} more", err=True)


class _Lines:
    """Writes a stream of pieces as whole lines, with a name before each."""

    def __init__(self, name: str, lock: threading.Lock) -> None:
        self._name, self._lock, self._rest = name.encode(), lock, b""

    def copy(self, pieces: Iterable[bytes]) -> None:
        """Copy all pieces to stdout, and end the last line if needed."""
        for piece in pieces:
            *lines, self._rest = (self._rest + piece).split(b"\n")
            if len(self._rest) > _MAX_LINE:
                lines, self._rest = [*lines, self._rest], b""
            self._write(lines)
        self._write([self._rest] if self._rest else [])

    def _write(self, lines: list[bytes]) -> None:
        with self._lock:
            sys.stdout.buffer.write(b"".join(self._name + line + b"\n" for line in lines))
            sys.stdout.buffer.flush()
