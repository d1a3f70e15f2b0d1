"""A few thousand of the inputs that `make fuzz` tries by the million; the same each time."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.property

ROOT = Path(__file__).parents[2]
INPUTS = 3000


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks_it(target: str) -> None:
    """In a process of its own, which may neither hang nor grow."""
    command = [sys.executable, "-m", "tests.fuzz.play", target, f"--inputs={INPUTS * TARGETS[target][1] // 100}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
