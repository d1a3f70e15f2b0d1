"""Processes of tasks: started in a group of their own, stopped as the kubelet stops a container, never left behind.

When a container exits, all its processes are killed. So when a task's process exits, its descendants are killed: its
process group and, on Linux, also descendants in another group or session, because this process adopts orphans. If this
process is killed itself, its Watcher does that.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
OUTPUT_VARIABLE = "TRADEWIND_OUTPUT"


class TaskProcess:
    """The process of a try. `marker` is the value of TRADEWIND_OUTPUT, which is unique to the try."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        directory: Path,
        log: Path,
        grace: timedelta,
        watcher: "Watcher",
    ) -> None:
        """Start the process. Raises OSError if the program cannot be started, ValueError for invalid arguments."""
        self.log = log
        self.marker = env[OUTPUT_VARIABLE]
        self._grace = grace.total_seconds()
        self._kill_at: float | None = None
        self._watcher = watcher
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                # UTF-8, as in a container, in any locale.
                list(map(_bytes, argv)),
                env={_bytes(name): _bytes(value) for name, value in env.items()},
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started_at = datetime.now(UTC)
        watcher.send(f"+{self.pid}")

    @property
    def pid(self) -> int:
        """Id of the process and of its group."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit code as a shell does (128 + signal), and kill the group; None while the process runs."""
        if not _has_exited(self._process):
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                self.kill()
            return None
        # Before the process is reaped: after that another group could get the same id.
        self.kill()
        self._watcher.send(f"-{self.pid}")
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def stop(self) -> None:
        """Send SIGTERM; the first poll() after the grace period kills the process."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._grace
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process and its group."""
        self._signal(signal.SIGKILL)

    @property
    def seconds_to_kill(self) -> float | None:
        """Time until the grace period expires; None if the process was not stopped."""
        return None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())

    def _signal(self, number: int) -> None:
        # EPERM: returned by macOS for a group with only zombies.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


class Watcher:
    """A process that kills the tasks of a run if this one is killed (watcher.py)."""

    def __init__(self, outputs: Path) -> None:
        """`outputs` is the folder with TRADEWIND_OUTPUT of every try."""
        program = str(Path(__file__).with_name("watcher.py"))
        self._process: subprocess.Popen[bytes] | None = None
        # The run also works without a watcher.
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", program, str(outputs)],
                env={name: value for name, value in os.environ.items() if not name.startswith("TRADEWIND_")},
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                bufsize=0,
            )

    @property
    def pids(self) -> set[int]:
        """Its process id, which is not that of an orphan of a task."""
        return {self._process.pid} if self._process else set()

    def send(self, text: str) -> None:
        """Send `+123` when process group 123 has started, `-123` when it has exited."""
        if self._process is not None and self._process.stdin is not None:
            # The watcher may have been killed too.
            with contextlib.suppress(OSError, ValueError):
                self._process.stdin.write(f"{text}\n".encode())

    def end(self) -> None:
        """Stop the watcher: no task is left."""
        if self._process is not None and self._process.stdin is not None:
            self.send("done")
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)


def adopt_orphans() -> None:
    """Make this process the new parent of descendants whose parent exits (Linux only)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_orphans(*, known: Collection[int], marker: str | None = None) -> None:
    """Kill adopted processes and their orphans: those of one try, or all without a marker.

    Children in `known` are not orphans, and are not reaped here.
    """
    for _ in range(200):
        orphans = [pid for pid in _children() if pid not in known and not _reap(pid)]
        selected = [pid for pid in orphans if marker is None or _is_of_try(pid, marker)]
        if not selected:
            return
        for pid in selected:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def _has_exited(process: "subprocess.Popen[bytes]") -> bool:
    """True if the process has exited; does not reap it if the system allows that."""
    if not hasattr(os, "waitid"):
        return process.poll() is not None
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _reap(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _children() -> Iterator[int]:
    for listing in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError, ValueError):
            yield from map(int, listing.read_text().split())


def _is_of_try(pid: int, marker: str) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"{OUTPUT_VARIABLE}={marker}".encode() in environment.split(b"\0")


@dataclass(frozen=True, slots=True)
class Interrupt:
    """A signal that asks this process to exit."""

    number: int

    def __str__(self) -> str:
        if self.number in (signal.SIGINT, signal.SIGQUIT):
            return "Ctrl-C" if self.number == signal.SIGINT else "Ctrl-\\"
        return signal.Signals(self.number).name


class Signals:
    """Signals as events: a child exited, or this process is asked to exit."""

    _TERMINATING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

    def __init__(self) -> None:
        self.interrupts: list[Interrupt] = []
        self._before: dict[int, object] = {}
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def __enter__(self) -> "Signals":
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in self._TERMINATING:
            # A signal that is already ignored (nohup, a background job of a shell) stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(-1)
        os.close(self._reader)
        os.close(self._writer)

    def wait(self, seconds: float) -> None:
        """Sleep until a signal arrives, at most `seconds`."""
        import select

        ready, _, _ = select.select([self._reader], [], [], max(0.0, seconds))
        if ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, 4096)

    def _note(self, number: int, _frame: object) -> None:
        self.interrupts.append(Interrupt(number))
