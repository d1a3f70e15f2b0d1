"""The life of a run: it starts, is suspended, and processes changes and due timers until it finishes."""

from datetime import datetime

from tradewind.api.duration import format_duration
from tradewind.engine.rules.run_end import run_end
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase
from tradewind.engine.run.timers import Timer
from tradewind.engine.transitions import readiness, try_lifecycle
from tradewind.engine.transitions.endings import end_run, fail


def begin(run: RunState, now: datetime) -> None:
    """Start a queued run, not before its creation time by any clock: tasks may start from now on."""
    _ = run.nodes
    run.phase, run.message, run.reason = RunPhase.RUNNING, None, None
    run.started_at = max(now, run.info.created_at or now)
    run.set_run_timer()
    run.changed = True


def suspend(run: RunState, suspended: bool) -> None:
    """Suspend or resume a run: while it is suspended no new tasks start, and running tasks continue."""
    if run.suspended == suspended:
        return
    run.suspended, run.changed = suspended, True
    if not (suspended or run.folded):
        for node in run.nodes:
            if not node.finished:
                run.recheck(node.position)


def advance(run: RunState, now: datetime) -> None:
    """Process all changes and due timers."""
    if run.phase is not RunPhase.RUNNING:
        return
    # Changes before timers: a run whose last task has finished does not exceed runTimeout.
    _process_changes(run, now)
    _fire_timers(run, now)
    _process_changes(run, now)
    if run.finished:
        return
    if run.unfinished == 0 and _all_have_finished(run):
        end = run_end(run, now)
        end_run(run, end.phase, end.reason, end.message, end.when)
    elif not (run.active or run.queue or run.suspended or _waiting(run)):
        fail(run, "Deadlock", "no unfinished task can ever start", now)


def _all_have_finished(run: RunState) -> bool:
    """True if each task has finished, as the counter says; a wrong counter must not finish the run."""
    left = sum(node.unfinished for node in run.nodes)
    if left:
        run.fault(f"{left} task instances are counted as finished but are not")
        run.unfinished = left
    return not left


def _waiting(run: RunState) -> bool:
    """True if a timer, or an event outside of the run, can still start a task."""
    return bool(run.early or run.blocked) or run.timers.of_tasks


def _process_changes(run: RunState, now: datetime) -> None:
    while run.dirty:
        position, index = next(iter(run.dirty))
        del run.dirty[position, index]
        readiness.consider(run, run.nodes[position], index, now)


def _fire_timers(run: RunState, now: datetime) -> None:
    for timer in run.timers.due(now, run.room):
        if not timer.of_run:
            _fire(run, timer, now)
        elif run.dag.run_timeout and run.unfinished:
            limit = format_duration(run.dag.run_timeout)
            fail(run, "RunTimeout", f"ran longer than runTimeout ({limit})", now)
            return


def _fire(run: RunState, timer: Timer, now: datetime) -> None:
    node = run.nodes[timer.position]
    instance = node.live.get(timer.place) if node.count else node.whole
    if timer.of_more:
        run.recheck(node.position)
    elif timer.of_resting:
        try_lifecycle.schedule_all(run, node, node.due.take(timer.when), now)
    elif instance is not None and instance.attempt == timer.attempt and not instance.finished:
        try_lifecycle.fire(run, instance, now)
