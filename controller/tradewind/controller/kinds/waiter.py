"""One waitFor task instance that waits."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tradewind.api.templates import TemplateError
from tradewind.engine.rules.rendering import render_field
from tradewind.engine.run.run_info import Wait
from tradewind.engine.run.state import RunState
from tradewind.engine.run.tries import TryEvent, TryReport


class CannotWait(Exception):  # noqa: N818 - what keeps a task from waiting
    """What a task says it waits for makes no sense; the message names the field."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(slots=True, eq=False)
class Waiter:
    """Tells the engine how far it is: until it has come, never will, or end() is called."""

    run: RunState
    wait: Wait
    report: Callable[[str, TryReport], None]
    over: bool = False
    cleanups: list[Callable[[], None]] = field(default_factory=list)
    """What is to be done when nobody waits any more."""
    _told: tuple[str, str] | None = None

    def met(self) -> None:
        """What it waits for is there."""
        self._tell(TryEvent.ENDED, exit_code=0)
        self.end()

    def not_yet(self, reason: str, message: str) -> None:
        """How far it is."""
        if self._told != (reason, message):
            self._told = reason, message
            self._tell(TryEvent.CREATED, reason=reason, message=message)

    def never(self, reason: str, message: str, *, retry: bool = False) -> None:
        """It will not come; with `retry` it might in another try."""
        self._tell(TryEvent.REFUSED, reason=reason, message=message, retry=retry)
        self.end()

    def end(self) -> None:
        """Nobody waits for it any more."""
        self.over = True
        cleanups, self.cleanups = self.cleanups, []
        for clean_up in cleanups:
            clean_up()

    def rendered(self, text: str, field: str) -> str:
        """A field with its templates filled in. Raises CannotWait."""
        key = self.wait.key
        try:
            return render_field(self.run, self.wait.task, key.number, key.index, text, field).strip()
        except TemplateError as error:
            raise CannotWait("InvalidTemplate", str(error)) from error

    def _tell(self, event: TryEvent, **facts: Any) -> None:
        if not self.over:
            key = self.wait.key
            report = TryReport(key.task, key.number, event, index=key.index, poke=key.poke, **facts)
            self.report(self.wait.run.uid, report)
