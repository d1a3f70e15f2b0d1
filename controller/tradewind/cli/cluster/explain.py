"""`tradewind explain RUN [TASK]`: why a run, or a task of it, waits or failed."""

import re
from typing import Any

import click

from tradewind.cli.cluster import completions
from tradewind.cli.cluster.client import Cluster, cluster_options
from tradewind.cli.cluster.run_revision import dag_of_run, version_of
from tradewind.cli.errors import CliError
from tradewind.cli.output import Format, output_option, print_data, print_table, printable
from tradewind.engine.run.slots import Slots
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.status.explain import Explanation, explain
from tradewind.engine.status.restore import load

_MOST_TASKS = 20
_NOT_STARTED = "-"
_INSTANCE = re.compile(r"(.+?)(?:\[(\d+)\])?")


@click.command("explain")
@click.argument("run", shell_complete=completions.runs)
@click.argument("task", required=False, shell_complete=completions.tasks)
@cluster_options
@output_option("table", "json", "yaml")
def explain_command(cluster: Cluster, run: str, task: str | None, output: Format) -> None:
    """Explain why a task of a run has not started, what it waits for, or why it failed.

    TASK is the name of a task, or `task[3]` for one instance of a mapped task. Without TASK: what the run waits for, or
    why it failed.
    """
    found = cluster.get("DagRun", run)
    if task is None:
        _explain_run(cluster, found, output)
    else:
        _explain_task(cluster, found, task, output)


def _explain_run(cluster: Cluster, found: dict[str, Any], output: Format) -> None:
    status = found.get("status") or {}
    name, phase = found["metadata"]["name"], status.get("phase")
    message = status.get("message") if phase else "not reconciled yet; is the controller running?"
    try:
        rows = _rows(_state(cluster, found), _entries(found))
    except CliError:
        if not message:
            raise
        rows = []  # the Dag does not exist or is not accepted; the message says so
    if output != "table":
        data = {"run": name, "phase": phase, "reason": status.get("reason"), "message": message}
        print_data(data | {"tasks": [dict(zip(("task", "state", "why"), row, strict=True)) for row in rows]}, output)
        return
    click.echo(f"{name}: {phase or 'Pending'}" + (f": {printable(message)}" if message else ""))
    if rows:
        print_table(["TASK", "STATE", "WHY"], rows[:_MOST_TASKS])
    if len(rows) > _MOST_TASKS:
        click.echo(f"and {len(rows) - _MOST_TASKS} more tasks; see -o json")


def _rows(state: RunState, entries: list[dict[str, Any]]) -> list[list[str]]:
    """Return `[task, state, why]` of each unfinished task; in a finished run, of each failed task."""
    messages = {entry["name"]: entry.get("message") for entry in entries}
    rows = []
    for node in state.nodes:
        if (node.state is not TaskState.FAILED) if state.finished else node.finished:
            continue
        reasons = explain(state, node, None, messages.get(node.task.name))
        why = next((each for each in reasons if each.waits), reasons[-1])
        rows.append(
            [node.task.name, node.state.value if node.state is not TaskState.NONE else _NOT_STARTED, why.message]
        )
    # Tasks that have started come first, since the others wait for them.
    return sorted(rows, key=lambda row: row[1] == _NOT_STARTED)


def _explain_task(cluster: Cluster, found: dict[str, Any], task: str, output: Format) -> None:
    run, state = found["metadata"]["name"], _state(cluster, found)
    match = _INSTANCE.fullmatch(task)
    name, number = (match[1], match[2]) if match else (task, None)
    if name not in state.graph.position:
        raise CliError(f"run {run!r} has no task {name!r}; its tasks are {', '.join(state.graph.names)}")
    node, index = state.node(name), None if number is None else int(number)
    if index is not None and node.peek(index) is None:
        size = f"{node.count} instances (0 to {node.count - 1})" if node.count else "no instances"
        raise CliError(f"task {name!r} of run {run!r} has {size}")
    message = next((entry.get("message") for entry in _entries(found) if entry["name"] == name), None)
    reasons = explain(state, node, index, message)
    now = node.state_of(index) or node.state
    if output != "table":
        print_data({"run": run, "task": task, "state": now.value, "reasons": [_data(each) for each in reasons]}, output)
        return
    click.echo(f"{task} of {run}: {now.value if now.value != 'None' else 'has not started'}")
    print_table(["RULE", "", "WHY"], [[each.rule, "waits" if each.waits else "", each.message] for each in reasons])


def _entries(found: dict[str, Any]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = (found.get("status") or {}).get("tasks") or []
    return entries


def _data(reason: Explanation) -> dict[str, Any]:
    return {"rule": reason.rule, "waits": reason.waits, "message": reason.message}


def _state(cluster: Cluster, found: dict[str, Any]) -> RunState:
    """Return the run as the controller loads it, from its status and the Dag that it is pinned to."""
    version = version_of(found, dag_of_run(cluster, found))
    state = load(version.info, version.dag, Slots(), status=found.get("status") or {}, graph=version.graph)
    state.suspended = bool(found["spec"].get("suspend"))
    return state
