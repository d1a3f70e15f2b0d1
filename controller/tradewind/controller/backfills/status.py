"""The status of one Backfill: read from the API server, written under an optimistic lock."""

from typing import Any

from tradewind.api.conditions import with_times
from tradewind.cache.resources import BACKFILLS
from tradewind.controller.backfills.interruptions import Gone, Outdated
from tradewind.controller.term import Term
from tradewind.engine.status.run_status import end_conditions
from tradewind.kube.errors import ApiError
from tradewind.kube.objects import Key


class StatusKeeper:
    """Writes the status when it changes, and detects writes of another controller."""

    def __init__(self, key: Key, uid: str, term: Term) -> None:
        self.fixed: dict[str, Any] = {}
        """The fields of status that do not change once the Backfill has started."""
        self.accepted = ("Unknown", "Pending", "the Dag is not checked yet")
        """Status, reason and message of the condition Accepted."""
        self._key, self._uid = key, uid
        self._client, self._writer, self._clock = term.client, term.writer, term.clock
        self._resource_version = ""
        self._known: dict[str, Any] = {}
        """The status as last read or acknowledged."""

    async def read(self) -> dict[str, Any]:
        """Read the Backfill from the API server, since the cache may be behind. Raises Gone."""
        try:
            stored = await self._client.get(BACKFILLS, *self._key)
        except ApiError as error:
            if error.is_not_found:
                raise Gone from error
            raise
        if stored["metadata"]["uid"] != self._uid:
            raise Gone
        self._resource_version = stored["metadata"]["resourceVersion"]
        self._known = stored.get("status") or {}
        return stored

    async def patch_metadata(self, metadata: dict[str, Any]) -> None:
        """Change labels or owners."""
        body = {"metadata": {**metadata, "resourceVersion": self._resource_version}}
        try:
            answer = await self._writer.patch(BACKFILLS, *self._key, body)
        except ApiError as error:
            if error.is_conflict:
                raise Outdated from error
            raise
        self._resource_version = answer["metadata"]["resourceVersion"]

    async def write(self, wanted: dict[str, Any], generation: int, *, always: bool = False) -> None:
        """Write the status (at least phase, reason and message) if it changed.

        Raises Outdated if someone else has written it since it was read, Gone if the Backfill was deleted.
        """
        ends = end_conditions(wanted["phase"], wanted["reason"], wanted["message"])
        conditions = [
            _condition("Accepted", *self.accepted, generation),
            *({**each, "observedGeneration": generation} for each in ends),
        ]
        status = {**self.fixed, **wanted, "observedGeneration": generation}
        status["conditions"] = with_times(conditions, self._known.get("conditions") or [], self._clock.now())
        while always or status != self._known:
            body = {
                "metadata": {"resourceVersion": self._resource_version},
                "status": {**dict.fromkeys(self._known), **status},
            }
            try:
                answer = await self._writer.patch(BACKFILLS, *self._key, body, subresource="status")
            except ApiError as error:
                if error.is_not_found:
                    raise Gone from error
                if not error.is_conflict:
                    raise
                await self._after_conflict(status)
            else:
                self._resource_version = answer["metadata"]["resourceVersion"]
                self._known, always = status, False

    async def _after_conflict(self, sent: dict[str, Any]) -> None:
        """Return if someone else changed the object but not its status, else raise Outdated."""
        known = self._known
        await self.read()
        if self._known not in (known, sent):
            raise Outdated


def _condition(kind: str, status: str, reason: str, message: str, generation: int) -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
    }
