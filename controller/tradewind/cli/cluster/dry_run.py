"""What a request on a run would change, by the engine that would carry it out: --dry-run."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from tradewind.api.names import revision_name
from tradewind.api.run_request import RunRequest
from tradewind.api.validation import summary
from tradewind.api.validation.params import check_params
from tradewind.cli.cluster.run_revision import RunDag, version_of
from tradewind.cli.colours import paint
from tradewind.cli.output import Format, print_data, print_table
from tradewind.engine.requests import Change, Decision, Version, apply_request, refuse
from tradewind.engine.run.index_set import IndexSet


def preview(run: dict[str, Any], request: RunRequest, dag: RunDag, now: RunDag | None, output: Format) -> bool:
    """Print what a request would change; whether it would be carried out. `now` is the Dag as it is now, where the
    request asks for that."""
    decision = _decide(run, request, dag, now)
    rows = _rows(decision.changes)
    if output != "table":
        print_data(_data(run, decision), output)
    elif rows:
        print_table(["TASK", "STATE", "TRY"], rows)
    if decision.applied:
        count = len(decision.stops)
        ends = f"; would end {count} {'try that is' if count == 1 else 'tries that are'} under way" if count else ""
        click.echo(f"dry run: {decision.message}{ends}", err=True)
    else:
        click.echo(f"{paint('would be refused:', 'red', err=True)} {decision.message}", err=True)
    return decision.applied


def _decide(run: dict[str, Any], request: RunRequest, dag: RunDag, now: RunDag | None) -> Decision:
    """As the controller decides."""
    status, at, current = run.get("status") or {}, datetime.now(UTC), version_of(run, dag)
    latest = _latest(run, dag, now) if now else None
    problems = check_params((now or dag).spec.params or {}, run["spec"].get("params") or {})
    if request.type == "Rerun" and problems:
        return refuse(request, status, current, summary(problems), at)
    return apply_request(request, status, current, latest, now=at)


def _latest(run: dict[str, Any], dag: RunDag, now: RunDag) -> Version | None:
    """The run with the Dag as it is now; None if it has that already."""
    from tradewind.api.revision import content_hash

    name = revision_name(run["spec"]["dag"], content_hash(now.manifest["metadata"]["uid"], now.manifest["spec"]))
    if dag.revision in (None, name):
        return None
    return version_of(run, RunDag(now.spec, now.manifest, name))


def _rows(changes: Sequence[Change]) -> list[list[str]]:
    """What is changed, as it is now: instances of a task in the same state and try share a row."""
    groups: dict[tuple[str, bool, str, int], IndexSet] = {}
    for change in changes:
        key = (change.task, change.index is not None, change.state.value, change.number)
        indexes = groups.setdefault(key, IndexSet())
        if change.index is not None:
            indexes.add(change.index)
    return [
        [f"{task}[{indexes}]" if mapped else task, state, str(number or "")]
        for (task, mapped, state, number), indexes in groups.items()
    ]


def _data(run: dict[str, Any], decision: Decision) -> dict[str, Any]:
    changes = [
        {"task": each.task}
        | ({} if each.index is None else {"index": each.index})
        | {"state": each.state.value, "try": each.number}
        for each in decision.changes
    ]
    return {
        "run": run["metadata"]["name"],
        "state": "Applied" if decision.applied else "Rejected",
        "message": decision.message,
        "changes": changes,
        "stops": [key.instance for key in decision.stops],
    }
