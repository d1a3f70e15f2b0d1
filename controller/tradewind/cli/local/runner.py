"""The loop of a local run: it executes the plans of the engine as processes, and reports their results back."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import click

from tradewind.cli.colours import paint
from tradewind.cli.local.display import Display
from tradewind.cli.local.environment import Environment
from tradewind.cli.local.folder import RunFolder, last_lines
from tradewind.cli.local.hints import long_retry_note
from tradewind.cli.local.kinds import Carriers, Host
from tradewind.cli.local.processes import Signals, Watcher, adopt_orphans, kill_orphans
from tradewind.cli.local.screen import Screen
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import TryEvent, TryKey, TryReport
from tradewind.engine.scheduler import Plan, Scheduler
from tradewind.engine.transitions.endings import fail

MOST_FAILURES = 20
"""Limit of failed instances of a mapped task whose logs are shown."""
_REDRAW = 0.25
"""Seconds between two updates of the display."""
_STATUS_EVERY = 2.0
"""Seconds between two writes of status.yaml during the run."""


class LocalRun:
    """One run on this machine."""

    def __init__(
        self,
        scheduler: Scheduler,
        run: RunState,
        *,
        folder: RunFolder,
        environment: Environment,
        display: Display,
        screen: Screen,
        here: Path | None,
        show_logs: bool,
        dag_run: Callable[[], dict[str, Any]],
    ) -> None:
        """`here` is the folder in which tasks start; None for an empty folder for each try."""
        self._scheduler = scheduler
        self._run = run
        self._folder = folder
        self._environment = environment
        self._display, self._screen = display, screen
        self._here = here
        self._show_logs = show_logs
        self._dag_run = dag_run
        self._shown: set[str] = set()
        self._status_written = 0.0
        self._last_redraw = 0.0
        self._carriers: Carriers
        self.stopped_by: int | None = None
        """The signal that stopped the run."""

    @property
    def state(self) -> RunState:
        """The current state of the run."""
        return self._run

    def execute(self) -> None:
        """Execute the run until it finishes and no process is left. SIGINT, SIGTERM, SIGHUP and SIGQUIT fail it."""
        adopt_orphans()
        self._scheduler.add_run(self._run)
        with Signals() as signals:
            watcher = Watcher(self._folder.outputs.absolute())
            self._carriers = Carriers(self._host(watcher))
            try:
                self._write_status()
                self._display.begin(self._run, self._folder.path)
                self._loop(signals)
            finally:
                self._carriers.kill()
                kill_orphans(known=watcher.pids)
                watcher.end()
                self._write_status()
                self._folder.finish()
                self._display.end(self._run, self._folder.path)

    def _loop(self, signals: Signals) -> None:
        handled = 0
        while True:
            if len(signals.interrupts) > handled:
                self.stopped_by = self.stopped_by or signals.interrupts[0].number
                self._interrupt(str(signals.interrupts[-1]), again=handled > 0)
                handled = len(signals.interrupts)
            self._carriers.collect()
            plan = self._scheduler.plan(datetime.now(UTC))
            self._carriers.execute(plan)
            self._show(bool(plan.changed or plan.starts))
            if self._run.finished and not self._carriers.busy:
                return
            if not plan.starts:
                signals.wait(self._seconds_to_wait(plan))

    def _interrupt(self, signal_name: str, *, again: bool) -> None:
        now = datetime.now(UTC)
        if not self._run.finished:
            fail(self._run, "Stopped", f"stopped by {signal_name}", now)
            # The scheduler re-evaluates a run only after a report.
            self._scheduler.report(self._run.info.uid, TryReport("", 0, TryEvent.CREATED), now)
            self._display.note(f"{signal_name}: stopping running tasks; repeat to kill them")
        if again:
            self._carriers.kill()

    def _seconds_to_wait(self, plan: Plan) -> float:
        seconds = _REDRAW
        if plan.wake_at is not None:
            seconds = min(seconds, (plan.wake_at - datetime.now(UTC)).total_seconds())
        kills = self._carriers.seconds_to_wait
        return max(0.001, seconds if kills is None else min(seconds, kills))

    def _show(self, changed: bool) -> None:
        now = time.monotonic()
        if changed or now - self._last_redraw >= _REDRAW:
            self._last_redraw = now
            self._display.update(self._run)
            for instance in self._failed():
                if instance.name not in self._shown:
                    self._shown.add(instance.name)
                    log = self._folder.log(instance.key)
                    if not self._show_logs and last_lines(log).strip():
                        self._display.failed(instance.name, instance.number, log)
            if self._screen.lost is not None:
                status = f"{self._folder.path}/status.yaml"
                self._warn(f"{self._screen.lost.message}; the run continues, and {status} will have the result")
            if changed and "retry" not in self._shown and (text := long_retry_note(self._run)):
                self._shown.add("retry")
                self._display.note(text)
        if changed and now - self._status_written >= _STATUS_EVERY:
            self._status_written = now
            self._write_status()
        self._run.changed = False

    def _write_status(self) -> None:
        """Write status.yaml; if that fails, warn and continue."""
        try:
            self._folder.write_status(self._dag_run())
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            self._warn(f"cannot write {self._folder.path}/status.yaml: {why}")

    def _warn(self, text: str) -> None:
        """Print a warning to stderr, once: a problem of this machine, not of the run."""
        if text not in self._shown:
            self._shown.add(text)
            click.echo(f"{paint('warning:', 'yellow', err=True)} {text}", err=True)

    def _failed(self) -> Iterator[TaskInstance]:
        """Yield failed instances, for a mapped task only the first ones."""
        for node in self._run.nodes:
            failed = node.resting.get(TaskState.FAILED, ()) if node.count else (None,)
            for index in islice(failed, MOST_FAILURES):
                instance = node.peek(index)
                if instance is not None and instance.state is TaskState.FAILED:
                    yield instance

    # For the carriers ---------------------------------------------------------------------------------------

    def _host(self, watcher: Watcher) -> Host:
        return Host(
            run=self._run,
            folder=self._folder,
            environment=self._environment,
            display=self._display,
            watcher=watcher,
            here=self._here,
            show_logs=self._show_logs,
            report=self._report,
            note_once=self._note_once,
        )

    def _note_once(self, text: str) -> None:
        if text not in self._shown:
            self._shown.add(text)
            self._display.note(text)

    def _report(self, key: TryKey, event: TryEvent, **facts: Any) -> None:
        report = TryReport(key.task, key.number, event, index=key.index, poke=key.poke, **facts)
        self._scheduler.report(self._run.info.uid, report, datetime.now(UTC))
