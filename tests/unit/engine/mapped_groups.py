"""Mapped groups that more than one file of tests has."""

from __future__ import annotations

from typing import Any

from tests.unit.engine.engine_world import World, group, task


def mapped(*after: str, count: int = 3, **fields: Any) -> dict[str, Any]:
    """The group `g` with so many instances; `after` is what it depends on."""
    return group("g", *after, forEach={"items": list(range(count))}, **fields)


def over_output(**first: Any) -> World:
    """extract → g (first → second → cleanup, for each item of its output) → behind"""
    return World(
        task("extract"),
        task("first", group="g", **first),
        task("second", "first", group="g"),
        task("cleanup", "second", group="g", triggerRule="AllDone"),
        task("behind", "g"),
        groups=[group("g", forEach={"output": "extract"})],
    )
