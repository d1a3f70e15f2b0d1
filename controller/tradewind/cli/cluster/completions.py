"""Shell completion of names: the Dags, runs, tasks and Backfills on the cluster."""

from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem

from tradewind.cli.cluster.client import Cluster
from tradewind.cli.errors import CliError

_SECONDS = 3
"""Timeout of completion: the user is waiting at the prompt."""


def dags(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of Dags."""
    return _offer(_names(ctx, "Dag"), incomplete)


def runs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of runs."""
    return _offer(_names(ctx, "DagRun"), incomplete)


def backfills(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of Backfills."""
    return _offer(_names(ctx, "Backfill"), incomplete)


def dags_and_runs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of Dags, and runs as `dagrun/RUN`."""
    if incomplete.startswith("dagrun/"):
        return _offer((f"dagrun/{name}" for name in _names(ctx, "DagRun")), incomplete)
    return _offer([*_names(ctx, "Dag"), "dagrun/"], incomplete)


def tasks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the tasks of the run in the argument before, without those already given."""
    run, before = ctx.params.get("run"), ctx.params.get(param.name or "") or ()
    if not run:
        return []
    try:
        found = _cluster(ctx).get("DagRun", run)
    except CliError:
        return []
    entries = (found.get("status") or {}).get("tasks") or ()
    offered = {entry["name"]: entry.get("state") for entry in entries if entry["name"] not in before}
    return [CompletionItem(name, help=state) for name, state in offered.items() if name.startswith(incomplete)]


def _cluster(ctx: click.Context) -> Cluster:
    where = (ctx.params.get(name) for name in ("kubeconfig", "context_name", "namespace"))
    return Cluster(*where, seconds=_SECONDS)


def _names(ctx: click.Context, kind: str) -> list[str]:
    """Return the names; none on an error, which would disturb the prompt."""
    try:
        return _cluster(ctx).names(kind)
    except CliError:
        return []


def _offer(offered: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in offered if name.startswith(incomplete)]
