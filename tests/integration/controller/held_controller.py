"""`tradewind controller` whose event loop is held for so many seconds on SIGUSR1, as if by work on one large object.

Arguments: the seconds, those after which it counts as stuck, and then the controller's own.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time

from tradewind.controller.process import controller, process
from tradewind.kube.working_on import working_on


def main(held_for: float, stuck_after: float, arguments: list[str]) -> None:
    controller.STUCK_LOOP = stuck_after
    run = controller.Controller.run

    def hold() -> None:
        print("held", flush=True)
        with working_on("DagRun", ("ns", "large")):
            until = time.monotonic() + held_for
            while time.monotonic() < until:
                sum(range(1000))
        print("free", flush=True)

    async def run_with_a_handler(self: controller.Controller) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, hold)
        await run(self)

    controller.Controller.run = run_with_a_handler  # type: ignore[method-assign]
    process.main_command(arguments)


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
