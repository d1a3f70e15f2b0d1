"""How the tries of a simulation go, as a user writes it:

    extract: [Failed, Lost, Succeeded]
    load:
    - {exitCode: 3, duration: 2m}
    - {duration: 40s, output: {rows: 120}}

By task, or `dag/task` where there are several Dags, a list with an entry for each try. Tries beyond the list, and those
of tasks that are not named, succeed after a second.
"""

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tradewind.api.duration import parse_duration
from tradewind.api.resolve import ResolvedDag, ResolvedTask

STATES = ("Succeeded", "Failed", "Skipped", "Lost")
FIELDS = ("state", "exitCode", "duration", "output")
DEFAULT_DURATION = timedelta(seconds=1)
_INDEXED = re.compile(r"(.*)\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class ScriptedTry:
    """How one try goes: it ends after `duration` with that exit code, or is lost. `output` is what it writes."""

    duration: timedelta = DEFAULT_DURATION
    exit_code: int = 0
    lost: bool = False
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The tries that are scripted, by Dag and task."""

    tries: Mapping[tuple[str, str], tuple[ScriptedTry, ...]] = field(default_factory=dict)

    def of(self, dag: str, task: str, number: int) -> ScriptedTry:
        """How try `number` (from 1) goes."""
        scripted = self.tries.get((dag, task), ())
        return scripted[number - 1] if number <= len(scripted) else ScriptedTry()


@dataclass(frozen=True, slots=True)
class OutcomeProblem:
    """Something wrong: `path` leads to it (`("load", 0, "duration")`)."""

    path: tuple[str | int, ...]
    message: str


class _BadOutcomeError(Exception):
    def __init__(self, message: str, *path: str) -> None:
        super().__init__(message)
        self.path = path


def read_outcomes(data: Any, dags: Mapping[str, ResolvedDag]) -> tuple[Outcomes, list[OutcomeProblem]]:
    """What `data` says about the tasks of these Dags, and everything that is wrong with it."""
    if data is None:
        return Outcomes(), []
    if not isinstance(data, Mapping):
        return Outcomes(), [OutcomeProblem((), "must be an object: a list of outcomes under the name of each task")]
    tries: dict[tuple[str, str], tuple[ScriptedTry, ...]] = {}
    problems: list[OutcomeProblem] = []
    for key, entries in data.items():
        try:
            tasks = _tasks_named(str(key), dags)
            if not isinstance(entries, list):
                raise _BadOutcomeError("must be a list with an outcome for each try, as in [Failed, Succeeded]")
        except _BadOutcomeError as error:
            problems.append(OutcomeProblem((str(key),), str(error)))
            continue
        for dag, task in tasks:
            scripted = []
            for position, entry in enumerate(entries):
                try:
                    scripted.append(_scripted(entry, task))
                except _BadOutcomeError as error:
                    problems.append(OutcomeProblem((str(key), position, *error.path), str(error)))
            tries[dag, task.name] = tuple(scripted)
    return Outcomes(tries), list(dict.fromkeys(problems))


def _tasks_named(key: str, dags: Mapping[str, ResolvedDag]) -> list[tuple[str, ResolvedTask]]:
    """The tasks that `task` or `dag/task` stands for."""
    dag_name, slash, name = key.rpartition("/")
    if slash and dag_name not in dags:
        raise _BadOutcomeError(f"there is no Dag {dag_name!r}{_near(dag_name, list(dags))}")
    searched = {dag_name: dags[dag_name]} if slash else dags
    indexed = _INDEXED.fullmatch(name)
    plain = indexed.group(1) if indexed else name
    found = [(dag, task) for dag, resolved in searched.items() for task in resolved.tasks if task.name == plain]
    if not found:
        known = [task.name for resolved in searched.values() for task in resolved.tasks]
        raise _BadOutcomeError(f"there is no task {plain!r}{_near(plain, known)}")
    if indexed:
        raise _BadOutcomeError(f"the task {plain!r} is not mapped, so it has no index")
    return found


def _near(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def _scripted(entry: Any, task: ResolvedTask) -> ScriptedTry:
    if isinstance(entry, str):
        entry = {"state": entry}
    if not isinstance(entry, Mapping):
        raise _BadOutcomeError(f"must be one of {', '.join(STATES)}, or an object with {', '.join(FIELDS)}")
    for name in entry:
        if name not in FIELDS:
            raise _BadOutcomeError(f"no such field; there are {', '.join(FIELDS)}", str(name))
    if "state" in entry and "exitCode" in entry:
        raise _BadOutcomeError("give either state or exitCode, not both", "exitCode")
    state = entry.get("state", "Succeeded")
    if state not in STATES:
        raise _BadOutcomeError(f"{state!r} is not one of {', '.join(STATES)}", *(["state"] if len(entry) > 1 else []))
    if task.noop and entry != {"state": "Succeeded"}:
        raise _BadOutcomeError("the task is a noop: it runs nothing, and always succeeds at once")
    exit_code = entry.get("exitCode")
    return ScriptedTry(
        duration=_duration(entry.get("duration")),
        exit_code=_exit_code_of(state, task) if exit_code is None else _exit_code(exit_code),
        lost=state == "Lost",
        output=json.dumps(entry["output"], ensure_ascii=False) if "output" in entry else None,
    )


def _exit_code(code: Any) -> int:
    if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= 255:
        raise _BadOutcomeError(f"{code!r} is not an exit code: a whole number from 0 to 255", "exitCode")
    return code


def _exit_code_of(state: str, task: ResolvedTask) -> int:
    """An exit code that means `state` for this task: Failed is a failure that is retried."""
    if state == "Skipped":
        if not task.skip_exit_codes:
            raise _BadOutcomeError("the task has no skipExitCodes, so it cannot end as Skipped")
        return min(task.skip_exit_codes)
    if state == "Failed":
        taken = task.skip_exit_codes | task.fail_exit_codes
        return next((code for code in range(1, 256) if code not in taken), 1)
    return 0


def _duration(text: Any) -> timedelta:
    if text is None:
        return DEFAULT_DURATION
    if not isinstance(text, str):
        raise _BadOutcomeError(f"{text!r} is not a duration: write a number and a unit, as in 90s or 1h30m", "duration")
    try:
        return parse_duration(text)
    except ValueError as error:
        raise _BadOutcomeError(str(error), "duration") from error
