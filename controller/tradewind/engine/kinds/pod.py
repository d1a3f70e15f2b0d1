"""Tasks with a command, a script or the entrypoint of their image: each try is one Pod."""

from tradewind.engine.kinds.kind import NEEDS_SLOTS, Kind


class Pod(Kind):
    """A try starts once it has slots, and its Pod's result is its result."""

    common_start = NEEDS_SLOTS
