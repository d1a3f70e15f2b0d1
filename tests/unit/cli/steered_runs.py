"""Runs of a fake cluster that do what is asked of them: its controller is the real engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from tests.unit.cli.fake_cluster import FakeCluster
from tradewind.api.dag import DagSpec
from tradewind.api.resolve import resolve
from tradewind.api.run_request import RunRequest
from tradewind.api.times import format_time
from tradewind.engine.requests import Version, apply_request
from tradewind.engine.run.graph import Graph
from tradewind.engine.run.run_info import RunInfo

REVISION = "as-it-began"


def add_run(
    fake: FakeCluster, name: str, dag: str, spec: dict[str, Any], status: dict[str, Any], *, made: datetime
) -> None:
    """A run of a Dag with this spec, which is kept as its revision."""
    fake.put("controllerrevisions", REVISION, data={"apiVersion": "tradewind.dev/v1alpha1", "spec": spec}, revision=1)
    metadata = {"uid": "u-1", "creationTimestamp": format_time(made)}
    fake.put("dagruns", name, metadata=metadata, spec={"dag": dag}, status={**status, "revision": REVISION})


def controller_of(tasks: Sequence[dict[str, Any]], now: datetime, **spec: Any) -> Callable[[dict[str, Any]], None]:
    """Applies the requests on a run of these tasks."""
    dag = resolve(DagSpec.model_validate({"tasks": list(tasks), **spec}))
    graph = Graph.of(dag.tasks)

    def controller(run: dict[str, Any]) -> None:
        asked, status = run["spec"].get("request"), run["status"]
        if not asked:
            return
        date = datetime.fromisoformat(status.get("logicalDate") or format_time(now))
        info = RunInfo("default", run["metadata"]["name"], "u-1", "dag", "Manual", date, date, date, revision=REVISION)
        request = RunRequest.model_validate(asked)
        run["status"] = apply_request(request, status, Version(info, dag, graph), now=now).status
        del run["spec"]["request"]

    return controller
