"""Which runs are scheduled here, and the newest that is known of a run.

The caches lag behind what the API server answers: by the watch a run may go on for a while whose end is written, and
have a status that was written over.
"""

import math

import msgspec

from tradewind.cache.cluster import Cluster
from tradewind.cache.resources import DAGRUNS, DagRunObject
from tradewind.controller.runs.record import Record, version_of
from tradewind.kube.client import KubeClient
from tradewind.kube.objects import Key


class RunTable:
    """The records of the runs that are scheduled, by UID."""

    def __init__(self, cluster: Cluster) -> None:
        self.records: dict[str, Record] = {}
        self._cluster = cluster
        self._uids: dict[Key, str] = {}
        self._answered: dict[Key, DagRunObject] = {}
        """Runs as an answer showed them, where the cache may not have caught up yet."""
        self._finished: dict[Key, tuple[str, float]] = {}
        """Runs that the cache has though they have finished: UID, and version with which they did."""

    def has(self, record: Record) -> bool:
        """Whether this is the record of its run still."""
        return self.records.get(record.state.info.uid) is record

    def uid(self, key: Key) -> str | None:
        """The UID of the run of that name which is scheduled, or is being loaded."""
        return self._uids.get(key)

    def expect(self, key: Key, uid: str) -> None:
        """A run is about to be loaded."""
        self._uids[key] = uid

    def add(self, record: Record) -> None:
        """A run is scheduled from now on, by this record."""
        uid = record.state.info.uid
        self._uids[record.key], self.records[uid] = uid, record

    def remove(self, key: Key, uid: str) -> Record | None:
        """A run is not scheduled any more, nor loaded."""
        self._uids.pop(key, None)
        return self.records.pop(uid, None)

    def newest(self, key: Key) -> DagRunObject | None:
        """A run by the cache, or by what was answered since; None if it is gone, or has finished."""
        found, answered, finished = self._cluster.runs.get(key), self._answered.get(key), self._finished.get(key)
        if finished is not None:
            if found is not None and found.metadata.uid == finished[0] and version_of(found) < finished[1]:
                return None
            del self._finished[key]
        if answered is None:
            return found
        if found is None or found.metadata.uid != answered.metadata.uid or version_of(found) >= version_of(answered):
            del self._answered[key]
            return found
        return answered

    def note_answer(self, key: Key, run: DagRunObject) -> None:
        """The API server has the run like this."""
        self._answered[key] = run

    def note_finished(self, key: Key, uid: str, version: float = math.inf) -> None:
        """A run has finished with that version, or is gone: what the watch tells of the time before does not bring it
        back."""
        found = self._cluster.runs.get(key)
        if found is not None and found.metadata.uid == uid:
            self._finished[key] = (uid, version)


async def read_run(client: KubeClient, key: Key) -> DagRunObject:
    """A run as it is now. Raises KubeError."""
    return msgspec.json.decode(await client.request_bytes("GET", DAGRUNS.path(*key)), type=DagRunObject)
