"""What a person who runs a Dag here may not know, said when it matters, and once."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tradewind.api.duration import format_duration
from tradewind.cli.local.folder import last_lines
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState

LONG_WAIT = timedelta(seconds=10)
EMPTY_FOLDER = (
    "each try runs in an empty folder, as on a cluster: what a task needs comes by a volume or an output, and Python "
    "finds modules beside the Dag's file; --here runs tasks in the folder you are in"
)
_MISSING = re.compile(
    r"(?:no such file|not found|cannot open|can't open|FileNotFound|does not exist|cannot access)", re.IGNORECASE
)
_BYTES_READ = 4096


def missing_file(log: Path, exit_code: int) -> bool:
    """Whether a try seems to have failed for want of a file: a shell says so by its exit code, others in their log."""
    return exit_code in (126, 127) or _MISSING.search(last_lines(log, limit=_BYTES_READ)) is not None


def waits_for_retry(run: RunState) -> str | None:
    """Which task waits long for its next try, and what to do about it."""
    now = datetime.now(UTC)
    for node in run.nodes:
        for instance in node.live.values() if node.count else (node.whole,):
            if instance.state is not TaskState.UP_FOR_RETRY or instance.retry_at is None:
                continue
            if (left := instance.retry_at - now) > LONG_WAIT:
                return (
                    f"{instance.name} waits {format_duration(left)} for its next try (retries.delay is 5m by "
                    "default): --retry-delay 0s retries at once, --no-retries retries nothing"
                )
    return None
