"""Thousands of Dags and finished runs, created without the controller."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from bench.harness.bed import Bed
from bench.harness.dags import Manifest, dag, parallel, run
from tradewind.api.times import format_time
from tradewind.cache.resources import DAGRUNS, DAGS

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
AT_ONCE = 32


def yearly_dags(count: int, first: int = 0) -> list[Manifest]:
    """Dags with a schedule each, without a tick soon."""
    return [
        dag(f"dag-{number:05}", parallel(1), schedule=_long_ahead(number)) for number in range(first, first + count)
    ]


async def add_finished_runs(bed: Bed, namespace: str, dags: list[str], count: int) -> None:
    """Runs that have succeeded, distributed over existing Dags."""
    found = {one["metadata"]["name"]: one["metadata"]["uid"] for one in await bed.client.list(DAGS, namespace)}
    slots = asyncio.Semaphore(AT_ONCE)

    async def add(number: int) -> None:
        name = dags[number % len(dags)]
        date = LONG_AGO + timedelta(hours=number)
        body = run(name, f"{name}-{number:05}", found[name])
        at = format_time(date)
        tasks = [{"name": "t0", "state": "Succeeded", "startedAt": at, "finishedAt": at}]
        status = {"phase": "Succeeded", "startedAt": at, "finishedAt": at, "tasks": tasks}
        async with slots:
            await bed.client.request("POST", DAGRUNS.path(namespace), body=body, partial=True)
            await bed.client.request(
                "PATCH",
                DAGRUNS.path(namespace, body["metadata"]["name"], "status"),
                body={"status": status},
                content_type="application/merge-patch+json",
                partial=True,
            )

    await asyncio.gather(*(add(number) for number in range(count)))


def _long_ahead(number: int) -> str:
    """A cron expression for a day that is neither today nor tomorrow."""
    day = datetime.now(UTC) + timedelta(days=30 + number % 300)
    return f"{number % 60} {number % 24} {day.day} {day.month} *"
