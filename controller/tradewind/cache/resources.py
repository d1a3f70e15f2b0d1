"""Our kinds, and narrow structs of the objects that informers cache."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from tradewind.api import API_VERSION, GROUP, VERSION, names
from tradewind.api.variables import MAX_BYTES
from tradewind.kube.objects import Key, KubeObject, OwnerReference
from tradewind.kube.resources import Resource

DAGS = Resource(GROUP, VERSION, "dags")
DAGRUNS = Resource(GROUP, VERSION, "dagruns")
POOLS = Resource(GROUP, VERSION, "pools")
BACKFILLS = Resource(GROUP, VERSION, "backfills")


class DagFacts(msgspec.Struct, rename="camel", frozen=True):
    """Fields of a spec that are read often; they may be invalid."""

    suspend: Any = None
    max_active_runs: Any = None
    max_consecutive_failed_runs: Any = None
    pod_retention: Any = None


class DagSchedule(msgspec.Struct, rename="camel", frozen=True):
    """The schedule of a Dag; its fields may be invalid."""

    schedule: Any = None
    schedules: Any = None
    time_zone: Any = None
    start_date: Any = None


class DagObject(KubeObject, rename="camel"):
    """A Dag. Its spec is kept as JSON, which takes a fifth of the memory, and is parsed on demand."""

    raw_spec: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"{}"), name="spec")
    status: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.raw_spec = self.raw_spec.copy()  # otherwise it keeps the whole list response in memory
        if not isinstance(self.spec, dict):
            raise ValueError("spec is not an object")

    @property
    def spec(self) -> dict[str, Any]:
        """The spec as a dict."""
        return msgspec.json.decode(self.raw_spec)  # type: ignore[no-any-return]

    @property
    def facts(self) -> DagFacts:
        """A few fields of the spec."""
        return msgspec.json.decode(self.raw_spec, type=DagFacts)

    @property
    def schedule(self) -> DagSchedule:
        """The schedule, without the tasks, which may take a megabyte."""
        return msgspec.json.decode(self.raw_spec, type=DagSchedule)

    def manifest(self) -> dict[str, Any]:
        """Return the manifest as a person writes it, for validation."""
        metadata = {"name": self.metadata.name, "namespace": self.metadata.namespace}
        return {"apiVersion": API_VERSION, "kind": "Dag", "metadata": metadata, "spec": self.spec}


class _Phase(msgspec.Struct):
    phase: str = ""


class DagRunObject(KubeObject, rename="camel"):
    """A DagRun. Its status is parsed only when the run is loaded, so that events of our own writes are cheap."""

    spec: dict[str, Any] = msgspec.field(default_factory=dict)
    status: msgspec.Raw = msgspec.Raw(b"{}")

    def __post_init__(self) -> None:
        self.status = self.status.copy()  # otherwise it keeps the whole list response in memory

    @property
    def dag(self) -> str:
        """Name of its Dag, even if the rest of its spec is invalid."""
        return str(self.spec.get("dag", ""))

    @property
    def suspend(self) -> bool:
        """True if no new tasks may start: it is suspended, or being deleted."""
        return self.spec.get("suspend") is True or self.metadata.deletion_timestamp is not None

    @property
    def phase(self) -> str:
        """Its phase, without parsing the rest of its status."""
        try:
            return msgspec.json.decode(self.status, type=_Phase).phase if bytes(self.status) else ""
        except msgspec.ValidationError:
            return ""

    def decoded_status(self) -> dict[str, Any]:
        """Return the status as a dict."""
        decoded = msgspec.json.decode(self.status) if bytes(self.status) else {}
        return decoded if isinstance(decoded, dict) else {}


class BackfillObject(KubeObject, rename="camel"):
    """A Backfill; spec and status are parsed on demand."""

    spec: dict[str, Any] = msgspec.field(default_factory=dict)
    status: dict[str, Any] = msgspec.field(default_factory=dict)


class _PoolSpec(msgspec.Struct):
    slots: int = 0


class PoolObject(KubeObject):
    """A Pool."""

    spec: _PoolSpec = msgspec.field(default_factory=_PoolSpec)
    status: dict[str, Any] = msgspec.field(default_factory=dict)


class _Identity(msgspec.Struct, rename="camel"):
    """Metadata without annotations: `kubectl apply` keeps a copy of the whole object there."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class ConfigMapObject(msgspec.Struct, rename="camel"):
    """A ConfigMap of variables; `data` is None if it is too large."""

    metadata: _Identity
    data: dict[str, str] | None = {}

    def __post_init__(self) -> None:
        data = self.data or {}  # null means no data
        size = sum(len(key.encode()) + len(value.encode()) for key, value in data.items())
        self.data = data if size <= MAX_BYTES else None


class PodMeta(msgspec.Struct, rename="camel"):
    """The metadata of a Pod that we use."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: list[OwnerReference] = []
    finalizers: list[str] = []


class _Waiting(msgspec.Struct):
    reason: str = ""
    message: str = ""


class _Running(msgspec.Struct, rename="camel"):
    started_at: datetime | None = None


class Terminated(msgspec.Struct, rename="camel"):
    """The final state of a container."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class _State(msgspec.Struct):
    waiting: _Waiting | None = None
    running: _Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(msgspec.Struct):
    """The state of one container."""

    name: str
    state: _State = msgspec.field(default_factory=_State)


class PodCondition(msgspec.Struct, rename="camel"):
    """One condition of a Pod."""

    type: str
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class PodStatus(msgspec.Struct, rename="camel"):
    """The part of a Pod's status that describes the progress of its task."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    start_time: datetime | None = None
    conditions: list[PodCondition] = []
    container_statuses: list[ContainerStatus] = []
    init_container_statuses: list[ContainerStatus] = []


class _PodSpec(msgspec.Struct, rename="camel"):
    node_name: str = ""
    termination_grace_period_seconds: int | None = None
    active_deadline_seconds: int | None = None


class PodObject(msgspec.Struct, rename="camel"):
    """A Pod of a try."""

    metadata: PodMeta
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)


def backfill_of(
    backfills: Mapping[Key, BackfillObject], namespace: str, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> BackfillObject | None:
    """Return the Backfill that created or reran a run with these labels and annotations, if it still exists."""
    found = backfills.get((namespace, labels.get(names.LABEL_BACKFILL, "")))
    ours = found is not None and found.metadata.uid == annotations.get(names.ANNOTATION_BACKFILL_UID)
    return found if ours else None
