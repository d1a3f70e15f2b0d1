"""pool and poolSlots: slots that the tasks of all Dags in a namespace share."""

from tradewind.engine.limits.limit import Blocks, Reached
from tradewind.engine.run.slots import UNLIMITED
from tradewind.engine.run.state import RunState
from tradewind.engine.run.task_node import TaskNode


def pool(run: RunState, node: TaskNode) -> Reached | None:
    """Reached when the pool has too few free slots. A task that needs more slots than the pool has in total does not
    block other tasks."""
    namespace, name, slots = run.info.namespace, node.task.pool, node.task.pool_slots
    limit = run.slots.limit(namespace, name)
    if limit is None:
        return Reached(f"waiting for pool {name!r}, which does not exist in namespace {namespace!r}", Blocks.POOL)
    if limit == UNLIMITED or run.slots.used.get((namespace, name), 0) + slots <= limit:
        return None
    if 0 < limit < slots:
        return Reached(f"needs {slots} slots of pool {name!r}, which has only {limit}", Blocks.TASK)
    return Reached(f"waiting for a slot of pool {name!r} ({limit} slots)", Blocks.POOL)
