"""Admission: the same validation as everywhere, at `kubectl apply` already.

Served by kopf. Nothing depends on it: with no webhook installed, the controller's conditions say the same.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import kopf

from tradewind.api import GROUP, VERSION
from tradewind.api.dag import DagSpec
from tradewind.api.names import revision_name
from tradewind.api.run_request import RunRequest
from tradewind.api.validation import (
    Problem,
    check_request,
    check_requester,
    summary,
    validate_backfill,
    validate_dag,
    validate_dag_run,
    validate_pool,
)
from tradewind.api.validation.shape import parse
from tradewind.api.validation.shards import check_bucket
from tradewind.controller.authorization import UserInfo, why_no_pods
from tradewind.controller.cluster import Cluster
from tradewind.controller.revisions import content_hash
from tradewind.kube.client import ApiClient

HANDLER = "validate"
"""Also the path that the chart's webhook configuration names: kopf finds handlers by it."""


def register(
    registry: kopf.OperatorRegistry, cluster: Callable[[], Cluster | None], authorizer: ApiClient | None = None
) -> None:
    """Register the handlers of our kinds. `cluster` has the Dags that DagRuns and Backfills are checked against.

    `authorizer` is asked whether who writes a Dag may create Pods; None lets everybody."""

    @kopf.on.validate(GROUP, VERSION, "dags", id=HANDLER, operations=["CREATE", "UPDATE"], registry=registry)
    async def dag(body: kopf.Body, userinfo: UserInfo, old: Any = None, **_: Any) -> None:
        manifest = _manifest(body)
        _refuse(body, old, (await asyncio.to_thread(validate_dag, manifest))[1])
        if authorizer is not None and _new_spec(body, old):
            why = await why_no_pods(authorizer, manifest["metadata"].get("namespace", ""), userinfo)
            if why:
                raise kopf.AdmissionError(f"Dag {_name(body)!r}: {why}", code=403)

    @kopf.on.validate(GROUP, VERSION, "dagruns", id=HANDLER, operations=["CREATE", "UPDATE"], registry=registry)
    async def dag_run(body: kopf.Body, userinfo: Mapping[str, Any], old: Any = None, **_: Any) -> None:
        manifest, before = _manifest(body), dict((old or {}).get("spec") or {}).get("request")
        # The schema sees to it that nothing but suspend and request is changed later. A run may be made before its Dag;
        # it then waits, and its params are checked when the Dag is there.
        problems = [] if old else validate_dag_run(manifest, await _dag_of(manifest, cluster()))[1]
        problems += check_bucket(manifest["metadata"], dict(old or {}).get("metadata"))
        request = manifest["spec"].get("request")
        if not problems and request and request != before:
            dag = await _dag_asked_of(body, request, cluster()) if old else None
            problems = _check_request(request, userinfo, dag)
        _refuse(body, None, problems)

    @kopf.on.validate(GROUP, VERSION, "backfills", id=HANDLER, operations=["CREATE"], registry=registry)
    async def backfill(body: kopf.Body, **_: Any) -> None:
        manifest = _manifest(body)
        problems = validate_backfill(manifest, await _dag_of(manifest, cluster()), now=datetime.now(UTC))[1]
        _refuse(body, None, problems)

    @kopf.on.validate(GROUP, VERSION, "pools", id=HANDLER, operations=["CREATE", "UPDATE"], registry=registry)
    def pool(body: kopf.Body, old: Any = None, **_: Any) -> None:
        _refuse(body, old, validate_pool(_manifest(body))[1])


_ENVELOPE = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Dag"}


async def _dag_of(manifest: Mapping[str, Any], cluster: Cluster | None) -> DagSpec | None:
    """The Dag that a DagRun or Backfill names, as far as it is known and can be read."""
    spec = manifest.get("spec")
    name = spec.get("dag") if isinstance(spec, Mapping) else None
    found = await cluster.find_dag((manifest["metadata"].get("namespace", ""), name)) if cluster and name else None
    dag = validate_dag({**_ENVELOPE, "metadata": {"name": name}, "spec": found.spec})[0] if found else None
    return dag.spec if dag else None


async def _dag_asked_of(body: kopf.Body, request: Mapping[str, Any], cluster: Cluster | None) -> DagSpec | None:
    """The Dag that the names in a request are of. None where it is another revision than that of now: only the leader
    looks that up."""
    spec, metadata = body["spec"], body["metadata"]
    found = await cluster.find_dag((metadata.get("namespace", ""), spec["dag"])) if cluster else None
    if found is None:
        return None
    pinned = (body.get("status") or {}).get("revision") or spec.get("revision")
    if (
        pinned
        and request.get("revision") != "Latest"
        and pinned != revision_name(spec["dag"], content_hash(found.metadata.uid, found.spec))
    ):
        return None
    return await _dag_of({"spec": spec, "metadata": metadata}, cluster)


def _check_request(request: Mapping[str, Any], userinfo: Mapping[str, Any], dag: DagSpec | None) -> list[Problem]:
    """What is wrong with a request that is new."""
    parsed, problems = parse(RunRequest, request)
    if parsed is None:
        return problems
    return [*check_requester(parsed, str(userinfo.get("username", ""))), *check_request(parsed, dag)]


def _manifest(body: kopf.Body) -> dict[str, Any]:
    """The object as it was sent, without status, which is ours."""
    return {key: dict(value) if isinstance(value, Mapping) else value for key, value in body.items() if key != "status"}


def _refuse(body: kopf.Body, old: Any, problems: list[Problem]) -> None:
    """Refuse an object with problems, unless its spec was there before: labels of a bad Dag can still be changed."""
    if not problems:
        return
    if not _new_spec(body, old):
        return
    raise kopf.AdmissionError(f"{body.get('kind', '')} {_name(body)!r}: {summary(problems)}", code=422)


def _new_spec(body: kopf.Body, old: Any) -> bool:
    return not old or dict(old).get("spec") != dict(body).get("spec")


def _name(body: kopf.Body) -> str:
    return body.get("metadata", {}).get("name") or "?"
