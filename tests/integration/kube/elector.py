"""One candidate as a process of its own: prints what it believes whenever that changes.

Arguments: kubeconfig, namespace, identity. Ends gracefully on SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

from tradewind.kube.client import KubeClient
from tradewind.kube.lease import LeaderElection


async def main(kubeconfig: str, namespace: str, identity: str) -> None:
    async with KubeClient.from_environment(Path(kubeconfig)) as client:
        election = LeaderElection(
            client,
            namespace=namespace,
            name="election",
            identity=identity,
            lease_duration=4,
            renew_deadline=2.5,
            retry_period=0.5,
            on_started=lambda: None,
            on_stopped=lambda: None,
        )
        task = asyncio.create_task(election.run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        believed = None
        while not task.done():
            if election.is_leader != believed:
                believed = election.is_leader
                print("leads" if believed else "follows", flush=True)
            await asyncio.sleep(0.01)
        with contextlib.suppress(asyncio.CancelledError):
            await task


asyncio.run(main(*sys.argv[1:]))
