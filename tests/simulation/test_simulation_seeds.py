"""The whole controller under random faults: 2,000 seeds, or the one in `$SEED` with all that happens in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.play import failures, trace_of

pytestmark = pytest.mark.simulation

TESTS = Path(__file__).resolve().parent.parent
SEEDS = int(os.environ.get("SEEDS", "2000"))
CHUNK = 25


@pytest.mark.skipif("SEED" in os.environ, reason="only $SEED is played")
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_random_faults(first: int) -> None:
    found = failures(range(first, min(first + CHUNK, SEEDS)))
    assert not found, "\n\n".join(found)


@pytest.mark.skipif("SEED" not in os.environ, reason="$SEED names a seed to be played alone")
def test_one_seed() -> None:
    trace, problem = trace_of(int(os.environ["SEED"]))
    print("\n".join(trace))
    assert not problem, problem


def test_a_seed_is_played_the_same_way_every_time() -> None:
    """In two processes in which sets of strings have another order."""
    for seed in (3, 7, 24):
        traces = []
        for hashes in ("1", "2"):
            environment = {**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": str(TESTS)}
            command = [sys.executable, "-m", "simulation.play", "--seed", str(seed)]
            played = subprocess.run(
                command, env=environment, cwd=TESTS.parent, capture_output=True, text=True, timeout=300, check=True
            )
            traces.append(played.stdout.splitlines())
        assert len(traces[0]) > 50
        assert traces[0] == traces[1]
