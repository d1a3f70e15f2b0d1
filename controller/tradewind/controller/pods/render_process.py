"""Renders slow templates in a process of their own, which is killed if it takes too long.

minijinja holds Python's interpreter while it renders, so that a thread would not help. The half second to start a
process does not matter: hardly any template is rendered here.
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
"""Limit of processor time: the result must not depend on how busy the node is."""
WITHIN = 60.0
"""Limit in elapsed seconds: long enough to get that much processor time on a busy node."""
MEMORY = 192 * 2**20
"""Bytes that the process may use in addition to its input, so that a template cannot exhaust the controller's
memory."""
_AT_ONCE = 1
_TOO_SLOW = f"rendering its templates takes more than {SECONDS} s; make them simpler"


class RenderProcess:
    """Renders the templates of tasks, one at a time, in fair order between namespaces, Dags and runs."""

    def __init__(self) -> None:
        self._queue = FairQueue(lambda: _AT_ONCE)

    async def render(self, path: Path, task: ResolvedTask, values: Mapping[str, Any]) -> RenderedTask:
        """Render like `render_values`; `path` is its place in the fair queue. Raises TemplateError."""
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
                f"rendering its templates takes more than {MEMORY // 2**20} MiB of memory (exit code "
                f"{process.returncode}); make them simpler"
            )
        found = json.loads(answer)
        if "error" in found:
            raise (MissingVariableError if found["missing"] else TemplateError)(found["error"])
        return RenderedTask(**found)


def main() -> None:
    """Run in the process: read a task and its values from stdin, write the result to stdout."""
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
