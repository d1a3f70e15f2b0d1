"""Validates Dags: each version once, however many runs need the result, and without blocking the event loop."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tradewind.aio.off_loop import in_thread
from tradewind.api.dag import DagSpec
from tradewind.api.revision import content_hash
from tradewind.api.validation import Problem, validate_dag
from tradewind.api.validation.work import MAX_BLOCKING_WORK, TooMuchWork, Work
from tradewind.cache.resources import DagObject
from tradewind.kube.objects import Key

log = logging.getLogger(__name__)

_OF_RUNS = ("tasks", "groups", "task_defaults", "pod_template", "params", "docs")


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of validating one version of a Dag."""

    uid: str
    generation: int
    spec: DagSpec | None
    """None if the Dag cannot run. Fields that only runs need are left out: they can be large, and revisions have them.
    """
    problems: list[Problem]
    revision: str
    """Hash of the fields that runs depend on."""


class DagChecks:
    """Validates Dags, large ones in a thread; `on_checked(key)` is called when the result is available."""

    def __init__(self, *, spawn: Callable[[Any, str], asyncio.Task[None]], on_checked: Callable[[Key], None]) -> None:
        self._spawn, self._on_checked = spawn, on_checked
        self._known: dict[Key, Checked] = {}
        self._running: dict[tuple[str, int], asyncio.Task[None]] = {}

    def of(self, dag: DagObject) -> Checked | None:
        """Return the result for this version of a Dag; None while it is being validated."""
        key = _key(dag)
        known = self._known.get(key)
        if known is not None and (known.uid, known.generation) == _version(dag):
            return known
        if _version(dag) in self._running:
            return None
        try:
            known = self._known[key] = _check(dag, Work(MAX_BLOCKING_WORK))
        except TooMuchWork:
            self._running[_version(dag)] = self._spawn(self._check_in_thread(dag), f"check Dag {key[0]}/{key[1]}")
            return None
        return known

    async def wait(self, dag: DagObject) -> Checked:
        """Wait for the result for this version of a Dag, and return it."""
        while (known := self.of(dag)) is None:
            await asyncio.shield(self._running[_version(dag)])
        return known

    def forget(self, key: Key) -> None:
        """Forget a deleted Dag."""
        self._known.pop(key, None)

    async def _check_in_thread(self, dag: DagObject) -> None:
        try:
            self._known[_key(dag)] = await in_thread(dag.metadata.namespace, lambda: _check(dag, None))
        finally:
            del self._running[_version(dag)]
        self._on_checked(_key(dag))


def _check(dag: DagObject, work: Work | None) -> Checked:
    manifest = dag.manifest()
    try:
        valid, problems = validate_dag(manifest, work)
    except TooMuchWork:
        raise
    except Exception as error:  # a bug in validation stops this Dag, not all of them
        log.exception("cannot validate Dag %s/%s: it is not accepted", *_key(dag))
        valid, problems = None, [Problem("InternalError", "spec", f"cannot be checked: {type(error).__name__}")]
    usable = valid is not None and not problems
    return Checked(
        *_version(dag),
        spec=valid.spec.model_copy(update=dict.fromkeys(_OF_RUNS)) if valid is not None and usable else None,
        problems=problems,
        revision=content_hash(dag.metadata.uid, manifest["spec"]) if usable else "",
    )


def _key(dag: DagObject) -> Key:
    return dag.metadata.namespace, dag.metadata.name


def _version(dag: DagObject) -> tuple[str, int]:
    return dag.metadata.uid, dag.metadata.generation
