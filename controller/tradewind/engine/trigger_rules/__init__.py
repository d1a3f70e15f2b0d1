"""When a task may start, given how its upstream tasks finished: one file per rule.

A rule sees counts, not tasks, so its cost does not depend on the number of upstream tasks.
"""

from tradewind.engine.run.upstream import End, Run, TriggerRule, UpstreamCounts, Verdict, Wait
from tradewind.engine.trigger_rules.all_done import all_done
from tradewind.engine.trigger_rules.all_done_min_one_success import all_done_min_one_success
from tradewind.engine.trigger_rules.all_done_setup_success import all_done_setup_success
from tradewind.engine.trigger_rules.all_failed import all_failed
from tradewind.engine.trigger_rules.all_skipped import all_skipped
from tradewind.engine.trigger_rules.all_success import all_success
from tradewind.engine.trigger_rules.always import always
from tradewind.engine.trigger_rules.none_failed import none_failed
from tradewind.engine.trigger_rules.none_failed_min_one_success import none_failed_min_one_success
from tradewind.engine.trigger_rules.none_skipped import none_skipped
from tradewind.engine.trigger_rules.one_done import one_done
from tradewind.engine.trigger_rules.one_failed import one_failed
from tradewind.engine.trigger_rules.one_success import one_success

TRIGGER_RULES: dict[str, TriggerRule] = {
    "AllSuccess": all_success,
    "AllFailed": all_failed,
    "AllDone": all_done,
    "AllDoneMinOneSuccess": all_done_min_one_success,
    "AllDoneSetupSuccess": all_done_setup_success,
    "OneSuccess": one_success,
    "OneFailed": one_failed,
    "OneDone": one_done,
    "NoneFailed": none_failed,
    "NoneFailedMinOneSuccess": none_failed_min_one_success,
    "NoneSkipped": none_skipped,
    "AllSkipped": all_skipped,
    "Always": always,
}


def evaluate(rule: str, upstream: UpstreamCounts) -> Verdict:
    """The verdict of a trigger rule. A task without upstream tasks may start, whatever its rule."""
    return TRIGGER_RULES[rule](upstream) if upstream.total else Run()


__all__ = ["TRIGGER_RULES", "End", "Run", "TriggerRule", "UpstreamCounts", "Verdict", "Wait", "evaluate"]
