"""Every trigger rule with every combination of up to three upstream states, compared with an independent table."""

from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import get_args

import pytest

from tradewind.api.task import TriggerRuleName
from tradewind.engine.run.states import TaskState
from tradewind.engine.trigger_rules import TRIGGER_RULES, End, Run, UpstreamCounts, Wait, evaluate

pytestmark = pytest.mark.unit

S, F, UF, SK = TaskState.SUCCEEDED, TaskState.FAILED, TaskState.UPSTREAM_FAILED, TaskState.SKIPPED
OPEN = TaskState.RUNNING
STATES = (S, F, UF, SK, OPEN)
RUN, WAIT = "Run", "Wait"
Upstream = tuple[TaskState, ...]
COMBINATIONS = [states for size in range(4) for states in combinations_with_replacement(STATES, size)]


def every(states: Upstream, *wanted: TaskState) -> bool:
    return all(state in wanted for state in states)


def some(states: Upstream, *wanted: TaskState) -> bool:
    return any(state in wanted for state in states)


def first_of(*cases: tuple[bool, str | TaskState]) -> str | TaskState:
    return next(answer for holds, answer in cases if holds)


# One line a cell of the table: what must hold, in the order in which the table says it.
BOOK: dict[str, Callable[[Upstream], str | TaskState]] = {
    "AllSuccess": lambda u: first_of((some(u, F, UF), UF), (some(u, SK), SK), (every(u, S), RUN), (True, WAIT)),
    "AllFailed": lambda u: first_of((some(u, S, SK), SK), (every(u, F, UF), RUN), (True, WAIT)),
    "AllDone": lambda u: WAIT if some(u, OPEN) else RUN,
    "AllDoneMinOneSuccess": lambda u: first_of((some(u, SK), SK), (some(u, OPEN), WAIT), (some(u, S), RUN), (True, UF)),
    "OneSuccess": lambda u: first_of((some(u, S), RUN), (some(u, OPEN), WAIT), (every(u, SK), SK), (True, UF)),
    "OneFailed": lambda u: first_of((some(u, F, UF), RUN), (some(u, OPEN), WAIT), (True, SK)),
    "OneDone": lambda u: first_of((some(u, S, F), RUN), (some(u, OPEN), WAIT), (True, SK)),
    "NoneFailed": lambda u: first_of((some(u, F, UF), UF), (every(u, S, SK), RUN), (True, WAIT)),
    "NoneFailedMinOneSuccess": lambda u: first_of(
        (some(u, F, UF), UF), (some(u, OPEN), WAIT), (some(u, S), RUN), (True, SK)
    ),
    "NoneSkipped": lambda u: first_of((some(u, SK), SK), (some(u, OPEN), WAIT), (True, RUN)),
    "AllSkipped": lambda u: first_of((some(u, S, F, UF), SK), (every(u, SK), RUN), (True, WAIT)),
    "Always": lambda u: RUN,
}


def answer(rule: str, states: Upstream) -> str | TaskState:
    counts = UpstreamCounts(len(states))
    for state in states:
        if state is not OPEN:
            counts.add(state)
    match evaluate(rule, counts):
        case Run():
            return RUN
        case Wait(reason):
            assert f"of {len(states)}" in reason
            return WAIT
        case End(state, reason):
            assert reason
            return state


@pytest.mark.parametrize("rule", BOOK)
def test_every_combination(rule: str) -> None:
    for states in COMBINATIONS:
        expected = BOOK[rule](states) if states else RUN
        assert answer(rule, states) == expected, [state.value for state in states]


@pytest.mark.parametrize("setups", range(4))
def test_every_combination_of_setups_and_others(setups: int) -> None:
    """AllDoneSetupSuccess: the first `setups` of the tasks upstream are setups."""
    for states in (states for states in COMBINATIONS if len(states) >= max(setups, 1)):
        counts = UpstreamCounts(len(states), setups=setups)
        for place, state in enumerate(states):
            if state is not OPEN:
                counts.add(state, setup=place < setups)
        of_setups = states[:setups]
        expected: object
        if OPEN in states:
            expected = WAIT
        elif not setups or S in of_setups:
            expected = RUN
        else:
            expected = SK if set(of_setups) == {SK} else UF
        found = evaluate("AllDoneSetupSuccess", counts)
        assert (found.state if isinstance(found, End) else WAIT if isinstance(found, Wait) else RUN) == expected, states


def test_the_api_offers_the_rules_that_there_are() -> None:
    assert list(get_args(TriggerRuleName)) == list(TRIGGER_RULES)
    assert set(TRIGGER_RULES) == {*BOOK, "AllDoneSetupSuccess"}


@pytest.mark.parametrize("rule", TRIGGER_RULES)
def test_an_answer_other_than_wait_stays(rule: str) -> None:
    """Once a rule has decided, whatever else ends upstream would not have changed it to the opposite too late."""
    for states in COMBINATIONS:
        decided = answer(rule, states)
        if decided == WAIT or OPEN not in states:
            continue
        rest = [state for state in states if state is not OPEN]
        for last in (S, F, UF, SK):
            later = answer(rule, (*rest, *([last] * (len(states) - len(rest)))))
            assert isinstance(decided, str) or not isinstance(later, str) or later != RUN
