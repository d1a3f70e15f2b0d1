"""Who carries out, on this machine, what the engine plans for tasks of a kind. What comes of it is reported."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tradewind.cli.local.display import Display
from tradewind.cli.local.environment import Environment
from tradewind.cli.local.folder import RunFolder
from tradewind.cli.local.processes import Watcher
from tradewind.engine.run.run_info import Stop, Wait
from tradewind.engine.run.state import RunState
from tradewind.engine.run.tries import TryEvent, TryKey
from tradewind.engine.scheduler import Start


class Report(Protocol):
    """Reports what has become of a try, with the fields of a TryReport."""

    def __call__(self, key: TryKey, event: TryEvent, **facts: Any) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The local run, as carriers see it."""

    run: RunState
    folder: RunFolder
    environment: Environment
    display: Display
    watcher: Watcher
    here: Path | None
    """The folder in which tasks start; None: each try in an empty one."""
    show_logs: bool
    report: Report
    note_once: Callable[[str], None]
    """Shows a hint, unless it was shown before."""


class LocalCarrier:
    """Nothing is to be done: a kind overrides what is otherwise."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def start(self, start: Start) -> None:
        """A try has got its slots."""

    def stop(self, stop: Stop) -> None:
        """A try that is under way is to end."""

    def wait(self, wait: Wait) -> None:
        """A try waits for a report."""

    def collect(self) -> None:
        """Report what has happened since the last call."""

    def kill(self) -> None:
        """The run is over: nothing may be left."""

    @property
    def busy(self) -> bool:
        """Whether something is left that the end of the run has to wait for."""
        return False

    @property
    def seconds_to_wait(self) -> float | None:
        """After how long collect() has to be called, whatever happens."""
        return None
