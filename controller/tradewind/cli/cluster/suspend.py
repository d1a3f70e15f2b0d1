"""Shared by `tradewind pause` and `resume`: set `suspend` of a Dag or a run."""

from typing import Any

from tradewind.cli.cluster.client import Cluster, NotFoundError
from tradewind.cli.errors import CliError

_DAGS = ("dag", "dags")
_RUNS = ("dagrun", "dagruns", "dr", "run", "runs")
_FINISHED = ("Succeeded", "Failed")


def is_finished(run: dict[str, Any]) -> bool:
    return (run.get("status") or {}).get("phase") in _FINISHED


def kind_of(target: str) -> tuple[str, str]:
    """Return `("DagRun", "r")` for `dagrun/r`; also accepts the names of `kubectl get -o name`."""
    written, slash, name = target.rpartition("/")
    kind = written.lower().removesuffix(".tradewind.dev")
    if not slash or kind in _DAGS:
        return "Dag", name
    if kind in _RUNS and name:
        return "DagRun", name
    raise CliError(f"{target!r} is neither a Dag nor a run: use DAG or dagrun/RUN")


def set_suspend(cluster: Cluster, kind: str, name: str, verb: str, *, suspend: bool | None) -> dict[str, Any]:
    try:
        return cluster.patch(kind, name, {"spec": {"suspend": suspend}})
    except NotFoundError as error:
        if kind != "Dag":
            raise
        try:
            cluster.get("DagRun", name)
        except CliError:
            raise error from None
        raise CliError(f"{error.message}; {name!r} is a run: tradewind {verb} dagrun/{name}") from None
