"""Log output: one line per record, as text or as JSON.

At info there are a few lines per run, for any number of tasks: runs that start and finish, rejections, changes of the
leader. Events of tasks are logged at debug.
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
    """Return the object of a line, for `extra`: separate fields in JSON."""
    names = {"namespace": namespace, "dag": dag, "run": run, "task": task}
    return {"about": {field: name for field, name in names.items() if name}}


class TextFormatter(logging.Formatter):
    """A line of text. Text from tasks or users cannot start another line or control the terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line, before any traceback."""
        record.message = _CONTROL.sub(lambda found: repr(found[0])[1:-1], record.message)
        return super().formatMessage(record)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, the object it is about, and the traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
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
    # kopf logs each of its steps; only its warnings matter.
    for noisy in ("kopf", "aiohttp.access", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    # A Dag that admission rejects is the user's error, not the controller's.
    logging.getLogger("kopf.objects").setLevel(logging.CRITICAL)
