"""One waitFor task instance that waits."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tradewind.api.templates import TemplateError
from tradewind.engine.rules.rendering import render_field
from tradewind.engine.run.run_info import Wait
from tradewind.engine.run.state import RunState
from tradewind.engine.run.tries import TryEvent, TryReport


class CannotWait(Exception):  # noqa: N818 - why a task cannot wait
    """A waitFor field is invalid; the message names it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(slots=True, eq=False)
class Waiter:
    """Reports to the engine how far a wait is, until it succeeds, fails or end() is called."""

    run: RunState
    wait: Wait
    report: Callable[[str, TryReport], None]
    over: bool = False
    cleanups: list[Callable[[], None]] = field(default_factory=list)
    """Called when the wait ends."""
    _reported: tuple[str, str] | None = None

    def met(self) -> None:
        """Report that the awaited state is reached."""
        self._send(TryEvent.ENDED, exit_code=0)
        self.end()

    def not_yet(self, reason: str, message: str) -> None:
        """Report why the task still waits."""
        if self._reported != (reason, message):
            self._reported = reason, message
            self._send(TryEvent.CREATED, reason=reason, message=message)

    def fail(self, reason: str, message: str, *, retry: bool = False) -> None:
        """Report that the awaited state cannot be reached; with `retry`, another try may reach it."""
        self._send(TryEvent.REFUSED, reason=reason, message=message, retry=retry)
        self.end()

    def end(self) -> None:
        """End the wait."""
        self.over = True
        cleanups, self.cleanups = self.cleanups, []
        for clean_up in cleanups:
            clean_up()

    def rendered(self, text: str, field: str) -> str:
        """Return a field with its templates rendered. Raises CannotWait."""
        key = self.wait.key
        try:
            return render_field(self.run, self.wait.task, key.number, key.index, text, field).strip()
        except TemplateError as error:
            raise CannotWait("InvalidTemplate", str(error)) from error

    def _send(self, event: TryEvent, **facts: Any) -> None:
        if not self.over:
            key = self.wait.key
            report = TryReport(key.task, key.number, event, index=key.index, poke=key.poke, **facts)
            self.report(self.wait.run.uid, report)
