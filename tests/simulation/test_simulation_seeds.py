"""The whole controller under random faults: 2,000 seeds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.play import failures

pytestmark = pytest.mark.simulation

ROOT = Path(__file__).parents[2]
SEEDS = int(os.environ.get("SEEDS", "2000"))
CHUNK = 25


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_random_faults(first: int) -> None:
    found = failures(range(first, min(first + CHUNK, SEEDS)))
    assert not found, "\n\n".join(found)


def test_a_seed_is_played_the_same_way_every_time() -> None:
    """In two processes in which sets of strings have another order."""
    for seed in (3, 7, 24):
        traces = []
        for hashes in ("1", "2"):
            environment = {**os.environ, "PYTHONHASHSEED": hashes}
            command = [sys.executable, "-m", "tests.simulation.play", "--seed", str(seed)]
            played = subprocess.run(
                command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
            )
            traces.append(played.stdout.splitlines())
        assert len(traces[0]) > 50
        assert traces[0] == traces[1]
