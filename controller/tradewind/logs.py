"""Log output: one line a record, as text for people or as JSON for machines.

At info it tells when a run starts and ends, what is refused and who leads: a few lines a run, however many tasks it
has. What happens to tasks is told at debug.
"""

import json
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def about(namespace: str, *, dag: str | None = None, run: str | None = None, task: str | None = None) -> dict[str, Any]:
    """What a line is about, to be given as `extra`: fields of their own in JSON."""
    names = {"namespace": namespace, "dag": dag, "run": run, "task": task}
    return {"about": {field: name for field, name in names.items() if name}}


class TextFormatter(logging.Formatter):
    """A line for people. What a task or a user has written cannot begin another line, nor paint the terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line, before any traceback."""
        record.message = _CONTROL.sub(lambda found: repr(found[0])[1:-1], record.message)
        return super().formatMessage(record)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, what it is about, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "about", {}),
        }
        if record.exc_info:
            entry["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


def configure(log_format: str, level: str) -> None:
    """Log to stderr. `log_format` is json or text, `level` one of logging's names in any case."""
    handler = logging.StreamHandler(sys.stderr)
    text = TextFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if log_format == "json" else text)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # kopf tells every step of its own; what matters of it comes as a warning.
    for noisy in ("kopf", "aiohttp.access", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    # A bad Dag that admission refuses is the user's to know of, and no error of ours.
    logging.getLogger("kopf.objects").setLevel(logging.CRITICAL)
