"""Names that other programs rely on: labels, annotations, environment variables, object names.

Everything here is a contract (dashboards, scripts and `kubectl` selectors use it) and deterministic: the same
input always gives the same name, because names are what makes a repeated create harmless.
"""

import hashlib
from datetime import UTC, datetime

PREFIX = "tradewind.dev/"

LABEL_DAG = PREFIX + "dag"
LABEL_RUN = PREFIX + "run"
LABEL_TASK = PREFIX + "task"
LABEL_INDEX = PREFIX + "index"
LABEL_TRY = PREFIX + "try"
LABEL_POKE = PREFIX + "poke"
LABEL_VARIABLES = PREFIX + "variables"
"""On ConfigMaps whose data templates may read; its value is then "true"."""
LABEL_BUCKET = PREFIX + "bucket"
"""On Pods and DagRuns: the bucket of their namespace (see shards.py), by which a controller watches only its share. Who
owns an object is decided by the name of its namespace, never by this label."""
LABEL_LEASE_OF = PREFIX + "lease-of"
LABEL_SHARDS = PREFIX + "shards"
"""On the Leases of controllers: of which release, and how many shards that has."""
LABEL_BACKFILL = PREFIX + "backfill"
ANNOTATION_BACKFILL_UID = PREFIX + "backfill-uid"
"""Tells the runs of a Backfill from those of an earlier one of that name."""
ANNOTATION_REVISION = PREFIX + "revision"
ANNOTATION_ENDED = PREFIX + "ended"
"""On Pods that the controller has ended, by their deadline: why, as a reason in status would say it."""
ENDED_FOR_SIDECARS = "Sidecars"
"""Its value where the task was over by itself, and containers beside it went on."""
FINALIZER_RESULT = PREFIX + "result"

TASK_CONTAINER = "task"
"""Name of the container that runs the task; `podTemplate` merges into the container of this name."""

MAX_LABEL = 63
RUN_SUFFIX = len("-20060102t150405")
MAX_DAG_NAME = MAX_LABEL - RUN_SUFFIX
"""A run's name is a label value (63 characters) and a scheduled run's name is the Dag's plus 16 more."""


def run_name(dag: str, logical_date: datetime) -> str:
    """Name of the run of a tick of `dag`'s schedule, whether the schedule or a Backfill makes it: the same for every
    controller that computes it."""
    return f"{dag}-{logical_date.astimezone(UTC):%Y%m%dt%H%M%S}"


def pod_name(run: str, run_uid: str, task: str, index: int | None, try_number: int, poke: int = 0) -> str:
    """Name of the Pod of one try: readable, at most 63 characters, unique by (run UID, task, index, try, poke).

    The hash keeps names apart where the readable part is cut or ambiguous (run `a-b` task `c`, run `a` task
    `b-c`) and after a run was deleted and made again under the same name. Its 40 bits have to do alone where a long run
    name leaves no room for the task's: 2,000 tasks then share a name once in half a million runs.
    """
    identity = f"{run_uid}/{task}/{'' if index is None else index}/{try_number}" + (f"/{poke}" if poke else "")
    digest = hashlib.sha256(identity.encode()).hexdigest()[:10]
    numbers = [str(number) for number in (index, try_number, poke or None) if number is not None]
    suffix = f"-{'-'.join(numbers)}-{digest}"
    readable = f"{run}-{task}"[: MAX_LABEL - len(suffix)].rstrip("-.")
    return readable + suffix


def revision_name(dag: str, digest: str) -> str:
    """Name of the ControllerRevision that holds a Dag's spec with the hash `digest`."""
    return f"{dag}-{digest[:10]}"
