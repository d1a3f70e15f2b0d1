"""Hints for users of local runs. Each is shown once, when it applies."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tradewind.api.duration import format_duration
from tradewind.cli.local.folder import last_lines
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState

LONG_WAIT = timedelta(seconds=10)
EMPTY_FOLDER = (
    "each try runs in an empty folder, as on a cluster: files come from volumes or outputs, and Python also imports "
    "modules from the folder of the Dag's file; use --here to run tasks in the current folder"
)
_MISSING = re.compile(
    r"(?:no such file|not found|cannot open|can't open|FileNotFound|does not exist|cannot access)", re.IGNORECASE
)
_BYTES_READ = 4096


def missing_file(log: Path, exit_code: int) -> bool:
    """True if a try probably failed for a missing file, by its exit code (of a shell) or its log."""
    return exit_code in (126, 127) or _MISSING.search(last_lines(log, limit=_BYTES_READ)) is not None


def long_retry_note(run: RunState) -> str | None:
    """Return a hint if a task waits long for its next try."""
    now = datetime.now(UTC)
    for node in run.nodes:
        for instance in node.live.values() if node.count else (node.whole,):
            if instance.state is not TaskState.UP_FOR_RETRY or instance.retry_at is None:
                continue
            if (left := instance.retry_at - now) > LONG_WAIT:
                return (
                    f"{instance.name} waits {format_duration(left)} for its next try (retries.delay is 5m by "
                    "default): use --retry-delay 0s to retry at once, --no-retries to never retry"
                )
    return None
