"""A Kubernetes API server in memory, for tests that need more faults, more speed or another time than a real one has.

It knows what Tradewind uses of Kubernetes, and nothing else: what it does not model raises, it does not guess. What it
does is checked against the real server by tests/conformance: the same tests run on both.

server.py      requests and answers: lists in pages, writes, optimistic locks, deletion
store.py       objects, versions, history
watching.py    watches with selectors, bookmarks, 410
discovery.py   which kinds there are; tables.py: lists as kubectl asks for them
deletion.py    grace periods, finalizers, preconditions
admission.py   namespaces that end, quotas, webhooks
garbage.py     what the controller manager does: owners, namespaces
kinds.py       the kinds; behaviours.py, pods.py, schema.py, metadata.py: their rules
client.py      a KubeClient that talks to it; http.py: for another process
"""

from tests.apiserver.admission import Attributes
from tests.apiserver.client import MemoryClient
from tests.apiserver.garbage import ControllerManager
from tests.apiserver.kinds import Kind
from tests.apiserver.refusals import Refusal
from tests.apiserver.server import ApiServer, Request, Response, Unmodelled
from tests.apiserver.store import Commit, Stored
from tests.apiserver.watching import Watch

__all__ = [
    "ApiServer",
    "Attributes",
    "Commit",
    "ControllerManager",
    "Kind",
    "MemoryClient",
    "Refusal",
    "Request",
    "Response",
    "Stored",
    "Unmodelled",
    "Watch",
]
