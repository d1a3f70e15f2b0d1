"""Always: whatever happens upstream."""

from tradewind.engine.trigger_rules.upstream import Run, UpstreamCounts, Verdict


def always(upstream: UpstreamCounts) -> Verdict:
    """Run at once."""
    del upstream
    return Run()
