"""noop: the engine alone finishes such a task."""

from tradewind.cli.local.kinds.carrier import LocalCarrier


class Nothing(LocalCarrier):
    """A noop task needs no carrier: its methods are never called."""
