"""A lower bound of the makespan of any schedule, even with all times known in advance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def simple_bound(seconds: Mapping[str, float], after: Mapping[str, Sequence[str]], slots: int) -> float:
    """max(critical path, work / slots), in seconds."""
    return max(critical_path(seconds, after), sum(seconds.values()) / slots)


def critical_path(seconds: Mapping[str, float], after: Mapping[str, Sequence[str]]) -> float:
    """Return the longest chain of tasks; `after` has the upstream tasks of a task, which precede it in `seconds`."""
    heads = _heads(seconds, after)
    return max(heads[task] + seconds[task] for task in seconds)


def lower_bound(seconds: Mapping[str, float], after: Mapping[str, Sequence[str]], slots: int) -> float:
    """Return a lower bound of the makespan of uninterrupted tasks, `slots` at a time.

    For every set of tasks, between the earliest start of one of them and the finish of the last

    - the slots have to do all of their work, and
    - of the k × slots + 1 longest of them k + 1 share a slot,

    and the shortest path downstream of one of them follows. The sets considered are those of tasks that cannot start
    before some moment, nor finish later than some time before the end.
    """
    heads, tails = _heads(seconds, after), _tails(seconds, after)
    best = 0.0
    for earliest in sorted(set(heads.values())):
        late = [task for task in seconds if heads[task] >= earliest]
        for rest in sorted({tails[task] for task in late}):
            times = sorted((seconds[task] for task in late if tails[task] >= rest), reverse=True)
            best = max(best, earliest + max(sum(times) / slots, times[0], _sharing(times, slots)) + rest)
    return best


def _sharing(times: Sequence[float], slots: int) -> float:
    """Return the least work of the busiest slot, for tasks of these durations, longest first."""
    shared = [0.0]
    for many in range(1, (len(times) - 1) // slots + 1):
        longest = times[: many * slots + 1]
        shared.append(sum(longest[-(many + 1) :]))
    return max(shared)


def _heads(seconds: Mapping[str, float], after: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Return the earliest start of each task."""
    heads: dict[str, float] = {}
    for task in seconds:
        heads[task] = max((heads[before] + seconds[before] for before in after[task]), default=0.0)
    return heads


def _tails(seconds: Mapping[str, float], after: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Return the least time from the finish of each task to the finish of all."""
    tails = dict.fromkeys(seconds, 0.0)
    for task in reversed(list(seconds)):
        for before in after[task]:
            tails[before] = max(tails[before], seconds[task] + tails[task])
    return tails
