"""Always: the task does not wait for its upstream tasks."""

from tradewind.engine.run.upstream import Run, UpstreamCounts, Verdict


def always(upstream: UpstreamCounts) -> Verdict:
    """Run at once."""
    del upstream
    return Run()
