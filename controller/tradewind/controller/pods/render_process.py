"""Templates that take long, filled in by a process of their own, which is ended when it takes too long.

minijinja keeps Python's interpreter to itself until it is done, so that a thread would be of no use. That it costs half
a second to begin does not matter: nearly all templates never get here.
"""

import asyncio
import json
import math
import pickle
import resource
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

from tradewind.aio.fair_queue import FairQueue, Path
from tradewind.api.resolve import ResolvedTask
from tradewind.api.variables import MissingVariableError
from tradewind.engine.rules.rendering import RenderedTask, TemplateError, render_values

SECONDS = 5
"""Of processor time: what is filled in must not depend on how busy the node is."""
WITHIN = 60.0
"""Seconds by the clock, in which a process has so much even where others take most of it."""
MEMORY = 192 * 2**20
"""Bytes that the process may have beside what it is given: a template that needs more must not cost the controller its
own."""
_AT_ONCE = 1
_TOO_SLOW = f"its templates take more than {SECONDS} s to fill in; make them simpler"


class RenderProcess:
    """Fills in the templates of tasks, one after the other; who asks for much delays few but themselves."""

    def __init__(self) -> None:
        self._queue = FairQueue(lambda: _AT_ONCE)

    async def render(self, path: Path, task: ResolvedTask, values: Mapping[str, Any]) -> RenderedTask:
        """As `render_values`; `path` is whose turn it takes. Raises TemplateError."""
        given = pickle.dumps((task, dict(values)))
        async with self._queue.acquire(path):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", __name__), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
            try:
                async with asyncio.timeout(WITHIN):
                    answer, _ = await process.communicate(given)
            except TimeoutError as error:
                raise TemplateError(_TOO_SLOW) from error
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        if process.returncode == -signal.SIGXCPU:
            raise TemplateError(_TOO_SLOW)
        if process.returncode:
            raise TemplateError(
                f"its templates could not be filled in with {MEMORY // 2**20} MiB of memory (the process ended with "
                f"{process.returncode}); make them simpler"
            )
        found = json.loads(answer)
        if "error" in found:
            raise (MissingVariableError if found["missing"] else TemplateError)(found["error"])
        return RenderedTask(**found)


def main() -> None:
    """The process: a task and its values on stdin, what came of it on stdout."""
    given = sys.stdin.buffer.read()
    limit = MEMORY + 4 * len(given)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    seconds = math.ceil(time.process_time()) + SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    task, values = pickle.loads(given)
    try:
        rendered = render_values(task, values)
        answer: dict[str, Any] = {"command": rendered.command, "args": rendered.args, "env": rendered.env}
    except TemplateError as error:
        answer = {"error": str(error), "missing": isinstance(error, MissingVariableError)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
