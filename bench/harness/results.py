"""Figures and their goals; the table and the file of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import yaml

BENCH = Path(__file__).resolve().parents[1]
THRESHOLDS = BENCH / "thresholds.yaml"


@dataclass(frozen=True, slots=True)
class Result:
    """One figure, once for each round."""

    workload: str
    unit: str
    rounds: list[float]
    more: str = ""
    details: Mapping[str, float] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The median of the rounds."""
        return median(self.rounds)


@dataclass(frozen=True, slots=True)
class Threshold:
    """The goal of a figure."""

    at_least: float | None = None
    at_most: float | None = None

    def met(self, value: float) -> bool:
        """True if a figure reaches its goal."""
        if self.at_least is not None and value < self.at_least:
            return False
        return self.at_most is None or value <= self.at_most

    def __str__(self) -> str:
        return f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"


def thresholds() -> dict[str, Threshold]:
    """The committed goals, by workload."""
    found = yaml.safe_load(THRESHOLDS.read_text())
    return {name: Threshold(entry.get("atLeast"), entry.get("atMost")) for name, entry in found.items()}


def records(results: Iterable[Result], size: str) -> list[dict[str, Any]]:
    """Return the figures as stored. `reach` and `met` are None for a figure without a goal."""
    limits = thresholds()
    kept = []
    for result in results:
        limit = limits.get(result.workload)
        kept.append(
            {
                "workload": result.workload,
                "value": round(result.value, 4),
                "unit": result.unit,
                "reach": str(limit) if limit else None,
                "met": limit.met(result.value) if limit else None,
                "rounds": [round(value, 4) for value in result.rounds],
                "size": size,
                "more": result.more,
                "details": dict(result.details),
            }
        )
    return kept


def keep(path: Path, new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write records to a file; its records of other workloads stay."""
    names = {record["workload"] for record in new}
    old = json.loads(path.read_text()) if path.exists() else []
    order = {name: place for place, name in enumerate(thresholds())}
    kept = [record for record in old if record["workload"] not in names] + new
    kept.sort(key=lambda record: order.get(record["workload"], len(order)))
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    return kept


def table(kept: Iterable[Mapping[str, Any]]) -> str:
    """Return a table of records."""
    head = ("workload", "size", "value", "reach", "", "unit", "rounds", "more")
    rows = [head]
    for record in kept:
        mark = {True: "met", False: "MISSED", None: ""}[record["met"]]
        rounds = " ".join(f"{value:.3g}" for value in record["rounds"])
        rows.append(
            (
                record["workload"],
                record["size"],
                f"{record['value']:.3g}",
                record["reach"] or "",
                mark,
                record["unit"],
                rounds,
                record["more"],
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)
