"""command, script and sensor: each try, or each poke, is a process."""

import os
from datetime import UTC, datetime

from tradewind.api.resolve import ResolvedTask
from tradewind.cli.local.environment import LocalRunError
from tradewind.cli.local.folder import BadOutputError, last_lines
from tradewind.cli.local.hints import EMPTY_FOLDER, missing_file
from tradewind.cli.local.kinds.carrier import Host, LocalCarrier
from tradewind.cli.local.processes import OUTPUT_VARIABLE, TaskProcess, kill_orphans
from tradewind.cli.local.volumes import grace_of, place_of
from tradewind.engine.rules.rendering import TemplateError, facts_of_try, render_task
from tradewind.engine.run.run_info import Stop
from tradewind.engine.run.tries import TryEvent, TryKey
from tradewind.engine.scheduler import Start


class Processes(LocalCarrier):
    """Starts and stops processes, and reports their results."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._processes: dict[TryKey, TaskProcess] = {}

    @property
    def busy(self) -> bool:
        """True if a process is left."""
        return bool(self._processes)

    @property
    def seconds_to_wait(self) -> float | None:
        """Time until the first stopped process is killed."""
        kills = (process.seconds_to_kill for process in self._processes.values())
        return min((left for left in kills if left is not None), default=None)

    def stop(self, stop: Stop) -> None:
        """Stop the process of a try."""
        process = self._processes.get(stop.key)
        if process is not None:
            process.stop()

    def kill(self) -> None:
        """Kill all processes."""
        for process in self._processes.values():
            process.kill()

    def start(self, start: Start) -> None:
        """Start the process of a try."""
        key = start.key
        try:
            process = self._launch(start.task, key)
        except (TemplateError, LocalRunError) as error:
            reason = "InvalidTemplate" if isinstance(error, TemplateError) else "NotOnThisMachine"
            self._host.report(key, TryEvent.REFUSED, reason=reason, message=str(error), retry=False)
            return
        except (OSError, ValueError, UnicodeError) as error:
            # As for a container: if its program cannot be started, its exit code is 128.
            now = datetime.now(UTC)
            message = self._start_error(start.task, key, error)
            facts = {"exit_code": 128, "reason": "StartError", "message": message}
            self._host.report(key, TryEvent.CREATED)
            self._host.report(key, TryEvent.ENDED, started_at=now, finished_at=now, **facts)
            return
        self._processes[key] = process
        self._host.report(key, TryEvent.CREATED)
        self._host.report(key, TryEvent.RUNNING, started_at=process.started_at)

    def _start_error(self, task: ResolvedTask, key: TryKey, error: OSError | ValueError) -> str:
        if not isinstance(error, OSError):
            problem = "a NUL byte" if "null byte" in str(error) else str(error)
            return f"cannot start {task.name}: its command or arguments have {problem}, which is not allowed"
        why, name = (error.strerror or str(error)).lower(), os.fsdecode(error.filename or task.name)
        if name == str(self._host.folder.log(key)):
            return f"cannot write the log {name}: {why}"
        if isinstance(error, FileNotFoundError) and "/" in name:
            self._hint_at_empty_folder()
        return f"cannot start {name}: {why}"

    def _hint_at_empty_folder(self) -> None:
        if self._host.here is None:
            self._host.note_once(EMPTY_FOLDER)

    def _launch(self, task: ResolvedTask, key: TryKey) -> TaskProcess:
        rendered = render_task(self._host.run, task, key.number, key.index)
        if rendered.command is None:
            raise LocalRunError(
                "has neither command nor script: a local run has no image, so set the image's entrypoint as command"
            )
        output = self._host.folder.output(key).absolute()
        facts = {**facts_of_try(self._host.run.info, key), OUTPUT_VARIABLE: str(output)}
        place = place_of(self._host.run.dag, task, key, self._host.folder, self._host.here)
        if place.note:
            self._host.note_once(place.note)
        return TaskProcess(
            [*rendered.command, *rendered.args],
            env=self._host.environment.variables(task, key, rendered.env, facts),
            directory=place.directory,
            log=self._host.folder.log(key),
            grace=grace_of(self._host.run.dag, task),
            watcher=self._host.watcher,
        )

    def collect(self) -> None:
        """Report every try whose process has exited."""
        for key, process in list(self._processes.items()):
            code = process.poll()
            if code is None:
                continue
            del self._processes[key]
            known = {other.pid for other in self._processes.values()} | self._host.watcher.pids
            kill_orphans(known=known, marker=process.marker)
            if self._host.show_logs:
                self._host.display.log(key.instance, key.number, process.log)
            if code and missing_file(process.log, code):
                self._hint_at_empty_folder()
            self._host.folder.remove_empty_work(key)
            self._ended(key, process, code)

    def _ended(self, key: TryKey, process: TaskProcess, code: int) -> None:
        times = {"started_at": process.started_at, "finished_at": datetime.now(UTC)}
        try:
            output = self._host.folder.read_output(key)
        except BadOutputError as error:
            why = f"the output ${OUTPUT_VARIABLE} {error}"
            self._host.report(key, TryEvent.REFUSED, reason="InvalidOutput", message=why, exit_code=code, **times)
            return
        message = None if code == 0 else output or last_lines(process.log) or None
        self._host.report(key, TryEvent.ENDED, exit_code=code, message=message, output=output, **times)
