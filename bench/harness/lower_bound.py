"""How fast tasks could be done at best: below this no schedule can be, whatever it knows beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def simple_bound(seconds: Mapping[str, float], after: Mapping[str, Sequence[str]], slots: int) -> float:
    """max(critical path, work / slots), in seconds."""
    return max(critical_path(seconds, after), sum(seconds.values()) / slots)


def critical_path(seconds: Mapping[str, float], after: Mapping[str, Sequence[str]]) -> float:
    """The longest chain of tasks; `after` names those that a task comes after, which come before it in `seconds`."""
    heads = _heads(seconds, after)
    return max(heads[task] + seconds[task] for task in seconds)


def lower_bound(seconds: Mapping[str, float], after: Mapping[str, Sequence[str]], slots: int) -> float:
    """The best that is known of any schedule of tasks that are not interrupted, `slots` at a time.

    It holds for every set of tasks that from the earliest moment at which one of them can start to the end

    - their work has to be done by all slots, and
    - of the k × slots + 1 longest of them k + 1 share a slot,

    and that after that comes the shortest of what has to come after one of them. The sets looked at are those of tasks
    that cannot start before some moment, nor end later than some time before the end.
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
    """What some slot has to do at least, of tasks that take so long, the longest first."""
    shared = [0.0]
    for many in range(1, (len(times) - 1) // slots + 1):
        longest = times[: many * slots + 1]
        shared.append(sum(longest[-(many + 1) :]))
    return max(shared)


def _heads(seconds: Mapping[str, float], after: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """When each task can start at the earliest."""
    heads: dict[str, float] = {}
    for task in seconds:
        heads[task] = max((heads[before] + seconds[before] for before in after[task]), default=0.0)
    return heads


def _tails(seconds: Mapping[str, float], after: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """How long it takes from the end of each task to the end of all, at least."""
    tails = dict.fromkeys(seconds, 0.0)
    for task in reversed(seconds):
        for before in after[task]:
            tails[before] = max(tails[before], seconds[task] + tails[task])
    return tails
