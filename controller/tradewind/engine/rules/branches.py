"""branch and shortCircuit: the tasks that are skipped because of another task's output.

The output in status is the only record of a decision, so a decision still holds after a restart and after a rerun of
the downstream tasks.
"""

from typing import Any

from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode


def skipped_by(run: RunState, node: TaskNode, index: int | None) -> Outcome | None:
    """The outcome of an instance that a branch or a short circuit skips, or None."""
    if node.task.teardown:
        return None
    for position in run.graph.deciders[node.position]:
        decider = run.nodes[position]
        at = index if decider.mapped and decider.task.mapped_group == node.task.mapped_group else None
        if decider.state_of(at) is not TaskState.SUCCEEDED:
            continue
        has_output, output = decider.output_of(at)
        if not has_output:
            continue
        if decider.task.short_circuit:
            if output is False:
                message = f"skipped by short circuit {decider.task.name!r} (output: false)"
                return Outcome(TaskState.SKIPPED, "ShortCircuit", message)
        elif node.position in not_followed(run, position, output):
            return Outcome(TaskState.SKIPPED, "NotFollowed", f"not chosen by branch {decider.task.name!r}")
    return None


def not_followed(run: RunState, branch: int, output: Any) -> frozenset[int]:
    """The direct downstream tasks of a branch that are neither chosen nor downstream of a chosen task."""
    chosen = _chosen(run, branch, output)
    after = 0
    for position in chosen:
        after |= run.graph.descendants[position] | 1 << position
    return frozenset(other for other in run.graph.downstream[branch] if not after >> other & 1)


def check_decision(run: RunState, instance: TaskInstance, outcome: Outcome) -> Outcome:
    """The outcome of a branch or short circuit: a success becomes a failure if the output is not a valid decision."""
    task = instance.task
    if outcome.state is not TaskState.SUCCEEDED or not (task.branch or task.short_circuit):
        return outcome
    if task.short_circuit:
        if not outcome.has_output or isinstance(outcome.output, bool):
            return outcome
        message = f"a shortCircuit task must output true (continue) or false (skip), but wrote {_short(outcome.output)}"
        return Outcome(TaskState.FAILED, "InvalidOutput", message)
    after = run.graph.downstream[instance.position]
    can_follow = sorted(run.graph.names[position] for position in after)
    if not outcome.has_output:
        message = "a branch must output the name of a task, or a list of names, but wrote nothing; choose one of "
        return Outcome(TaskState.FAILED, "InvalidOutput", message + ", ".join(can_follow))
    if not all(isinstance(name, str) for name in _as_list(outcome.output)):
        message = f"a branch must output the name of a task, or a list of names, but wrote {_short(outcome.output)}"
        return Outcome(TaskState.FAILED, "InvalidOutput", message)
    for name in _as_list(outcome.output):
        if not _named(run, instance.position, name):
            message = f"the branch chose {_short(name)}, which is not a direct downstream task or group; choose one of "
            return Outcome(TaskState.FAILED, "InvalidBranch", message + ", ".join(can_follow))
    return outcome


def _chosen(run: RunState, branch: int, output: Any) -> set[int]:
    return {position for name in _as_list(output) for position in _named(run, branch, name)}


def _named(run: RunState, branch: int, name: Any) -> list[int]:
    """The direct downstream tasks of a branch that a name stands for: a task, or the tasks of a group."""
    if not isinstance(name, str):
        return []  # possible if a user has edited status
    members = run.dag.groups[name].tasks if name in run.dag.groups else (name,)
    return [other for other in run.graph.downstream[branch] if run.graph.names[other] in members]


def _as_list(output: Any) -> list[Any]:
    return output if isinstance(output, list) else [] if output is None else [output]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "…"
