"""noop: the engine alone finishes such a task."""

from tradewind.cli.local.kinds.carrier import LocalCarrier


class Nothing(LocalCarrier):
    """Is never asked for anything."""
