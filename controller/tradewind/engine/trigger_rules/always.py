"""Always: whatever happens upstream."""

from tradewind.engine.run.upstream import Run, UpstreamCounts, Verdict


def always(upstream: UpstreamCounts) -> Verdict:
    """Run at once."""
    del upstream
    return Run()
