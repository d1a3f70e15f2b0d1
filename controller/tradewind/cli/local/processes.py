"""Processes of tasks: started in a group of their own, stopped as the kubelet stops a container, never left behind.

A container ends with everything in it. So when a task's process ends, what it left running is killed: its process
group and, on Linux, also what put itself into another group or session, because this process adopts orphans. When
this process is killed itself, its Watcher does that.
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
    """One try under way. `marker` is the value of TRADEWIND_OUTPUT, which no other try has."""

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
        """Start it. Raises OSError when the program cannot be started, ValueError when it cannot be given these
        arguments."""
        self.log = log
        self.marker = env[OUTPUT_VARIABLE]
        self._grace = grace.total_seconds()
        self._kill_at: float | None = None
        self._watcher = watcher
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                # In UTF-8, as in a container, whatever the locale is here.
                list(map(_bytes, argv)),
                env={_bytes(name): _bytes(value) for name, value in env.items()},
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started_at = datetime.now(UTC)
        watcher.tell(f"+{self.pid}")

    @property
    def pid(self) -> int:
        """Id of the process and of its group."""
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit code once it has ended, as a shell counts it (128 + signal); its group is killed then."""
        if not _has_ended(self._process):
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                self.kill()
            return None
        # Before the process is reaped, because until then nobody else can get the id of its group.
        self.kill()
        self._watcher.tell(f"-{self.pid}")
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def stop(self) -> None:
        """Ask it to end; when the grace period is over it is killed by the next poll()."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._grace
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and its group now."""
        self._signal(signal.SIGKILL)

    @property
    def seconds_to_kill(self) -> float | None:
        """How long until the grace period is over; None when it was not asked to end."""
        return None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())

    def _signal(self, number: int) -> None:
        # EPERM: macOS answers so for a group that has only zombies left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


class Watcher:
    """A process that kills the tasks of a run if this one is killed (watcher.py)."""

    def __init__(self, outputs: Path) -> None:
        """`outputs` is where TRADEWIND_OUTPUT of every try lies."""
        program = str(Path(__file__).with_name("watcher.py"))
        self._process: subprocess.Popen[bytes] | None = None
        # Without one the run goes as well.
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
        """Its process, which is no orphan of a task."""
        return {self._process.pid} if self._process else set()

    def tell(self, text: str) -> None:
        """`+123`: such a process group has started; `-123`: it has ended."""
        if self._process is not None and self._process.stdin is not None:
            # It may have been killed too.
            with contextlib.suppress(OSError, ValueError):
                self._process.stdin.write(f"{text}\n".encode())

    def end(self) -> None:
        """No task is left."""
        if self._process is not None and self._process.stdin is not None:
            self.tell("done")
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)


def adopt_orphans() -> None:
    """From now on a descendant whose parent dies becomes a child of this process (Linux only)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_orphans(*, known: Collection[int], marker: str | None = None) -> None:
    """Kill adopted processes, and what they leave in turn: those of one try, or all without a marker.

    Children in `known` are no orphans: their exit codes are left to those who started them.
    """
    for _ in range(200):
        orphans = [pid for pid in _children() if pid not in known and not _reap(pid)]
        condemned = [pid for pid in orphans if marker is None or _is_of_try(pid, marker)]
        if not condemned:
            return
        for pid in condemned:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Whether it has; where the system allows it, without reaping it."""
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
    """A signal that asks this process to end."""

    number: int

    def __str__(self) -> str:
        if self.number in (signal.SIGINT, signal.SIGQUIT):
            return "Ctrl-C" if self.number == signal.SIGINT else "Ctrl-\\"
        return signal.Signals(self.number).name


class Signals:
    """Signals as events: a child ended, or somebody wants this process to end."""

    _ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

    def __init__(self) -> None:
        self.interrupts: list[Interrupt] = []
        self._before: dict[int, object] = {}
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def __enter__(self) -> "Signals":
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in self._ENDING:
            # Ignored from the start means nohup, or a shell's background job: it stays ignored.
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
        """Sleep until a signal comes, at most `seconds`."""
        import select

        ready, _, _ = select.select([self._reader], [], [], max(0.0, seconds))
        if ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, 4096)

    def _note(self, number: int, _frame: object) -> None:
        self.interrupts.append(Interrupt(number))
