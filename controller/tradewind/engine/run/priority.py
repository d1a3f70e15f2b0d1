"""priorityWeight and weightRule: which of the tasks that are ready goes first."""

from collections import defaultdict
from collections.abc import Sequence

from tradewind.api.resolve import ResolvedTask


def priority_weights(
    tasks: Sequence[ResolvedTask], ancestors: Sequence[int], descendants: Sequence[int]
) -> tuple[int, ...]:
    """Downstream: a task's own weight and those of all that comes after it, so that what holds up most goes first.
    Upstream: of all that comes before it, so that runs are finished first. Absolute: its own alone."""
    masks: dict[int, int] = defaultdict(int)
    for index, task in enumerate(tasks):
        masks[task.priority_weight] |= 1 << index

    def total(bits: int) -> int:
        return sum(weight * (bits & mask).bit_count() for weight, mask in masks.items())

    return tuple(
        task.priority_weight
        + (
            total(descendants[index])
            if task.weight_rule == "Downstream"
            else total(ancestors[index])
            if task.weight_rule == "Upstream"
            else 0
        )
        for index, task in enumerate(tasks)
    )
