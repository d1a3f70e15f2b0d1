"""Admission: the same validation as everywhere, at `kubectl apply` already.

Nothing depends on it: with no webhook installed, the controller's conditions say the same. But for two things, which
only the webhook can know: whether who writes a Dag may create Pods, and whether a request says truly who asks.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from tradewind.aio.off_loop import off_loop
from tradewind.api import GROUP, VERSION
from tradewind.api.dag import DagSpec
from tradewind.api.names import revision_name
from tradewind.api.revision import content_hash
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
from tradewind.api.validation.work import Work
from tradewind.cache.cluster import Cluster
from tradewind.cache.resources import DagObject
from tradewind.controller.webhook.authorization import why_no_pods
from tradewind.controller.webhook.reviews import Handler, Refused, Review, Reviewed
from tradewind.kube.client import ApiClient


class Admission:
    """Reviews objects of our kinds. `cluster` has the Dags that DagRuns and Backfills are checked against.

    `authorizer` is asked whether who writes a Dag may create Pods; None lets everybody."""

    def __init__(self, cluster: Cluster | None, authorizer: ApiClient | None = None) -> None:
        self._cluster, self._authorizer = cluster, authorizer

    @property
    def handlers(self) -> dict[str, Handler]:
        """By plural."""
        return {"dags": self.dag, "dagruns": self.dag_run, "backfills": self.backfill, "pools": self.pool}

    async def dag(self, review: Review) -> None:
        """Labels of a bad Dag can still be changed, and by those who may not create Pods."""
        if not review.has_new_spec:
            return
        found = review.object
        _refuse(found, (await off_loop(found.namespace, partial(validate_dag, found.manifest())))[1])
        if self._authorizer is not None:
            why = await why_no_pods(self._authorizer, found.namespace, review.user_info)
            if why:
                raise Refused(f"Dag {found.name!r}: {why}", 403)

    async def dag_run(self, review: Review) -> None:
        """The schema sees to it that nothing but suspend and request is changed later. A run may be made before its
        Dag; it then waits, and its params are checked when the Dag is there."""
        found, old, spec = review.object, review.old_object, review.object.spec
        problems: list[Problem] = []
        if old is None:
            dag = await self._dag_of(found.namespace, spec.get("dag"))
            problems = (await off_loop(found.namespace, partial(validate_dag_run, found.manifest(), dag)))[1]
        problems += check_bucket(found.metadata, old.metadata if old else None)
        request = spec.get("request")
        if not problems and request and request != (old.spec.get("request") if old else None):
            dag = await self._dag_asked_of(found, spec, request) if old else None
            problems = _check_request(request, review.user_info, dag)
        _refuse(found, problems)

    async def backfill(self, review: Review) -> None:
        """The schema sees to it that nothing but suspend and maxActiveRuns is changed later."""
        if review.old_object is None:
            found = review.object
            dag = await self._dag_of(found.namespace, found.spec.get("dag"))
            now = datetime.now(UTC)
            _refuse(
                found, (await off_loop(found.namespace, partial(validate_backfill, found.manifest(), dag, now=now)))[1]
            )

    async def pool(self, review: Review) -> None:
        """A bad Pool's labels can be changed."""
        if review.has_new_spec:
            _refuse(review.object, validate_pool(review.object.manifest())[1])

    async def _dag_of(self, namespace: str, name: Any) -> DagSpec | None:
        """The Dag that a DagRun or Backfill names, as far as it is known and can be read."""
        known = self._cluster if isinstance(name, str) else None
        found = await known.find_dag((namespace, name)) if known else None
        return await off_loop(namespace, partial(_spec_of, found)) if found else None

    async def _dag_asked_of(self, run: Reviewed, spec: Mapping[str, Any], request: Mapping[str, Any]) -> DagSpec | None:
        """The Dag that the names in a request are of. None where it is another revision than that of now: only the
        leader looks that up."""
        name = str(spec.get("dag"))
        found = await self._cluster.find_dag((run.namespace, name)) if self._cluster else None
        if found is None:
            return None
        pinned = msgspec.json.decode(run.raw_status, type=_Status).revision or spec.get("revision")
        if (
            pinned
            and request.get("revision") != "Latest"
            and pinned != revision_name(name, content_hash(found.metadata.uid, found.spec))
        ):
            return None
        return await off_loop(run.namespace, partial(_spec_of, found))


class _Status(msgspec.Struct):
    revision: str | None = None


def _spec_of(dag: DagObject, work: Work | None) -> DagSpec | None:
    metadata = {"name": dag.metadata.name}
    if work is not None:
        work.spend(len(bytes(dag.raw_spec)))
    parsed = validate_dag(
        {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Dag", "metadata": metadata, "spec": dag.spec}, work
    )[0]
    return parsed.spec if parsed else None


def _check_request(request: Mapping[str, Any], user: Mapping[str, Any], dag: DagSpec | None) -> list[Problem]:
    """What is wrong with a request that is new."""
    parsed, problems = parse(RunRequest, request)
    if parsed is None:
        return problems
    return [*check_requester(parsed, str(user.get("username", ""))), *check_request(parsed, dag)]


def _refuse(found: Reviewed, problems: list[Problem]) -> None:
    if problems:
        raise Refused(f"{found.kind} {found.name!r}: {summary(problems)}", 422)
