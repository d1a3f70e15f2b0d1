"""Runs the real `tradewind` in a process of its own, in an empty folder."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from tradewind.api.dagrun import DagRun
from tradewind.cli.main import SECTIONS, main

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
PROGRAM = str(Path(sys.executable).with_name("tradewind"))

DagFile = Callable[..., Path]

_forks = multiprocessing.get_context("forkserver")
# What takes half a second to import is there already in each process.
_forks.set_forkserver_preload(
    [__name__, *(place.partition(":")[0] for section in SECTIONS.values() for place, _ in section.values())]
)


@dataclass(frozen=True)
class Result:
    """The result of the program."""

    code: int
    out: str
    err: str


def _as_program(argv: list[str], folder: Path, env: dict[str, str], streams: tuple[Path, Path, Path]) -> None:
    """Be the program, in a process that has just been forked."""
    for number, (path, mode) in enumerate(zip(streams, ("r", "w", "w"), strict=True)):
        with path.open(mode) as file:
            os.dup2(file.fileno(), number)
    sys.stdin = os.fdopen(0, encoding="utf-8")
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    sys.argv[:] = argv
    main()


def _restore_signals() -> None:
    """Restore the default signal handlers: background jobs of a shell ignore SIGINT, and SIGHUP under nohup, and
    children inherit that."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


@dataclass
class Cli:
    """The program in a folder."""

    folder: Path
    env: dict[str, str]

    def __call__(self, *args: str | Path, stdin: str | None = None, timeout: float = 60, **env: str) -> Result:
        with TemporaryDirectory() as streams:
            given, out, err = (Path(streams, name) for name in ("in", "out", "err"))
            given.write_text(stdin or "")
            command = ([PROGRAM, *map(str, args)], self.folder, {**self.env, **env}, (given, out, err))
            process = _forks.Process(target=_as_program, args=command)
            process.start()
            process.join(timeout)
            if process.is_alive():
                process.kill()
                process.join(10)
                raise TimeoutError(
                    f"{command[0]} is still running after {timeout:g} s: {out.read_text()}{err.read_text()}"
                )
            assert process.exitcode is not None
            return Result(process.exitcode, out.read_text(), err.read_text())

    def start(self, *args: str | Path) -> "subprocess.Popen[str]":
        """The program, still running."""
        return subprocess.Popen(
            [PROGRAM, *map(str, args)],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=_restore_signals,
        )

    @property
    def run_folder(self) -> Path:
        """The folder of the only run."""
        (found,) = (self.folder / ".tradewind" / "runs").iterdir()
        return found

    def dag_run(self) -> DagRun:
        """The status file of the only run, which must be a DagRun."""
        return DagRun.model_validate(yaml.safe_load((self.run_folder / "status.yaml").read_text()))

    def tasks(self) -> dict[str, Any]:
        """The tasks of the only run, by name."""
        status = self.dag_run().status
        assert status is not None
        return {task.name: task for task in status.tasks or ()}

    def log(self, task: str, number: int = 1) -> str:
        """The log of a try of the only run."""
        return (self.run_folder / "logs" / f"{task}-{number}.log").read_text()


def sh(name: str, script: str, **more: object) -> dict[str, object]:
    """A task that runs a script."""
    return {"name": name, "script": script, **more}


def survivors(marker: str) -> list[str]:
    """Command lines of the processes that have `marker` in their arguments or environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if arguments and marker.encode() in arguments + environment and process.name != str(os.getpid()):
            found.append(arguments.replace(b"\0", b" ").decode(errors="replace"))
    return found
