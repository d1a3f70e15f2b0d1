"""`python -m bench [WORKLOAD…]`: run workloads, print the table, store the figures in bench/results.json."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import time
from pathlib import Path
from typing import Any

import uvloop

from bench.harness import chart, results
from bench.harness.bed import NAME, NODES, REPOSITORY, Bed
from bench.workloads import NAMES, ROUNDS, Size, Workload
from localkube import Cluster

LOGS = REPOSITORY / "build" / "bench"
RESULTS = REPOSITORY / "bench" / "results.json"
WORKLOAD_SECONDS = 3600.0


def main() -> int:
    """The exit code is 1 with --check if a figure misses its goal."""
    options = _options()
    missed = False
    for name in options.workloads or NAMES:
        # A cluster for each, so that the remains of one do not affect the next.
        cluster = Cluster(NAME, profile="kwok", nodes=NODES)
        cluster.down()
        with cluster:
            new = uvloop.run(_run(cluster, name, options.size, options.rounds or ROUNDS[options.size]))
        kept = results.keep(options.output, new)
        missed |= any(record["met"] is False for record in new)
        print(results.table(new), flush=True)
        if options.chart:
            options.chart.write_text(chart.svg(kept))
    return int(options.check and missed)


async def _run(cluster: Cluster, name: str, size: Size, rounds: int) -> list[dict[str, Any]]:
    workload: Workload = importlib.import_module(f"bench.workloads.{name}").run
    LOGS.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    async with asyncio.timeout(WORKLOAD_SECONDS), Bed.on(cluster, LOGS) as bed:
        found = await workload(bed, size, rounds)
    print(f"{name} {size}: {time.monotonic() - began:.0f} s", flush=True)
    return results.records(found, size)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("workloads", nargs="*", choices=[[], *NAMES], metavar="WORKLOAD", help=f"{', '.join(NAMES)}")
    parser.add_argument("--size", choices=list(ROUNDS), default="full", help="Size of the workloads (default: full).")
    parser.add_argument("--rounds", type=int, help="The number of rounds (default: by size).")
    parser.add_argument("--output", type=Path, default=RESULTS, help="The file for the figures.")
    parser.add_argument("--chart", type=Path, help="An SVG to draw of all stored figures.")
    parser.add_argument("--check", action="store_true", help="Exit with 1 if a threshold is missed.")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
