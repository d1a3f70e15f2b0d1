"""One file for each workload; each has `run(bed, size, rounds)`, which returns its figures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

from bench.harness.bed import Bed
from bench.harness.results import Result

Size = Literal["tiny", "small", "full"]
Workload = Callable[[Bed, Size, int], Awaitable[list[Result]]]

NAMES = (
    "fan",
    "mapped",
    "protected",
    "chains",
    "many",
    "hop",
    "schedule",
    "idle",
    "memory",
    "restart",
    "stalls",
    "shapes",
    "curve",
)
ROUNDS: dict[Size, int] = {"tiny": 1, "small": 2, "full": 3}
