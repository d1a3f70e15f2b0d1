"""Limits, exactly at and just above: what fits is left as it is, what does not is cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.engine.engine_world import START
from tradewind.api.run_request import RunRequest
from tradewind.engine.requests.audit import REQUESTS_BUDGET, with_record
from tradewind.engine.rules.branches import _short as short_value
from tradewind.engine.rules.outcome import MAX_OUTPUT_BYTES, judge
from tradewind.engine.run.json_size import shorten, stored_size
from tradewind.engine.run.texts import head, tail
from tradewind.engine.run.tries import TryEvent, TryReport
from tradewind.kube.events import NOTE_LIMIT, _shortened

pytestmark = pytest.mark.unit


def whole(function: Callable[[str], str]) -> Callable[[str], bool]:
    """Whether a text comes out as it went in."""
    return lambda text: function(text) == text


def output_fits(text: str) -> bool:
    from tests.unit.engine.engine_world import dag, task

    report = TryReport("a", 1, TryEvent.ENDED, exit_code=0, output=text)
    return judge(dag(task("a")).tasks[0], report, None).state == "Succeeded"


@pytest.mark.parametrize(
    ("limit", "fits", "text"),
    [
        (100, whole(lambda text: shorten(text, 100)), "x{}"),
        (100, whole(lambda text: head(text, 100)), "x{}"),
        (100, whole(lambda text: tail(text, 100)), "x{}"),
        (NOTE_LIMIT, whole(_shortened), "x{}"),
        (80, lambda text: short_value(text[2:]) == repr(text[2:]), "''{}"),
        (MAX_OUTPUT_BYTES, output_fits, '""{}'),
    ],
    ids=["message", "head", "tail", "note of an Event", "value of a decision", "output"],
)
def test_what_is_as_long_as_it_may_be_is_whole(limit: int, fits: Callable[[str], bool], text: str) -> None:
    filler = text.format("")
    at = (
        filler[:1] + "x" * (limit - len(filler)) + filler[1:]
        if text.startswith('"')
        else filler + "x" * (limit - len(filler))
    )
    above = at[:1] + "x" + at[1:] if text.startswith('"') else at + "x"
    assert (len(at), len(above)) == (limit, limit + 1)
    assert fits(at)
    assert not fits(above)


def test_requests_fill_their_budget_and_no_more() -> None:
    records: list[dict[str, Any]] = []
    for number in range(300):
        request = RunRequest.model_validate({"id": f"r{number}", "type": "Stop", "message": "m" * 200})
        records = with_record(records, request, applied=False, message="x" * 200, now=START)
    one = stored_size(records[-1]) + 1
    assert REQUESTS_BUDGET - one <= stored_size(records) <= REQUESTS_BUDGET
