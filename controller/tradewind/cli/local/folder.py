"""The folder of a run: logs, outputs, status.yaml. What a cluster keeps in Pods and in the DagRun, kept in files."""

import os
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from tradewind.api.names import run_name
from tradewind.engine.tries import TryKey

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_TAIL_BYTES = 2048
_TAIL_LINES = 80
_MOST_OUTPUT = 1024 * 1024


class RunFolder:
    """`FOLDER/runs/<run name>/` and `FOLDER/volumes/`."""

    def __init__(self, base: Path, name: str) -> None:
        self.base = base
        self.name = name
        self.path = base / "runs" / name

    @classmethod
    def make(cls, base: Path, dag: str, moment: datetime) -> "RunFolder":
        """The folder of a new run, named after the moment (a second later each, where the name is taken)."""
        (base / "runs").mkdir(parents=True, exist_ok=True)
        ignored = base / ".gitignore"
        if not ignored.exists():
            ignored.write_text("*\n")
        while True:
            folder = cls(base, run_name(dag, moment))
            try:
                folder.path.mkdir()
            except FileExistsError:
                moment += timedelta(seconds=1)
                continue
            (folder.path / "logs").mkdir()
            (folder.path / "outputs").mkdir()
            return folder

    def log(self, key: TryKey) -> Path:
        """Where a try's stdout and stderr go."""
        return self.path / "logs" / f"{_stem(key)}.log"

    def output(self, key: TryKey) -> Path:
        """Where a try writes its output: the place of a container's termination log."""
        return self.path / "outputs" / f"{_stem(key)}.json"

    def scratch(self, key: TryKey, volume: str) -> Path:
        """An empty folder of one try: the place of an emptyDir volume."""
        return self.path / "scratch" / _stem(key) / volume

    def volume(self, claim: str) -> Path:
        """A folder that all runs share: the place of a persistent volume claim."""
        return self.base / "volumes" / claim

    def read_output(self, key: TryKey) -> str | None:
        """What the try wrote as its output; None when it wrote nothing."""
        try:
            with self.output(key).open("rb") as file:
                text = file.read(_MOST_OUTPUT).decode(errors="replace")
        except OSError:
            return None
        return text or None

    def write_status(self, dag_run: dict[str, Any]) -> None:
        """The DagRun as `status.yaml`; a reader never sees half of it."""
        with tempfile.NamedTemporaryFile("w", dir=self.path, delete=False, encoding="utf-8") as file:
            yaml.dump(dag_run, file, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
        os.chmod(file.name, 0o644)  # noqa: PTH101 - a name, not a path
        os.replace(file.name, self.path / "status.yaml")  # noqa: PTH105 - a name, not a path


def _stem(key: TryKey) -> str:
    """`load-1`; `load-3-1` for the first try of index 3; `landed-1-5` for the fifth look of a sensor."""
    numbers = [str(number) for number in (key.index, key.number, key.poke or None) if number is not None]
    return "-".join([key.task, *numbers])


def last_lines(log: Path, most: int = _TAIL_LINES, limit: int = _TAIL_BYTES) -> str:
    """The end of a log, as much of it as the kubelet takes for the message of a container that failed."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            size = file.tell()
            file.seek(max(0, size - limit))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-most:])
