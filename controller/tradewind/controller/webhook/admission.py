"""Admission: the same validation as everywhere else, at `kubectl apply`.

The webhook is optional: without it, the controller's conditions report the same problems. Only the webhook can check
two things: that the user who writes a Dag may create Pods, and that `requestedBy` is the user who sends the request.
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
from tradewind.cache.caches import Caches
from tradewind.cache.resources import DagObject
from tradewind.controller.webhook.authorization import why_no_pods
from tradewind.controller.webhook.reviews import Denied, Handler, Review, Reviewed
from tradewind.kube.client import ApiClient


class Admission:
    """Reviews objects of our kinds. `cluster` has the Dags that DagRuns and Backfills are checked against.

    `authorizer` checks that users who write Dags may create Pods; None skips the check."""

    def __init__(self, cluster: Caches | None, authorizer: ApiClient | None = None) -> None:
        self._cluster, self._authorizer = cluster, authorizer

    @property
    def handlers(self) -> dict[str, Handler]:
        """The handlers by plural."""
        return {"dags": self.dag, "dagruns": self.dag_run, "backfills": self.backfill, "pools": self.pool}

    async def dag(self, review: Review) -> None:
        """Review a Dag. Changes of metadata alone are allowed, even of an invalid Dag."""
        if not review.has_new_spec:
            return
        found = review.object
        _refuse(found, (await off_loop(found.namespace, partial(validate_dag, found.manifest())))[1])
        if self._authorizer is not None:
            why = await why_no_pods(self._authorizer, found.namespace, review.user_info)
            if why:
                raise Denied(f"Dag {found.name!r}: {why}", 403)

    async def dag_run(self, review: Review) -> None:
        """Review a DagRun. The schema ensures that only suspend and request change later. A run may be created before
        its Dag; then it waits, and its params are checked when the Dag exists."""
        found, old, spec = review.object, review.old_object, review.object.spec
        problems: list[Problem] = []
        if old is None:
            dag = await self._dag_of(found.namespace, spec.get("dag"))
            problems = (await off_loop(found.namespace, partial(validate_dag_run, found.manifest(), dag)))[1]
        problems += check_bucket(found.metadata, old.metadata if old else None)
        request = spec.get("request")
        if not problems and request and request != (old.spec.get("request") if old else None):
            dag = await self._dag_of_request(found, spec, request) if old else None
            problems = _check_request(request, review.user_info, dag)
        _refuse(found, problems)

    async def backfill(self, review: Review) -> None:
        """Review a Backfill. The schema ensures that only suspend and maxActiveRuns change later."""
        if review.old_object is None:
            found = review.object
            dag = await self._dag_of(found.namespace, found.spec.get("dag"))
            now = datetime.now(UTC)
            _refuse(
                found, (await off_loop(found.namespace, partial(validate_backfill, found.manifest(), dag, now=now)))[1]
            )

    async def pool(self, review: Review) -> None:
        """Review a Pool. Changes of metadata alone are allowed, even of an invalid Pool."""
        if review.has_new_spec:
            _refuse(review.object, validate_pool(review.object.manifest())[1])

    async def _dag_of(self, namespace: str, name: Any) -> DagSpec | None:
        """Return the Dag that a DagRun or Backfill names; None if it is not cached or not valid."""
        known = self._cluster if isinstance(name, str) else None
        found = await known.find_dag((namespace, name)) if known else None
        return await off_loop(namespace, partial(_spec_of, found)) if found else None

    async def _dag_of_request(
        self, run: Reviewed, spec: Mapping[str, Any], request: Mapping[str, Any]
    ) -> DagSpec | None:
        """Return the Dag that has the tasks named in a request; None if the run uses an earlier revision, which only
        the leader reads."""
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
    """Return the problems of a new request."""
    parsed, problems = parse(RunRequest, request)
    if parsed is None:
        return problems
    return [*check_requester(parsed, str(user.get("username", ""))), *check_request(parsed, dag)]


def _refuse(found: Reviewed, problems: list[Problem]) -> None:
    if problems:
        raise Denied(f"{found.kind} {found.name!r}: {summary(problems)}", 422)
