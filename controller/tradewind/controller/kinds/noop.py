"""noop: the engine alone finishes such a task."""

from tradewind.controller.kinds.carrier import Carrier


class Nothing(Carrier):
    """Has nothing to execute."""
