"""A few thousand of the inputs that `make fuzz` tries by the million; the same each time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.targets import TARGETS

pytestmark = pytest.mark.property

TESTS = Path(__file__).parents[1]
INPUTS = 3000


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks_it(target: str) -> None:
    """In a process of its own, which may neither hang nor grow."""
    command = [sys.executable, "-m", "fuzz.play", target, f"--inputs={INPUTS * TARGETS[target][1] // 100}"]
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
