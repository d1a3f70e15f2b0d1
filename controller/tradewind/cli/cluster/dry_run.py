"""--dry-run of a request: the changes that the controller would make, computed by the same engine."""

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


def preview(run: dict[str, Any], request: RunRequest, dag: RunDag, latest: RunDag | None, output: Format) -> bool:
    """Print the changes of a request, and return True if the controller would apply it.

    `latest` is the current Dag if the request is for revision Latest.
    """
    decision = _decide(run, request, dag, latest)
    rows = _rows(decision.changes)
    if output != "table":
        print_data(_data(run, decision), output)
    elif rows:
        print_table(["TASK", "STATE", "TRY"], rows)
    if decision.applied:
        count = len(decision.stops)
        stops = f"; would stop {count} running {'try' if count == 1 else 'tries'}" if count else ""
        click.echo(f"dry run: {decision.message}{stops}", err=True)
    else:
        click.echo(f"{paint('would be rejected:', 'red', err=True)} {decision.message}", err=True)
    return decision.applied


def _decide(run: dict[str, Any], request: RunRequest, dag: RunDag, latest: RunDag | None) -> Decision:
    """Decide on a request as the controller does."""
    status, now, current = run.get("status") or {}, datetime.now(UTC), version_of(run, dag)
    other = _other_version(run, dag, latest) if latest else None
    problems = check_params((latest or dag).spec.params or {}, run["spec"].get("params") or {})
    if request.type == "Rerun" and problems:
        return refuse(request, status, current, summary(problems), now)
    return apply_request(request, status, current, other, now=now)


def _other_version(run: dict[str, Any], dag: RunDag, latest: RunDag) -> Version | None:
    """Return the run with the current Dag; None if the run already uses it."""
    from tradewind.api.revision import content_hash

    name = revision_name(run["spec"]["dag"], content_hash(latest.manifest["metadata"]["uid"], latest.manifest["spec"]))
    if dag.revision in (None, name):
        return None
    return version_of(run, RunDag(latest.spec, latest.manifest, name))


def _rows(changes: Sequence[Change]) -> list[list[str]]:
    """Return a row for each task that would change; instances in the same state and try share a row."""
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
