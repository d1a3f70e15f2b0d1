"""priorityWeight and weightRule: the order in which ready tasks get slots."""

from collections import defaultdict
from collections.abc import Sequence

from tradewind.api.resolve import ResolvedTask


def priority_weights(
    tasks: Sequence[ResolvedTask], ancestors: Sequence[int], descendants: Sequence[int]
) -> tuple[int, ...]:
    """The weight of each task. Downstream: its own weight plus those of all downstream tasks, so tasks that block the
    most go first. Upstream: plus those of all upstream tasks, so started runs finish first. Absolute: only its own."""
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
