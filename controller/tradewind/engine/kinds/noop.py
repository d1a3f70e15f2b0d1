"""noop: tasks that only join or split edges."""

from tradewind.engine.kinds.kind import Finish, Kind
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.run.states import TaskState


class Noop(Kind):
    """Succeeds as soon as it starts."""

    common_start = Finish(Outcome(TaskState.SUCCEEDED))
    always_succeeds = "the task is a noop: it runs nothing and always succeeds immediately"
