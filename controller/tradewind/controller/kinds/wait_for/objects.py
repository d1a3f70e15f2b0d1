"""waitFor.object: a condition or a field of a Kubernetes object in the namespace of the run.

The controller's rights decide which kinds it may read (`waitFor.resources` of the chart); it never reads Secrets.
"""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tradewind.api.json_path import parse_json_path
from tradewind.api.sensor import WaitForObject
from tradewind.cache.object_watches import ObjectWatches, Seen
from tradewind.controller.kinds.wait_for.api_kinds import Kinds, NoSuchKind
from tradewind.controller.kinds.waiter import CannotWait, Waiter
from tradewind.controller.term import Term
from tradewind.kube.backoff import Backoff
from tradewind.kube.errors import ApiError, KubeError
from tradewind.kube.persist import keep_trying
from tradewind.kube.resources import Resource

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.:]{0,251}[a-z0-9])?")
_SHOWN = 100
"""Most characters of a value in a message."""


class ObjectWaits:
    """The tasks that wait for objects."""

    def __init__(self, term: Term, objects: ObjectWatches) -> None:
        self._kinds, self._objects, self._spawn = Kinds(term.client), objects, term.spawn

    def begin(self, waiter: Waiter, wanted: WaitForObject) -> None:
        """Look up the kind of the object and watch the object."""
        try:
            name = _name(waiter, wanted)
        except CannotWait as error:
            waiter.fail(error.reason, str(error))
            return
        info = waiter.wait.run
        task = self._spawn(self._begin(waiter, wanted, name), f"wait {info.name}/{waiter.wait.key.instance}")
        waiter.cleanups.append(lambda: _cancel(task))

    async def _begin(self, waiter: Waiter, wanted: WaitForObject, name: str) -> None:
        resource = await self._find(waiter, wanted)
        if resource is None or waiter.over:
            return

        def on_change(seen: Seen) -> None:
            if not waiter.over:
                _evaluate(waiter, wanted, name, resource, seen)

        end = self._objects.subscribe(resource, waiter.wait.run.namespace, name, on_change)
        if waiter.over:
            end()
        else:
            # This asyncio task returns now: from now on the clean-up ends the subscription.
            waiter.cleanups = [end]

    async def _find(self, waiter: Waiter, wanted: WaitForObject) -> Resource | None:
        def not_yet(error: KubeError) -> None:
            waiter.not_yet("ApiUnavailable", f"cannot look up kind {wanted.kind!r}: {error}")

        find, what = partial(self._kinds.find, wanted.api_version, wanted.kind), f"look up kind {wanted.kind!r}"
        try:
            return await keep_trying(find, what, Backoff(0.5, 30.0), on_error=not_yet)
        except NoSuchKind as error:
            waiter.fail("NoSuchKind", f"waitFor.object: {error}")
            return None


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


def _name(waiter: Waiter, wanted: WaitForObject) -> str:
    """Return the object's name. Raises CannotWait."""
    if wanted.kind == "Secret" and wanted.api_version == "v1":
        raise CannotWait("Forbidden", "waitFor.object: tasks cannot wait for a Secret: the controller reads none")
    name = waiter.rendered(wanted.name, "waitFor.object.name")
    if not _NAME.fullmatch(name):
        # It becomes part of a selector, so characters with a meaning there are refused.
        raise CannotWait("InvalidName", f"waitFor.object.name: {name[:_SHOWN]!r} is not a valid name of an object")
    return name


def _evaluate(waiter: Waiter, wanted: WaitForObject, name: str, resource: Resource, seen: Seen) -> None:
    label = f"{wanted.kind} {name!r}"
    if seen.error is not None:
        if isinstance(seen.error, ApiError) and seen.error.is_forbidden:
            where = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
            fix = "add them to waitFor.resources of the Helm chart"
            waiter.not_yet("Forbidden", f"waiting for {label}, but the controller may not read {where}: {fix}")
        elif isinstance(seen.error, ApiError) and seen.error.is_not_found:
            waiter.fail("NoSuchKind", f"waitFor.object: the cluster does not serve {resource.plural} any more")
        else:
            waiter.not_yet("ApiUnavailable", f"waiting for {label}, which cannot be read: {seen.error}")
    elif seen.found is None:
        waiter.not_yet("ObjectNotFound", f"waiting for {label}, which does not exist")
    elif wanted.condition is not None:
        status = wanted.condition.status or "True"
        now = condition_of(seen.found, wanted.condition.type)
        if now == status:
            waiter.met()
        else:
            shown = f"{wanted.condition.type} is {now or 'not set yet'}"
            waiter.not_yet("ConditionNotMet", f"waiting for {label}: {shown}")
    elif wanted.json_path is not None and wanted.value is not None:
        there, value = value_at(seen.found, parse_json_path(wanted.json_path))
        if there and value == wanted.value:
            waiter.met()
        else:
            shown = f"{value[:_SHOWN]!r}, not {wanted.value[:_SHOWN]!r}" if there else "not set yet"
            waiter.not_yet("ValueNotMet", f"waiting for {label}: {wanted.json_path} is {shown}")


def condition_of(found: Mapping[str, Any], kind: str) -> str | None:
    """Return the status of a condition; None if it is missing or of an older generation of the object."""
    status = found.get("status")
    conditions = status.get("conditions") if isinstance(status, Mapping) else None
    for condition in conditions if isinstance(conditions, Sequence) else ():
        if isinstance(condition, Mapping) and condition.get("type") == kind:
            observed = condition.get("observedGeneration")
            if isinstance(observed, int) and observed < (found["metadata"].get("generation") or 0):
                return None
            return str(condition.get("status"))
    return None


def value_at(found: Any, path: Sequence[str | int]) -> tuple[bool, str]:
    """Return (True if the path exists, its value as text): strings unchanged, other values as JSON."""
    for step in path:
        there = step in found if isinstance(found, Mapping) else isinstance(found, list) and step in range(len(found))
        if not there:
            return False, ""
        found = found[step]
    return True, found if isinstance(found, str) else json.dumps(found, separators=(",", ":"))
