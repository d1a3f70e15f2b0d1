"""`python -m tests.simulation.play 100000`: play many seeds, on all processors; name those that fail.

`python -m tests.simulation.play --seed 123` prints everything that happens in one.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache

from tests.simulation.world import Failed, play_seed

CHUNK = 50
REPORT_EVERY = 1000


@cache
def _freeze_modules() -> None:
    """They are here to stay: to look through them for garbage again and again takes a sixth of the time."""
    gc.freeze()


def failures(seeds: range) -> list[str]:
    """Return the failures of these seeds."""
    _freeze_modules()
    found = []
    for seed in seeds:
        try:
            play_seed(seed)
        except Failed as failed:
            found.append(str(failed))
    return found


def tell(seed: int) -> int:
    """Print everything that happens in one seed; 1 if something went wrong."""
    trace: list[str] = []
    problem = ""
    try:
        play_seed(seed, trace)
    except Failed as failed:
        problem = str(failed)
    print("\n".join([*trace, problem]))
    return 1 if problem else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="?", default=2000, help="how many")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, help="only this one, with all that happens")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return tell(arguments.seed)
    last = arguments.first + arguments.seeds
    chunks = [range(first, min(first + CHUNK, last)) for first in range(arguments.first, last, CHUNK)]
    failed, began = 0, time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for number, found in enumerate(pool.map(failures, chunks), 1):
            failed += len(found)
            for text in found:
                print(text, flush=True)
            done = min(number * CHUNK, arguments.seeds)
            rate = done / (time.monotonic() - began)
            if sys.stderr.isatty():
                print(f"\r{done} of {arguments.seeds}, {rate:.0f} a second ", end="", file=sys.stderr)
            elif done % REPORT_EVERY == 0:
                print(f"{done} of {arguments.seeds}, {rate:.0f} a second", file=sys.stderr, flush=True)
    print(f"{failed} of {arguments.seeds} seeds failed; {rate:.1f} seeds a second on {os.cpu_count()} processors")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
