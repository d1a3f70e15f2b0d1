"""The outcomes of tries in a simulation, as a user writes them:

    extract: [Failed, Lost, Succeeded]
    load:
    - {exitCode: 3, duration: 2m}
    - {duration: 40s, output: {rows: 120}}

The key is a task, `dag/task` with several Dags, or `task[index]` for one instance of a mapped task. The value is a list
with an entry for each try, or for each poke of a sensor. Tries beyond the list, and those of tasks without a key,
succeed after a second; a branch without an output follows all of its direct downstream tasks.
"""

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from tradewind.api.duration import parse_duration
from tradewind.api.resolve import ResolvedDag, ResolvedTask
from tradewind.engine.kinds import kind_of
from tradewind.engine.run.tries import TryKey

STATES = ("Succeeded", "Failed", "Skipped", "Lost")
FIELDS = ("state", "exitCode", "duration", "output")
DEFAULT_DURATION = timedelta(seconds=1)
_INDEXED = re.compile(r"(.*)\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class ScriptedTry:
    """One try: it finishes after `duration` with `exit_code`, or is lost. `output` is the output it writes."""

    duration: timedelta = DEFAULT_DURATION
    exit_code: int = 0
    lost: bool = False
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The scripted tries by Dag, task and index (None: every instance without a script of its own)."""

    tries: Mapping[tuple[str, str, int | None], tuple[ScriptedTry, ...]] = field(default_factory=dict)
    decisions: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """The output of each branch without a scripted output."""

    def of(self, dag: str, key: TryKey) -> ScriptedTry:
        """The script of a try, or of one poke of a sensor."""
        scripted = self.tries.get((dag, key.task, key.index)) or self.tries.get((dag, key.task, None), ())
        number = key.poke or key.number
        found = scripted[number - 1] if number <= len(scripted) else ScriptedTry()
        if found.output is None and found.exit_code == 0:
            return replace(found, output=self.decisions.get((dag, key.task)))
        return found

    def says_output(self, dag: str, task: str) -> bool:
        """True if a try of the task has a scripted output."""
        return any(
            each.output is not None
            for (at, name, _), tries in self.tries.items()
            if (at, name) == (dag, task)
            for each in tries
        )


@dataclass(frozen=True, slots=True)
class OutcomeProblem:
    """A problem in the outcomes; `path` is its place (`("load", 0, "duration")`)."""

    path: tuple[str | int, ...]
    message: str


class _BadOutcomeError(Exception):
    def __init__(self, message: str, *path: str) -> None:
        super().__init__(message)
        self.path = path


def read_outcomes(data: Any, dags: Mapping[str, ResolvedDag]) -> tuple[Outcomes, list[OutcomeProblem]]:
    """The outcomes in `data` for the tasks of these Dags, and all problems."""
    decisions = _decisions(dags)
    if data is None:
        return Outcomes(decisions=decisions), []
    if not isinstance(data, Mapping):
        return Outcomes(), [OutcomeProblem((), "must be an object: a list of outcomes under the name of each task")]
    tries: dict[tuple[str, str, int | None], tuple[ScriptedTry, ...]] = {}
    problems: list[OutcomeProblem] = []
    for key, entries in data.items():
        try:
            tasks, index = _tasks_named(str(key), dags)
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
            tries[dag, task.name, index] = tuple(scripted)
    return Outcomes(tries, decisions), list(dict.fromkeys(problems))


def _decisions(dags: Mapping[str, ResolvedDag]) -> dict[tuple[str, str], str]:
    """For each branch an output that follows all of its direct downstream tasks."""
    return {
        (name, task.name): json.dumps([other.name for other in dag.tasks if task.name in other.depends_on])
        for name, dag in dags.items()
        for task in dag.tasks
        if task.branch
    }


def _tasks_named(key: str, dags: Mapping[str, ResolvedDag]) -> tuple[list[tuple[str, ResolvedTask]], int | None]:
    """The tasks that `task` or `dag/task` stands for, and the index in `task[index]`."""
    dag_name, slash, name = key.rpartition("/")
    if slash and dag_name not in dags:
        raise _BadOutcomeError(f"no Dag named {dag_name!r}{_near(dag_name, list(dags))}")
    searched = {dag_name: dags[dag_name]} if slash else dags
    indexed = _INDEXED.fullmatch(name)
    plain = indexed.group(1) if indexed else name
    found = [(dag, task) for dag, resolved in searched.items() for task in resolved.tasks if task.name == plain]
    if not found:
        known = [task.name for resolved in searched.values() for task in resolved.tasks]
        raise _BadOutcomeError(f"no task named {plain!r}{_near(plain, known)}")
    if indexed is None:
        return found, None
    if any(task.for_each is None and task.mapped_group is None for _, task in found):
        raise _BadOutcomeError(f"the task {plain!r} is not mapped, so it has no index")
    return found, int(indexed.group(2))


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
    always_succeeds = kind_of(task).always_succeeds
    if always_succeeds is not None and entry != {"state": "Succeeded"}:
        raise _BadOutcomeError(always_succeeds)
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
    """An exit code that means `state` for this task; Failed means a failure that is retried."""
    if state == "Skipped":
        if not task.skip_exit_codes:
            raise _BadOutcomeError("the task has no skipExitCodes, so it cannot be Skipped")
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
