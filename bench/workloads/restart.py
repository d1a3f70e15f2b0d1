"""The leader is killed while thousands of task instances are active: the time until the next Pod."""

from __future__ import annotations

import time

from bench.harness.bed import Bed
from bench.harness.crowd import LATE, crowd
from bench.harness.dags import run as run_of
from bench.harness.observer import watching
from bench.harness.results import Result
from bench.workloads import Size
from tradewind.api import names
from tradewind.cache.resources import DAGRUNS
from tradewind.kube.resources import PODS

ACTIVE: dict[Size, int] = {"tiny": 20, "small": 2000, "full": 10_000}
LEASE_SECONDS = 3
"""The time for which a standby waits until the Lease of a killed leader expires; the default is 15 s. A container that
restarts in its Pod does not wait."""
LIMIT = 120.0


async def run(bed: Bed, size: Size, rounds: int) -> list[Result]:
    """Seconds from the start of a process, and from the death of a leader that has a standby."""
    option = f"--lease-duration={LEASE_SECONDS}"
    namespace, leader = await crowd(bed, "restart", ACTIVE[size], option)
    starts, takeovers = [], []
    async with watching(bed.client, PODS, namespace, label_selector=f"{names.LABEL_DAG}={LATE}") as pods:
        for number in range(rounds):
            leader.kill()
            await bed.create_all(DAGRUNS, namespace, [run_of(LATE, f"{LATE}-{number}-start")])
            leader = await bed.launch(namespace, option, pod=leader.pod)
            await pods.number(2 * number + 1, "a Pod after a start", LIMIT)
            starts.append(pods.last - leader.started_at)
            await leader.leading()
            standby = await bed.launch(namespace, option)
            await standby.ready()
            await bed.settle()
            killed_at = time.perf_counter()
            leader.kill()
            await bed.create_all(DAGRUNS, namespace, [run_of(LATE, f"{LATE}-{number}-takeover")])
            await pods.number(2 * number + 2, "a Pod after a take-over", LIMIT)
            takeovers.append(pods.last - killed_at)
            leader = standby
    said = f"{ACTIVE[size]} active; the Lease lasts {LEASE_SECONDS} s"
    return [
        Result("restart", "s from the start to a Pod", starts, said),
        Result("takeover", "s from the leader's death to a Pod", takeovers, said),
    ]
