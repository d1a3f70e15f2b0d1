"""The loop of a local run: what the engine plans is done with processes, what happens to them is reported back."""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import click

from tradewind.api.resolve import ResolvedTask
from tradewind.cli.colours import paint
from tradewind.cli.local.display import Display
from tradewind.cli.local.environment import Environment, LocalRunError
from tradewind.cli.local.folder import BadOutputError, RunFolder, last_lines
from tradewind.cli.local.hints import EMPTY_FOLDER, missing_file, waits_for_retry
from tradewind.cli.local.processes import OUTPUT_VARIABLE, Signals, TaskProcess, Watcher, adopt_orphans, kill_orphans
from tradewind.cli.local.screen import Screen
from tradewind.cli.local.volumes import grace_of, place_of
from tradewind.engine.rules.rendering import TemplateError, facts_of_try, render_task
from tradewind.engine.run.run_info import Wait
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import TryEvent, TryKey, TryReport
from tradewind.engine.scheduler import Plan, Scheduler, Start
from tradewind.engine.transitions.endings import fail

MOST_FAILURES = 20
"""Instances of one mapped task of which the end of the log is shown when they fail."""
_REDRAW = 0.25
"""Seconds between two looks at the clock while something is shown."""
_STATUS_EVERY = 2.0
"""Seconds between two writes of status.yaml while the run goes on."""


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
        """`here` is the folder in which tasks start; None: each try in an empty one."""
        self._scheduler = scheduler
        self._run = run
        self._folder = folder
        self._environment = environment
        self._display, self._screen = display, screen
        self._here = here
        self._show_logs = show_logs
        self._dag_run = dag_run
        self._processes: dict[TryKey, TaskProcess] = {}
        self._told: set[str] = set()
        self._status_written = 0.0
        self._last_redraw = 0.0
        self._watcher: Watcher
        self.stopped_by: int | None = None
        """The signal that stopped it."""

    @property
    def state(self) -> RunState:
        """The run, as far as it is."""
        return self._run

    def execute(self) -> None:
        """Run until the run has ended and no process is left. SIGINT, SIGTERM, SIGHUP and SIGQUIT end it as Failed."""
        adopt_orphans()
        self._scheduler.add_run(self._run)
        with Signals() as signals:
            self._watcher = Watcher(self._folder.outputs.absolute())
            try:
                self._write_status()
                self._display.begin(self._run, self._folder.path)
                self._loop(signals)
            finally:
                for process in self._processes.values():
                    process.kill()
                kill_orphans(known=self._watcher.pids)
                self._watcher.end()
                self._write_status()
                self._folder.finish()
                self._display.end(self._run, self._folder.path)

    def _loop(self, signals: Signals) -> None:
        obeyed = 0
        while True:
            if len(signals.interrupts) > obeyed:
                self.stopped_by = self.stopped_by or signals.interrupts[0].number
                self._interrupt(str(signals.interrupts[-1]), again=obeyed > 0)
                obeyed = len(signals.interrupts)
            self._collect()
            plan = self._scheduler.plan(datetime.now(UTC))
            for stop in plan.stops:
                process = self._processes.get(stop.key)
                if process is not None:
                    process.stop()
            for start in plan.starts:
                self._start(start)
            for wait in plan.waits:
                self._wait(wait)
            self._show(bool(plan.changed or plan.starts))
            if self._run.finished and not self._processes:
                return
            if not plan.starts:
                signals.wait(self._seconds_to_wait(plan))

    def _interrupt(self, signal_name: str, *, again: bool) -> None:
        now = datetime.now(UTC)
        if not self._run.finished:
            fail(self._run, "Stopped", f"stopped by {signal_name}", now)
            # The scheduler looks only at runs that it heard of.
            self._scheduler.report(self._run.info.uid, TryReport("", 0, TryEvent.CREATED), now)
            self._display.note(f"{signal_name}: stopping what runs; once more to kill it")
        if again:
            for process in self._processes.values():
                process.kill()

    def _seconds_to_wait(self, plan: Plan) -> float:
        seconds = _REDRAW
        if plan.wake_at is not None:
            seconds = min(seconds, (plan.wake_at - datetime.now(UTC)).total_seconds())
        kills = [process.seconds_to_kill for process in self._processes.values()]
        return max(0.001, min([seconds, *(left for left in kills if left is not None)]))

    def _show(self, changed: bool) -> None:
        now = time.monotonic()
        if changed or now - self._last_redraw >= _REDRAW:
            self._last_redraw = now
            self._display.update(self._run)
            for instance in self._failed():
                if instance.name not in self._told:
                    self._told.add(instance.name)
                    log = self._folder.log(instance.key)
                    if not self._show_logs and last_lines(log).strip():
                        self._display.failed(instance.name, instance.number, log)
            if self._screen.lost is not None:
                status = f"{self._folder.path}/status.yaml"
                self._warn(f"{self._screen.lost.message}; the run goes on, and {status} tells how it ends")
            if changed and "retry" not in self._told and (text := waits_for_retry(self._run)):
                self._told.add("retry")
                self._display.note(text)
        if changed and now - self._status_written >= _STATUS_EVERY:
            self._status_written = now
            self._write_status()
        self._run.changed = False

    def _write_status(self) -> None:
        """On a full disk the run goes on without."""
        try:
            self._folder.write_status(self._dag_run())
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            self._warn(f"cannot write {self._folder.path}/status.yaml: {why}")

    def _warn(self, text: str) -> None:
        """Say on stderr, once, what is wrong here and not with the run."""
        if text not in self._told:
            self._told.add(text)
            click.echo(f"{paint('warning:', 'yellow', err=True)} {text}", err=True)

    def _failed(self) -> Iterator[TaskInstance]:
        """The instances that have failed for good: of thousands of a mapped task the first."""
        for node in self._run.nodes:
            failed = node.resting.get(TaskState.FAILED, ()) if node.count else (None,)
            for index in islice(failed, MOST_FAILURES):
                instance = node.peek(index)
                if instance is not None and instance.state is TaskState.FAILED:
                    yield instance

    # Tries ------------------------------------------------------------------------------------------------------

    def _start(self, start: Start) -> None:
        key = start.key
        try:
            process = self._launch(start.task, key)
        except (TemplateError, LocalRunError) as error:
            reason = "InvalidTemplate" if isinstance(error, TemplateError) else "NotOnThisMachine"
            self._report(key, TryEvent.REFUSED, reason=reason, message=str(error), retry=False)
            return
        except (OSError, ValueError, UnicodeError) as error:
            # As with a container: one whose program cannot be started ends with 128.
            now = datetime.now(UTC)
            message = self._why_not_started(start.task, key, error)
            facts = {"exit_code": 128, "reason": "StartError", "message": message}
            self._report(key, TryEvent.CREATED)
            self._report(key, TryEvent.ENDED, started_at=now, finished_at=now, **facts)
            return
        self._processes[key] = process
        self._report(key, TryEvent.CREATED)
        self._report(key, TryEvent.RUNNING, started_at=process.started_at)

    def _why_not_started(self, task: ResolvedTask, key: TryKey, error: OSError | ValueError) -> str:
        if not isinstance(error, OSError):
            what = "a NUL byte" if "null byte" in str(error) else str(error)
            return f"cannot start {task.name}: its command or arguments have {what}, which no program can be given"
        why, name = (error.strerror or str(error)).lower(), os.fsdecode(error.filename or task.name)
        if name == str(self._folder.log(key)):
            return f"cannot write the log {name}: {why}"
        if isinstance(error, FileNotFoundError) and "/" in name:
            self._hint_at_empty_folder()
        return f"cannot start {name}: {why}"

    def _hint_at_empty_folder(self) -> None:
        if self._here is None and EMPTY_FOLDER not in self._told:
            self._told.add(EMPTY_FOLDER)
            self._display.note(EMPTY_FOLDER)

    def _launch(self, task: ResolvedTask, key: TryKey) -> TaskProcess:
        rendered = render_task(self._run, task, key.number, key.index)
        if rendered.command is None:
            raise LocalRunError(
                "has neither command nor script: a local run cannot run an image's own entrypoint, so say it as command"
            )
        output = self._folder.output(key).absolute()
        facts = {**facts_of_try(self._run.info, key), OUTPUT_VARIABLE: str(output)}
        place = place_of(self._run.dag, task, key, self._folder, self._here)
        if place.note and place.note not in self._told:
            self._told.add(place.note)
            self._display.note(place.note)
        return TaskProcess(
            [*rendered.command, *rendered.args],
            env=self._environment.variables(task, key, rendered.env, facts),
            directory=place.directory,
            log=self._folder.log(key),
            grace=grace_of(self._run.dag, task),
            watcher=self._watcher,
        )

    def _collect(self) -> None:
        """Report every try whose process has ended."""
        for key, process in list(self._processes.items()):
            code = process.poll()
            if code is None:
                continue
            del self._processes[key]
            known = {other.pid for other in self._processes.values()} | self._watcher.pids
            kill_orphans(known=known, marker=process.marker)
            if self._show_logs:
                self._display.log(key.instance, key.number, process.log)
            if code and missing_file(process.log, code):
                self._hint_at_empty_folder()
            self._folder.forget_work(key)
            self._ended(key, process, code)

    def _ended(self, key: TryKey, process: TaskProcess, code: int) -> None:
        times = {"started_at": process.started_at, "finished_at": datetime.now(UTC)}
        try:
            output = self._folder.read_output(key)
        except BadOutputError as error:
            why = f"the output ${OUTPUT_VARIABLE} {error}"
            self._report(key, TryEvent.REFUSED, reason="InvalidOutput", message=why, exit_code=code, **times)
            return
        message = None if code == 0 else output or last_lines(process.log) or None
        self._report(key, TryEvent.ENDED, exit_code=code, message=message, output=output, **times)

    def _wait(self, wait: Wait) -> None:
        """Nothing on this machine tells what a waitFor task waits for (but for times, which the engine knows)."""
        message = "waitFor: there are no runs of other Dags and no Kubernetes objects here: this needs a cluster"
        self._report(wait.key, TryEvent.REFUSED, reason="NotOnThisMachine", message=message, retry=False)

    def _report(self, key: TryKey, event: TryEvent, **facts: Any) -> None:
        report = TryReport(key.task, key.number, event, index=key.index, poke=key.poke, **facts)
        self._scheduler.report(self._run.info.uid, report, datetime.now(UTC))
