"""Our kinds, and narrow shapes of what the informers keep."""

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
    """What is asked of a spec again and again; nothing has to be valid."""

    suspend: Any = None
    max_active_runs: Any = None
    max_consecutive_failed_runs: Any = None
    pod_retention: Any = None


class DagSchedule(msgspec.Struct, rename="camel", frozen=True):
    """When the Dag runs by itself; nothing has to be valid."""

    schedule: Any = None
    schedules: Any = None
    time_zone: Any = None
    start_date: Any = None


class DagObject(KubeObject, rename="camel"):
    """A Dag. Its spec is kept as it came, which takes a fifth of the memory, and is parsed where it is needed."""

    raw_spec: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"{}"), name="spec")
    status: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.raw_spec = self.raw_spec.copy()  # else it keeps all of the list that it came with
        if not isinstance(self.spec, dict):
            raise ValueError("spec is no object")

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
        """The schedule, without the tasks: there may be a megabyte of them."""
        return msgspec.json.decode(self.raw_spec, type=DagSchedule)

    def manifest(self) -> dict[str, Any]:
        """As a person writes it, for validation."""
        metadata = {"name": self.metadata.name, "namespace": self.metadata.namespace}
        return {"apiVersion": API_VERSION, "kind": "Dag", "metadata": metadata, "spec": self.spec}


class _Phase(msgspec.Struct):
    phase: str = ""


class DagRunObject(KubeObject, rename="camel"):
    """A DagRun. Its status is parsed only when the run is loaded: events about our own writes cost little."""

    spec: dict[str, Any] = msgspec.field(default_factory=dict)
    status: msgspec.Raw = msgspec.Raw(b"{}")

    def __post_init__(self) -> None:
        self.status = self.status.copy()  # else it keeps all of the list that it came with

    @property
    def dag(self) -> str:
        """Name of its Dag, whatever is wrong with the rest of its spec."""
        return str(self.spec.get("dag", ""))

    @property
    def suspend(self) -> bool:
        """Whether nothing more of it may start: it is suspended, or being deleted."""
        return self.spec.get("suspend") is True or self.metadata.deletion_timestamp is not None

    @property
    def phase(self) -> str:
        """Its phase; the rest of its status is passed over."""
        try:
            return msgspec.json.decode(self.status, type=_Phase).phase if bytes(self.status) else ""
        except msgspec.ValidationError:
            return ""

    def decoded_status(self) -> dict[str, Any]:
        """The status as a dict."""
        decoded = msgspec.json.decode(self.status) if bytes(self.status) else {}
        return decoded if isinstance(decoded, dict) else {}


class BackfillObject(KubeObject, rename="camel"):
    """A Backfill; spec and status are read where they are needed."""

    spec: dict[str, Any] = msgspec.field(default_factory=dict)
    status: dict[str, Any] = msgspec.field(default_factory=dict)


class _PoolSpec(msgspec.Struct):
    slots: int = 0


class PoolObject(KubeObject):
    """A Pool."""

    spec: _PoolSpec = msgspec.field(default_factory=_PoolSpec)
    status: dict[str, Any] = msgspec.field(default_factory=dict)


class _Identity(msgspec.Struct, rename="camel"):
    """No annotations: `kubectl apply` keeps a copy of the whole object there."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class ConfigMapObject(msgspec.Struct, rename="camel"):
    """A ConfigMap of variables; `data` is None where there is too much of it."""

    metadata: _Identity
    data: dict[str, str] | None = {}

    def __post_init__(self) -> None:
        data = self.data or {}  # null is as good as none
        size = sum(len(key.encode()) + len(value.encode()) for key, value in data.items())
        self.data = data if size <= MAX_BYTES else None


class PodMeta(msgspec.Struct, rename="camel"):
    """The metadata of a Pod that we read."""

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
    """How a container ended."""

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
    """The part of a Pod's status that tells how its task is doing."""

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
    """A Pod of ours."""

    metadata: PodMeta
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)


def backfill_of(
    backfills: Mapping[Key, BackfillObject], namespace: str, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> BackfillObject | None:
    """The Backfill that made a run with these labels and annotations, or had it run again, while that is there."""
    found = backfills.get((namespace, labels.get(names.LABEL_BACKFILL, "")))
    ours = found is not None and found.metadata.uid == annotations.get(names.ANNOTATION_BACKFILL_UID)
    return found if ours else None
