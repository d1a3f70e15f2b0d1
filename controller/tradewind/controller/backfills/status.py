"""The status of one Backfill: read from the API, written under an optimistic lock."""

from typing import Any

from tradewind.api.conditions import with_times
from tradewind.cache.resources import BACKFILLS
from tradewind.controller.backfills.interruptions import Gone, Outdated
from tradewind.controller.term import Term
from tradewind.engine.status.run_status import end_conditions
from tradewind.kube.errors import ApiError
from tradewind.kube.objects import Key


class StatusKeeper:
    """Writes what is new, and notices when another controller has written something else."""

    def __init__(self, key: Key, uid: str, term: Term) -> None:
        self.fixed: dict[str, Any] = {}
        """The part of status that does not change once the backfill has begun."""
        self.accepted = ("Unknown", "Pending", "its Dag has not been looked at yet")
        """Status, reason and message of the condition Accepted."""
        self._key, self._uid = key, uid
        self._client, self._writer, self._clock = term.client, term.writer, term.clock
        self._resource_version = ""
        self._known: dict[str, Any] = {}
        """The status as last read or acknowledged."""

    async def read(self) -> dict[str, Any]:
        """The Backfill as the API has it; the cache may be behind. Raises Gone."""
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
        """Write the status (phase, reason and message at least), unless it says nothing new.

        Raises Outdated when somebody else has written it since it was read, Gone when there is no Backfill any more.
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
        """Return if somebody else changed the object but not its status."""
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
