"""Waiting for Dags to be accepted."""

from __future__ import annotations

from bench.harness.bed import Bed
from bench.harness.waiting import until
from tradewind.cache.resources import DAGS

SECONDS = 300.0


async def accepted(bed: Bed, namespace: str, count: int) -> None:
    """Return once `count` Dags of a namespace are accepted."""

    async def all_are() -> bool:
        dags = await bed.client.list(DAGS, namespace)
        return sum(_is_accepted(dag) for dag in dags) >= count

    await until(all_are, f"{count} Dags are accepted in {namespace}", SECONDS, every=0.1 if count < 100 else 2.0)


def _is_accepted(dag: dict[str, object]) -> bool:
    status = dag.get("status")
    conditions = (status.get("conditions") or ()) if isinstance(status, dict) else ()
    return any(one["type"] == "Accepted" and one["status"] == "True" for one in conditions)
