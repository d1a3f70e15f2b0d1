"""Dag specs kept as ControllerRevisions, named by Dag and content: a run keeps the Dag that it started with.

Only fields that runs depend on are kept, so suspending a Dag or changing its schedule creates no revision.
"""

import asyncio
from collections import OrderedDict
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import orjson

from tradewind.aio.off_loop import off_loop
from tradewind.api import API_VERSION, names
from tradewind.api.dag import DagSpec
from tradewind.api.model import Model
from tradewind.api.ownership import owner_reference
from tradewind.api.resolve import ResolvedDag, resolve
from tradewind.api.revision import run_fields
from tradewind.api.validation import summary, validate_dag_spec
from tradewind.api.validation.shape import parse
from tradewind.api.validation.work import Work
from tradewind.cache.resources import DagObject
from tradewind.engine.run.graph import Graph
from tradewind.kube.client import KubeClient
from tradewind.kube.errors import ApiError
from tradewind.kube.resources import CONTROLLERREVISIONS
from tradewind.kube.writer import Writer

_MAX_CACHED = 2000


class BadRevision(ValueError):  # noqa: N818
    """A revision that cannot be run; the message says why."""


class Revision:
    """The fields of a Dag spec that runs depend on: resolved, with the graph of its tasks."""

    def __init__(self, name: str, of: str, spec: DagSpec) -> None:
        """`of` is the name of the Dag."""
        self.name, self.of = name, of
        self.spec = spec
        self.dag: ResolvedDag = resolve(spec)
        self.graph = Graph.of(self.dag.tasks)


class _Kept(Model):
    """The shape of a ControllerRevision's data."""

    spec: DagSpec


class Revisions:
    """Creates and reads ControllerRevisions, and caches them."""

    def __init__(self, client: KubeClient, writer: Writer) -> None:
        self._client = client
        self._writer = writer
        self._known: OrderedDict[tuple[str, str], Revision] = OrderedDict()
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        """Held while a revision is stored: when many runs start together, one of them stores it."""

    async def keep(self, dag: DagObject, content: str) -> Revision:
        """Return the revision of an accepted Dag whose content has that hash; store it if it is not stored yet."""
        namespace, of, uid = dag.metadata.namespace, dag.metadata.name, dag.metadata.uid
        name = names.revision_name(of, content)
        async with self._turns.setdefault((namespace, name), asyncio.Lock()):
            # Cached, because a spec may be a megabyte and thousands of runs need it.
            return self._recall(namespace, name) or await self._store(namespace, of, uid, name, run_fields(dag.spec))

    async def _store(self, namespace: str, dag: str, uid: str, name: str, fields: dict[str, Any]) -> Revision:
        revision = await off_loop(namespace, partial(self._read, name, dag, fields))
        body = {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": name,
                "labels": {names.LABEL_DAG: dag},
                "ownerReferences": [owner_reference("Dag", dag, uid)],
            },
            "data": {"apiVersion": API_VERSION, "spec": fields},
            "revision": 1,
        }
        try:
            await self._writer.create(CONTROLLERREVISIONS, namespace, body)
        except ApiError as error:
            if not error.is_already_exists:
                raise
        self._remember(namespace, revision)
        return revision

    async def get(self, namespace: str, name: str, dag: str) -> Revision:
        """Return a stored revision of a Dag. Raises BadRevision if it does not exist or cannot be run."""
        revision = self._recall(namespace, name) or await self._load(namespace, name)
        if revision.of != dag:
            # A user who may start runs of one Dag must not get another Dag's tasks run.
            raise BadRevision(f"revision {name!r} belongs to another Dag than {dag!r}")
        return revision

    async def _load(self, namespace: str, name: str) -> Revision:
        try:
            stored = await self._client.get(CONTROLLERREVISIONS, namespace, name)
        except ApiError as error:
            if error.is_not_found:
                raise BadRevision(f"no ControllerRevision named {name!r}") from error
            raise
        data = stored.get("data")
        fields = data.get("spec") if isinstance(data, dict) else None
        of = (stored["metadata"].get("labels") or {}).get(names.LABEL_DAG, "")
        revision = await off_loop(namespace, partial(self._read, name, of, fields))
        self._remember(namespace, revision)
        return revision

    def forget(self, namespace: str, name: str) -> None:
        """Forget a deleted revision."""
        self._known.pop((namespace, name), None)

    def _read(self, name: str, of: str, fields: Any, work: Work | None) -> Revision:
        if work is not None:
            work.spend(len(orjson.dumps(fields)))
        kept, problems = parse(_Kept, {"spec": fields})
        problems = problems or (validate_dag_spec(kept.spec, work) if kept else [])
        if kept is None or problems:
            raise BadRevision(f"revision {name!r} is not valid: {summary(problems)}")
        return Revision(name, of, kept.spec)

    def _recall(self, namespace: str, name: str) -> Revision | None:
        known = self._known.get((namespace, name))
        if known:
            self._known.move_to_end((namespace, name))
        return known

    def _remember(self, namespace: str, revision: Revision) -> None:
        self._known[namespace, revision.name] = revision
        while len(self._known) > _MAX_CACHED:
            self._known.popitem(last=False)
