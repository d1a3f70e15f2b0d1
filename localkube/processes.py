"""Start long-running processes that outlive this one, and stop exactly those again.

A process is known by its pid AND its start time, recorded in a file by the
process itself before it becomes the component: a recycled pid is never
mistaken for ours, and not even SIGKILL of the starter leaves an unknown child.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from localkube.errors import LocalkubeError
from localkube.shell import tail_of

# Run in the background by a shell that then exits, so init adopts (and reaps) it.
# `echo 0` into a cgroup.procs file moves the writer itself.
_BECOME = """
start_time() { echo "${22}"; }
echo "$$ $(start_time $(cat /proc/$$/stat))" >"$LOCALKUBE_PID_FILE"
[ -z "$LOCALKUBE_CGROUP" ] || echo 0 >"$LOCALKUBE_CGROUP/cgroup.procs"
unset LOCALKUBE_PID_FILE LOCALKUBE_CGROUP LOCALKUBE_BECOME LOCALKUBE_LOG
exec "$@"
"""
_LAUNCH = 'sh -c "$LOCALKUBE_BECOME" sh "$@" >>"$LOCALKUBE_LOG" 2>&1 </dev/null &'


@dataclass(frozen=True)
class Process:
    """A process that was started: its pid, and when (clock ticks since boot)."""

    pid: int
    start_ticks: int

    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not, unless it has threads left: they have its ports)."""
        try:
            state, threads, ticks = _state_threads_and_start(self.pid)
        except (FileNotFoundError, ProcessLookupError):
            return False
        return ticks == self.start_ticks and (state not in "ZX" or threads > 1)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has exited."""
        if self.alive():
            _kill(self.pid, number)


def start(
    command: Sequence[str | Path],
    *,
    pid_file: Path,
    log: Path,
    cwd: Path,
    cgroup: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Process:
    """Start a process in a session of its own, output appended to `log`.

    Raises LocalkubeError if it exited before it recorded its pid.
    """
    pid_file.unlink(missing_ok=True)
    for folder in (pid_file.parent, log.parent):
        folder.mkdir(parents=True, exist_ok=True)
    launch_env = {
        **os.environ,
        **(env or {}),
        "LOCALKUBE_BECOME": _BECOME,
        "LOCALKUBE_PID_FILE": str(pid_file),
        "LOCALKUBE_CGROUP": str(cgroup or ""),
        "LOCALKUBE_LOG": str(log),
    }
    words = [str(word) for word in command]
    subprocess.run(["sh", "-c", _LAUNCH, "sh", *words], check=True, env=launch_env, cwd=cwd, start_new_session=True)
    for _ in range(500):
        process = read(pid_file)
        if process is not None:
            return process
        time.sleep(0.01)
    raise LocalkubeError(f"{words[0]} did not start{tail_of(log)}")


def read(pid_file: Path) -> Process | None:
    """The process recorded in a pid file, running or not; None if none is recorded."""
    try:
        pid, ticks = pid_file.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return Process(int(pid), int(ticks))


def identify(pid: int) -> Process | None:
    """The process that has this pid now."""
    try:
        return Process(pid, _state_threads_and_start(pid)[2])
    except (FileNotFoundError, ProcessLookupError):
        return None


def kill_all(targets: Iterable[Process], *, limit: float = 20.0) -> None:
    """SIGKILL processes and wait until none is left; raises LocalkubeError if one stays."""
    left = [process for process in targets if process.alive()]
    for process in left:
        process.signal(signal.SIGKILL)
    end = time.monotonic() + limit
    while left := [process for process in left if process.alive()]:
        if time.monotonic() > end:
            raise LocalkubeError(f"processes {[p.pid for p in left]} outlive SIGKILL (see `ps -o stat,wchan`)")
        time.sleep(0.02)


def _state_threads_and_start(pid: int) -> tuple[str, int, int]:
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return after_name[0], int(after_name[17]), int(after_name[19])


def _kill(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
