"""The folder of a run: logs, outputs and status.yaml, which a cluster keeps in Pods and in the DagRun."""

import contextlib
import errno
import os
import shutil
import stat
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from tradewind.api.times import format_time
from tradewind.cli.local import locks
from tradewind.engine.run.states import FINISHED_PHASES, FINISHED_STATES, TaskState
from tradewind.engine.run.tries import TryKey
from tradewind.engine.status.run_status import end_conditions

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAIL_BYTES = 2048
_TAIL_LINES = 80
_MOST_OUTPUT = 1024 * 1024
_ALIVE = "running"
"""A file in the folder of a run, locked while its process lives, and deleted when the run has finished."""
_UNFINISHED = ".status.yaml"
_KILLED = "the process that ran it was killed"


class BadOutputError(Exception):
    """The output of a try cannot be read; the message says why."""


class RunFolder:
    """`FOLDER/runs/<run name>/` and `FOLDER/volumes/`."""

    def __init__(self, base: Path, name: str) -> None:
        self.base = base
        self.name = name
        self.path = base / "runs" / name
        self._alive = locks.NO_LOCKS

    @classmethod
    def make(cls, base: Path, name: str) -> "RunFolder":
        """Create the folder of a new run; if the name is taken, `name-2` and so on. Raises OSError."""
        (base / "runs").mkdir(parents=True, exist_ok=True)
        ignored = base / ".gitignore"
        if not ignored.exists():
            ignored.write_text("*\n")
        for number in count(1):
            folder = cls(base, name if number == 1 else f"{name}-{number}")
            try:
                folder.path.mkdir()
            except FileExistsError:
                continue
            break
        try:
            folder._initialize()
        except BaseException:
            shutil.rmtree(folder.path, ignore_errors=True)
            raise
        return folder

    def _initialize(self) -> None:
        for below in ("logs", "outputs"):
            (self.path / below).mkdir()
        # Lock the file before it has its name: an unlocked file means that its process was killed.
        unnamed = self.path / f".{_ALIVE}"
        self._alive = locks.take(unnamed) or locks.NO_LOCKS
        unnamed.rename(self.path / _ALIVE)

    def log(self, key: TryKey) -> Path:
        """The file for stdout and stderr of a try."""
        return self.path / "logs" / f"{_stem(key)}.log"

    @property
    def outputs(self) -> Path:
        """The folder of all outputs."""
        return self.path / "outputs"

    def output(self, key: TryKey) -> Path:
        """The file for the output of a try, instead of a container's termination log."""
        return self.outputs / f"{_stem(key)}.json"

    def work(self, key: TryKey) -> Path:
        """The folder in which a try starts, instead of a container's file system."""
        return self.path / "work" / _stem(key)

    def scratch(self, key: TryKey, volume: str) -> Path:
        """An empty folder of one try, for an emptyDir volume."""
        return self.path / "scratch" / _stem(key) / volume

    def volume(self, claim: str) -> Path:
        """A folder shared by all runs, for a persistent volume claim."""
        return self.base / "volumes" / claim

    def read_output(self, key: TryKey) -> str | None:
        """Return the output of a try; None if it is empty. Raises BadOutputError if it cannot be read."""
        try:
            with open_plain(self.output(key)) as file:
                text = file.read(_MOST_OUTPUT).decode(errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadOutputError(f"cannot be read: {(error.strerror or str(error)).lower()}") from error
        return text or None

    def remove_empty_work(self, key: TryKey) -> None:
        """Remove the folder of a finished try if it is empty."""
        with contextlib.suppress(OSError):
            self.work(key).rmdir()

    def write_status(self, dag_run: dict[str, Any]) -> None:
        """Write the DagRun to `status.yaml`, atomically. Raises OSError."""
        _write(self.path, dag_run)

    def finish(self) -> None:
        """Mark the run as finished, after its status was written."""
        with contextlib.suppress(OSError):
            (self.path / _ALIVE).unlink()
        locks.release(self._alive)
        self._alive = locks.NO_LOCKS


def mark_killed(base: Path) -> list[str]:
    """Write the status of each run whose process was killed, and return the names of the runs."""
    found = []
    for alive in sorted((base / "runs").glob(f"*/{_ALIVE}")):
        with contextlib.suppress(OSError):
            descriptor = locks.take(alive)
            if descriptor is None or descriptor == locks.NO_LOCKS:
                continue
            # It may have finished just now.
            if alive.exists() and _write_killed(alive.parent):
                found.append(alive.parent.name)
            (alive.parent / _UNFINISHED).unlink(missing_ok=True)
            alive.unlink(missing_ok=True)
            locks.release(descriptor)
    return found


def _write_killed(folder: Path) -> bool:
    """Write to the status of a run that it was killed. Returns False if it had finished."""
    path = folder / "status.yaml"
    try:
        with open_plain(path) as file:
            run = yaml.load(file, Loader=_Loader)
        status = run["status"]
        if status["phase"] in FINISHED_PHASES:
            return False
        moment = format_time(datetime.fromtimestamp(path.stat().st_mtime, UTC))
        status |= {"phase": "Failed", "reason": "Killed", "message": _KILLED, "finishedAt": moment}
        status["conditions"] = [
            {**each, "lastTransitionTime": moment} for each in end_conditions("Failed", "Killed", _KILLED)
        ]
        for entry in status.get("tasks") or ():
            if entry["state"] not in FINISHED_STATES:
                active = entry["state"] in (TaskState.QUEUED, TaskState.RUNNING)
                entry |= {"state": "Failed" if active else "Skipped", "reason": "Killed", "message": _KILLED}
    except FileNotFoundError:
        return True
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return True  # status.yaml was edited
    _write(folder, run)
    return True


def _write(folder: Path, dag_run: dict[str, Any]) -> None:
    unfinished = folder / _UNFINISHED
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            yaml.dump(dag_run, file, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
        unfinished.replace(folder / "status.yaml")
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def open_plain(path: Path) -> BinaryIO:
    """Open a file that a task wrote. Raises OSError if it is not a regular file: it may be a pipe without a writer, or
    a link to another file of the user."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is not a file")
    return os.fdopen(descriptor, "rb")


def _stem(key: TryKey) -> str:
    """Return `load-1`; `load-3-1` for the first try of index 3; `landed-1-5` for the fifth poke of a sensor."""
    numbers = [str(number) for number in (key.index, key.number, key.poke or None) if number is not None]
    return "-".join([key.task, *numbers])


def last_lines(log: Path, most: int = _TAIL_LINES, limit: int = _TAIL_BYTES) -> str:
    """Return the end of a log, by default as much as the kubelet uses as message of a failed container."""
    try:
        with open_plain(log) as file:
            file.seek(0, os.SEEK_END)
            size = file.tell()
            file.seek(max(0, size - limit))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-most:])
