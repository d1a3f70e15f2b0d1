"""The folder of a run: logs, outputs, status.yaml. What a cluster keeps in Pods and in the DagRun, kept in files."""

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
"""A file in the folder of a run, locked as long as its process lives, and gone when the run has finished."""
_UNFINISHED = ".status.yaml"
_KILLED = "the process that ran it was killed"


class BadOutputError(Exception):
    """What a try has left as its output is nothing to read; the message says what it is."""


class RunFolder:
    """`FOLDER/runs/<run name>/` and `FOLDER/volumes/`."""

    def __init__(self, base: Path, name: str) -> None:
        self.base = base
        self.name = name
        self.path = base / "runs" / name
        self._alive = locks.NO_LOCKS

    @classmethod
    def make(cls, base: Path, name: str) -> "RunFolder":
        """The folder of a new run; where the name is taken, `name-2` and so on. Raises OSError."""
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
            folder._begin()
        except BaseException:
            shutil.rmtree(folder.path, ignore_errors=True)
            raise
        return folder

    def _begin(self) -> None:
        for below in ("logs", "outputs"):
            (self.path / below).mkdir()
        # Locked before it has its name: one that can be locked by others is that of a process that was killed.
        unnamed = self.path / f".{_ALIVE}"
        self._alive = locks.take(unnamed) or locks.NO_LOCKS
        unnamed.rename(self.path / _ALIVE)

    def log(self, key: TryKey) -> Path:
        """Where a try's stdout and stderr go."""
        return self.path / "logs" / f"{_stem(key)}.log"

    @property
    def outputs(self) -> Path:
        """Where the outputs of all tries are."""
        return self.path / "outputs"

    def output(self, key: TryKey) -> Path:
        """Where a try writes its output: the place of a container's termination log."""
        return self.outputs / f"{_stem(key)}.json"

    def work(self, key: TryKey) -> Path:
        """The folder that a try starts in: the place of a container's own disk."""
        return self.path / "work" / _stem(key)

    def scratch(self, key: TryKey, volume: str) -> Path:
        """An empty folder of one try: the place of an emptyDir volume."""
        return self.path / "scratch" / _stem(key) / volume

    def volume(self, claim: str) -> Path:
        """A folder that all runs share: the place of a persistent volume claim."""
        return self.base / "volumes" / claim

    def read_output(self, key: TryKey) -> str | None:
        """What the try wrote as its output; None when it wrote nothing. Raises BadOutputError for what is no file."""
        try:
            with open_plain(self.output(key)) as file:
                text = file.read(_MOST_OUTPUT).decode(errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadOutputError(f"cannot be read: {(error.strerror or str(error)).lower()}") from error
        return text or None

    def forget_work(self, key: TryKey) -> None:
        """The try is over: its folder goes if nothing is in it."""
        with contextlib.suppress(OSError):
            self.work(key).rmdir()

    def write_status(self, dag_run: dict[str, Any]) -> None:
        """The DagRun as `status.yaml`; a reader never sees half of it. Raises OSError."""
        _write(self.path, dag_run)

    def finish(self) -> None:
        """The run has finished, and its status is written."""
        with contextlib.suppress(OSError):
            (self.path / _ALIVE).unlink()
        locks.release(self._alive)
        self._alive = locks.NO_LOCKS


def mark_killed(base: Path) -> list[str]:
    """Give each run whose process was killed an end, and return their names."""
    found = []
    for alive in sorted((base / "runs").glob(f"*/{_ALIVE}")):
        with contextlib.suppress(OSError):
            descriptor = locks.take(alive)
            if descriptor is None or descriptor == locks.NO_LOCKS:
                continue
            # It may have finished just now.
            if alive.exists() and _end(alive.parent):
                found.append(alive.parent.name)
            (alive.parent / _UNFINISHED).unlink(missing_ok=True)
            alive.unlink(missing_ok=True)
            locks.release(descriptor)
    return found


def _end(folder: Path) -> bool:
    """Write into the status of a run that it was killed; False if it had finished."""
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
                under_way = entry["state"] in (TaskState.QUEUED, TaskState.RUNNING)
                entry |= {"state": "Failed" if under_way else "Skipped", "reason": "Killed", "message": _KILLED}
    except FileNotFoundError:
        return True
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return True  # somebody has edited it
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
    """A file that a task has written, to read. Raises OSError for what is none: a task may have put anything there, a
    pipe that nobody writes to or a link to a file of the user's."""
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
    """`load-1`; `load-3-1` for the first try of index 3; `landed-1-5` for the fifth look of a sensor."""
    numbers = [str(number) for number in (key.index, key.number, key.poke or None) if number is not None]
    return "-".join([key.task, *numbers])


def last_lines(log: Path, most: int = _TAIL_LINES, limit: int = _TAIL_BYTES) -> str:
    """The end of a log, as much of it as the kubelet takes for the message of a container that failed."""
    try:
        with open_plain(log) as file:
            file.seek(0, os.SEEK_END)
            size = file.tell()
            file.seek(max(0, size - limit))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-most:])
