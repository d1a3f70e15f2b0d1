"""The interface of a carrier, which executes tasks of a kind on this machine and reports their results."""

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
    """Reports a change of a try, with the fields of a TryReport."""

    def __call__(self, key: TryKey, event: TryEvent, **facts: Any) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The local run, for carriers."""

    run: RunState
    folder: RunFolder
    environment: Environment
    display: Display
    watcher: Watcher
    here: Path | None
    """The folder in which tasks start; None for an empty folder for each try."""
    show_logs: bool
    report: Report
    note_once: Callable[[str], None]
    """Shows a hint, once."""


class LocalCarrier:
    """The base class, whose methods do nothing."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def start(self, start: Start) -> None:
        """Start a try, which has its slots."""

    def stop(self, stop: Stop) -> None:
        """Stop an active try."""

    def wait(self, wait: Wait) -> None:
        """Wait for the event of a waitFor task."""

    def collect(self) -> None:
        """Report changes since the last call."""

    def kill(self) -> None:
        """Kill what is left when the run has finished."""

    @property
    def busy(self) -> bool:
        """True if the run must wait for something before it exits."""
        return False

    @property
    def seconds_to_wait(self) -> float | None:
        """Time after which collect() must be called at the latest."""
        return None
