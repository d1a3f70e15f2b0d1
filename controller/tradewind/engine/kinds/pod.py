"""Tasks with a command, a script or their image's entrypoint: each try is one Pod."""

from tradewind.engine.kinds.kind import NEEDS_SLOTS, Kind


class Pod(Kind):
    """Starts once it has slots; how its Pod ends is how the try ends."""

    alike = NEEDS_SLOTS
