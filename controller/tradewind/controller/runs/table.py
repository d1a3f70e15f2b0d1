"""The runs that this leader schedules, and the newest known version of each run.

The caches lag behind the responses to our writes: for a while a run whose final status is written may still be cached
as unfinished, or with a status that was overwritten.
"""

import math

import msgspec

from tradewind.cache.caches import Caches
from tradewind.cache.resources import DAGRUNS, DagRunObject
from tradewind.controller.runs.record import Record, version_of
from tradewind.kube.client import KubeClient
from tradewind.kube.objects import Key


class RunTable:
    """The records of scheduled runs, by UID."""

    def __init__(self, cluster: Caches) -> None:
        self.records: dict[str, Record] = {}
        self._cluster = cluster
        self._uids: dict[Key, str] = {}
        self._responses: dict[Key, DagRunObject] = {}
        """Runs as a response had them, if the cache may be behind."""
        self._finished: dict[Key, tuple[str, float]] = {}
        """Finished runs that the cache still has: UID, and resourceVersion of the final status."""

    def has(self, record: Record) -> bool:
        """True if this is still the record of its run."""
        return self.records.get(record.state.info.uid) is record

    def uid(self, key: Key) -> str | None:
        """Return the UID of the run of that key that is scheduled or being loaded."""
        return self._uids.get(key)

    def expect(self, key: Key, uid: str) -> None:
        """Note a run that is about to be loaded."""
        self._uids[key] = uid

    def add(self, record: Record) -> None:
        """Add the record of a run that is scheduled now."""
        uid = record.state.info.uid
        self._uids[record.key], self.records[uid] = uid, record

    def remove(self, key: Key, uid: str) -> Record | None:
        """Remove a run that is not scheduled or loaded any more, and return its record."""
        self._uids.pop(key, None)
        return self.records.pop(uid, None)

    def newest(self, key: Key) -> DagRunObject | None:
        """Return a run as the cache or a newer response has it; None if it is deleted or finished."""
        found, response, finished = self._cluster.runs.get(key), self._responses.get(key), self._finished.get(key)
        if finished is not None:
            if found is not None and found.metadata.uid == finished[0] and version_of(found) < finished[1]:
                return None
            del self._finished[key]
        if response is None:
            return found
        if found is None or found.metadata.uid != response.metadata.uid or version_of(found) >= version_of(response):
            del self._responses[key]
            return found
        return response

    def note_response(self, key: Key, run: DagRunObject) -> None:
        """Note a run as a response of the API server has it."""
        self._responses[key] = run

    def note_finished(self, key: Key, uid: str, version: float = math.inf) -> None:
        """Note a run that finished with that version, or was deleted: older watch events do not bring it back."""
        found = self._cluster.runs.get(key)
        if found is not None and found.metadata.uid == uid:
            self._finished[key] = (uid, version)


async def read_run(client: KubeClient, key: Key) -> DagRunObject:
    """Read a run from the API server. Raises KubeError."""
    return msgspec.json.decode(await client.request_bytes("GET", DAGRUNS.path(*key)), type=DagRunObject)
