"""The result of a try: exit codes, outputs, time limits."""

import json
import math
from dataclasses import dataclass, replace
from typing import Any

from tradewind.api.resolve import ResolvedTask
from tradewind.engine.run.json_size import stored_size
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.texts import head, tail
from tradewind.engine.run.tries import StopReason, TryEvent, TryReport

WHY_LIMIT = 300
"""Characters of a message in an Event."""
MAX_OUTPUT_BYTES = 4096
"""The longest termination message that Kubernetes keeps."""
OUTPUT_BUDGET = 256 * 1024
"""Bytes of the outputs of all tasks of a run in status; etcd allows 1.5 MiB for the object."""

_NOT_STARTED = frozenset({"StartError", "ContainerCannotRun"})
"""Reasons of a container that never ran, so that the message is not its log."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a try. `lost` tries are not the task's fault; `retry` is false if another try cannot help."""

    state: TaskState
    reason: str | None = None
    message: str | None = None
    output: Any = None
    has_output: bool = False
    lost: bool = False
    retry: bool = True
    log: bool = False
    """True if the message is the end of a log, whose last lines have the error."""

    def why(self) -> str:
        """The reason and the relevant part of the message."""
        cut = tail if self.log else head
        return ": ".join(part for part in (self.reason, cut(self.message or "", WHY_LIMIT)) if part)


def lost_if_deleted(task: ResolvedTask, report: TryReport) -> TryReport:
    """The report, as Lost if the container exited with 0 after its Pod was deleted (drained node, preemption, kubectl
    delete). It may only have handled SIGTERM, without finishing its work. successAfterDeletion overrides this."""
    if report.deletion is None or report.exit_code != 0 or task.success_after_deletion:
        return report
    message = "its Pod was being deleted or evicted: exit code 0 may only mean that it handled SIGTERM"
    return replace(report, event=TryEvent.LOST, reason=report.deletion, message=message, output=None)


def judge(task: ResolvedTask, report: TryReport, stopped: StopReason | None) -> Outcome:
    """The outcome of a try that finished by a report; `stopped` is set if the controller had stopped it."""
    if report.event is TryEvent.REFUSED:
        return Outcome(TaskState.FAILED, report.reason, report.message, retry=report.retry)
    if report.event is TryEvent.ENDED and report.exit_code == 0 and report.reason != "DeadlineExceeded":
        return _judge_output(report.output)
    if stopped is not None:
        return judge_stopped(stopped)
    if report.event is TryEvent.LOST:
        return Outcome(TaskState.FAILED, report.reason or "Lost", report.message, lost=True)
    if report.exit_code in task.skip_exit_codes:
        return Outcome(TaskState.SKIPPED, "SkipExitCode", f"exit code {report.exit_code} is one of skipExitCodes")
    if report.exit_code in task.fail_exit_codes:
        message = report.message or f"exit code {report.exit_code}"
        return Outcome(TaskState.FAILED, "FailExitCode", message, retry=False, log=True)
    return Outcome(
        TaskState.FAILED,
        report.reason or "Error",
        report.message or (f"exit code {report.exit_code}" if report.exit_code is not None else None),
        retry=report.retry,
        log=report.exit_code is not None and report.reason not in _NOT_STARTED,
    )


def judge_stopped(why: StopReason) -> Outcome:
    """The outcome of a try that the controller has stopped."""
    return Outcome(TaskState.FAILED, why.reason, why.message)


def _judge_output(text: str | None) -> Outcome:
    if not text or not text.strip():
        return Outcome(TaskState.SUCCEEDED)
    size = len(text.encode(errors="replace"))
    if size > MAX_OUTPUT_BYTES:
        message = f"output is {size} bytes; the limit is {MAX_OUTPUT_BYTES}; write larger data to storage"
        return Outcome(TaskState.FAILED, "InvalidOutput", message)
    try:
        output = json.loads(text, parse_constant=_no_constant, parse_float=_float, parse_int=_integer)
    except ValueError as error:
        cut = f" (cut off at {MAX_OUTPUT_BYTES} bytes)" if size == MAX_OUTPUT_BYTES else ""
        return Outcome(TaskState.FAILED, "InvalidOutput", f"output is not JSON{cut}: {error}")
    except RecursionError:
        return Outcome(TaskState.FAILED, "InvalidOutput", "output is nested too deeply")
    try:
        output_size(output)
    except TypeError as error:
        return Outcome(TaskState.FAILED, "InvalidOutput", f"output cannot be stored in status: {error}")
    return Outcome(TaskState.SUCCEEDED, output=output, has_output=True)


def output_size(output: Any, index: int | None = None) -> int:
    """Bytes of an output in status, with the key of its index for an instance of a mapped task. Raises TypeError like
    stored_size."""
    return stored_size(output) + (len(f'"{index}":,') if index is not None else 0)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{_short(text)} is too large a number")
    return number


def _integer(text: str) -> int:
    # The API server reads an integer of more than 64 bits as a float, which changes its value.
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"{_short(text)} does not fit into 64 bits; write it as a string")
    return int(text)


def _short(number: str) -> str:
    return number if len(number) <= 40 else f"{number[:40]}…"
