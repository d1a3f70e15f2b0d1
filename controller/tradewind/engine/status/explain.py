"""Why a task instance is in its state: the message of each rule that applies."""

from collections.abc import Iterator
from dataclasses import dataclass

from tradewind.api.times import format_time
from tradewind.engine.kinds import kind_of
from tradewind.engine.rules.run_end import ENDING_REASONS
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase, TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode
from tradewind.engine.transitions.counting import counts_of
from tradewind.engine.trigger_rules import Run, Wait, evaluate

MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Explanation:
    """`rule` is the field or state; `waits` is true if it keeps the task from continuing."""

    rule: str
    waits: bool
    message: str


def explain(run: RunState, node: TaskNode, index: int | None, message: str | None = None) -> list[Explanation]:
    """All reasons that apply to a task (or one instance of it) in this run; `message` is its message in status, which
    alone knows the limits that other runs use up, such as slots."""
    return [*_of_run(run), *_of_task(run, node, index, message)]


def _of_run(run: RunState) -> Iterator[Explanation]:
    if run.phase is RunPhase.QUEUED:
        yield Explanation("maxActiveRuns", True, f"the run is Queued: {run.message or 'it has not been processed yet'}")
    elif run.finished or run.reason in ENDING_REASONS:
        yield Explanation("run", False, f"the run is {run.phase.value}" + (f": {run.message}" if run.message else ""))
    if run.suspended:
        yield Explanation("suspend", True, "the run is suspended: no new tasks start; running tasks continue")


def _of_task(run: RunState, node: TaskNode, index: int | None, message: str | None) -> Iterator[Explanation]:
    instance = node.peek(index)
    if instance is None:
        tally = ", ".join(f"{count} {state.value}" for state, count in node.tally().items())
        yield Explanation(
            "forEach", not node.finished, f"mapped over {node.count} items: {tally}; name one as task[index]"
        )
        if node.ready and message:
            yield Explanation("slots", True, message)
        return
    state = instance.state
    if state is TaskState.NONE:
        yield from _of_upstream(run, node, index)
        if node.task.depends_on_past:
            yield Explanation(
                "dependsOnPast", bool(message), message or "the task must have succeeded in the previous run"
            )
        if node.awaits_items:
            yield Explanation("forEach", True, "the items of forEach are not known yet")
    elif state is TaskState.SCHEDULED:
        since = f" since {format_time(instance.scheduled_at)}" if instance.scheduled_at else ""
        if instance.reason:
            yield Explanation("pod", True, f"ready{since}, but its Pod cannot be created: {instance.reason}: {message}")
        else:
            yield Explanation("slots", True, f"ready{since}: {message or 'about to start'}")
    elif state is TaskState.UP_FOR_RETRY:
        due = f"try {instance.number + 1} is due at {format_time(instance.retry_at)}; " if instance.retry_at else ""
        yield Explanation("retries", True, f"{due}try {instance.number} failed: {_why(instance)}")
    elif instance.next_poke_at is not None or state is TaskState.UP_FOR_RESCHEDULE:
        field, text = kind_of(node.task).explain_wait(instance)
        yield Explanation(field, True, text)
    else:
        has_started = state in (TaskState.QUEUED, TaskState.RUNNING)
        text = f"try {instance.number} is {state.value}" if has_started else f"it is {state.value}"
        yield Explanation("state", state is TaskState.QUEUED, text + (f": {_why(instance)}" if _why(instance) else ""))


def _of_upstream(run: RunState, node: TaskNode, index: int | None) -> Iterator[Explanation]:
    verdict = evaluate(node.task.trigger_rule, counts_of(run, node, index))
    waits = isinstance(verdict, Wait)
    says = "is satisfied" if isinstance(verdict, Run) else verdict.reason
    yield Explanation("triggerRule", waits, f"{node.task.trigger_rule}: {says}")
    before = [run.nodes[position] for position in run.graph.upstream[node.position]]
    unfinished = [other for other in before if not other.finished]
    for other in unfinished[:MOST_NAMED] if waits else ():
        done = f" ({other.count - other.unfinished} of {other.count} finished)" if other.count else ""
        yield Explanation("dependsOn", True, f"{other.task.name} is {other.state.value}{done}")
    if waits and len(unfinished) > MOST_NAMED:
        yield Explanation("dependsOn", True, f"and {len(unfinished) - MOST_NAMED} more")


def _why(instance: TaskInstance) -> str:
    return ": ".join(part for part in (instance.reason, instance.message) if part)
