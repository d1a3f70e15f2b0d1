"""When a task may start, given how the tasks upstream ended: one file per rule.

A rule sees counts, not tasks, so that deciding costs the same whatever the number of upstream tasks.
"""

from tradewind.engine.trigger_rules.all_success import all_success
from tradewind.engine.trigger_rules.upstream import Run, TriggerRule, UpstreamCounts, Verdict, Wait

__all__ = ["Run", "TriggerRule", "UpstreamCounts", "Verdict", "Wait", "all_success"]
