"""Deletion: at once, after a grace period, or once the last finalizer is gone.

The rules are those of apiserver's registry (rest.BeforeDelete and Store.Delete).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.apiserver import behaviours, refusals
from tests.apiserver.kinds import NAMESPACES, Kind

Json = dict[str, Any]

_OF_PROPAGATION = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}


@dataclass(slots=True)
class Deletion:
    """One request to delete; `options` are DeleteOptions."""

    kind: Kind
    options: Json
    now: datetime

    def apply(self, name: str, old: Json) -> tuple[Json | None, bool]:
        """The object as the request leaves it (None: untouched), and whether it then goes for good."""
        self._check_preconditions(name, old["metadata"])
        if self.kind is NAMESPACES:
            return self._mark_namespace(old), False
        metadata = dict(old["metadata"])
        self._put_finalizers(metadata)
        held = bool(metadata.get("finalizers"))
        asked = self.options.get("gracePeriodSeconds")
        grace = behaviours.grace_seconds(self.kind, old, asked)
        if grace is None:
            if not held:
                return None, True
            if "deletionTimestamp" not in metadata:
                self._mark(metadata, 0)
            return {**old, "metadata": metadata}, False
        if "deletionTimestamp" in metadata:
            before = metadata["deletionGracePeriodSeconds"]
            if asked is None or grace >= before:
                return None, False
            # Only a shorter grace period may be asked for; it counts from the first request.
            ends = datetime.fromisoformat(metadata["deletionTimestamp"]) - timedelta(seconds=before - grace)
            metadata |= {"deletionTimestamp": _timestamp(ends), "deletionGracePeriodSeconds": grace}
        else:
            self._mark(metadata, grace)
        return {**old, "metadata": metadata}, grace == 0 and not held

    @staticmethod
    def is_due(new: Json, old: Json) -> bool:
        """Whether an update ends an object: it was to be deleted, and nothing holds it any more."""
        return old["metadata"].get("deletionGracePeriodSeconds") == 0 and not new["metadata"].get("finalizers")

    def _check_preconditions(self, name: str, metadata: Json) -> None:
        wanted = self.options.get("preconditions") or {}
        if (uid := wanted.get("uid")) and uid != metadata["uid"]:
            why = (
                f"the UID in the precondition ({uid}) does not match the UID in record ({metadata['uid']}). "
                "The object might have been deleted and then recreated"
            )
            raise refusals.precondition_failed(self.kind, name, why)
        if (version := wanted.get("resourceVersion")) and version != metadata["resourceVersion"]:
            why = (
                f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record "
                f"({metadata['resourceVersion']}). The object might have been modified"
            )
            raise refusals.precondition_failed(self.kind, name, why)

    def _put_finalizers(self, metadata: Json) -> None:
        policy = self.options.get("propagationPolicy")
        if policy is None:
            return
        wanted = _OF_PROPAGATION.get(policy)
        others = [name for name in metadata.get("finalizers") or () if name not in _OF_PROPAGATION.values()]
        finalizers = [*others, *([wanted] if wanted else ())]
        metadata.pop("finalizers", None)
        if finalizers:
            metadata["finalizers"] = finalizers

    def _mark(self, metadata: Json, grace: int) -> None:
        metadata["deletionTimestamp"] = _timestamp(self.now + timedelta(seconds=grace))
        metadata["deletionGracePeriodSeconds"] = grace
        if "generation" in metadata:
            metadata["generation"] += 1

    def _mark_namespace(self, old: Json) -> Json | None:
        if "deletionTimestamp" in old["metadata"]:
            return None
        metadata = {**old["metadata"], "deletionTimestamp": _timestamp(self.now)}
        return {**old, "metadata": metadata, "status": {"phase": "Terminating"}}


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
