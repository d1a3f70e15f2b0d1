"""Names that other programs rely on: labels, annotations, environment variables, object names.

All of them are a contract (dashboards, scripts and `kubectl` selectors use them) and deterministic: the same input
always gives the same name, which makes a repeated create idempotent.
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
"""On ConfigMaps that templates may read; the value is "true"."""
LABEL_BUCKET = PREFIX + "bucket"
"""On Pods and DagRuns: the bucket of their namespace (see shards.py), so that a controller can watch only its shard.
The name of the namespace, never this label, decides which shard owns an object."""
LABEL_LEASE_OF = PREFIX + "lease-of"
LABEL_SHARDS = PREFIX + "shards"
"""On the Leases of controllers: the number of shards of their release."""
LABEL_BACKFILL = PREFIX + "backfill"
ANNOTATION_BACKFILL_UID = PREFIX + "backfill-uid"
"""Distinguishes the runs of a Backfill from those of an earlier Backfill with the same name."""
ANNOTATION_REVISION = PREFIX + "revision"
ANNOTATION_ENDED = PREFIX + "ended"
"""On Pods that the controller stopped with a deadline: the reason, as in status."""
ENDED_FOR_SIDECARS = "Sidecars"
"""Its value if the task had finished and only sidecar containers were still running."""
FINALIZER_RESULT = PREFIX + "result"

TASK_CONTAINER = "task"
"""Name of the container that runs the task; `podTemplate` merges into it."""

MAX_LABEL = 63
RUN_SUFFIX = len("-20060102t150405")
MAX_DAG_NAME = MAX_LABEL - RUN_SUFFIX
"""A run's name is a label value (63 characters), and the name of a scheduled run is the Dag's name plus 16
characters."""


def run_name(dag: str, logical_date: datetime) -> str:
    """Return the name of the run for a tick of `dag`'s schedule. It is the same for the schedule and for a Backfill,
    and in every controller."""
    return f"{dag}-{logical_date.astimezone(UTC):%Y%m%dt%H%M%S}"


def pod_name(run: str, run_uid: str, task: str, index: int | None, try_number: int, poke: int = 0) -> str:
    """Return the name of the Pod of one try: readable, at most 63 characters, unique by (run UID, task, index, try,
    poke).

    The hash keeps names distinct if the readable part is cut or ambiguous (run `a-b` task `c`, run `a` task `b-c`), and
    after a run is deleted and recreated with the same name. If a long run name leaves no room for the task's name, only
    the 40 bits of the hash distinguish tasks: 2,000 tasks then collide once in half a million runs.
    """
    identity = f"{run_uid}/{task}/{'' if index is None else index}/{try_number}" + (f"/{poke}" if poke else "")
    digest = hashlib.sha256(identity.encode()).hexdigest()[:10]
    numbers = [str(number) for number in (index, try_number, poke or None) if number is not None]
    suffix = f"-{'-'.join(numbers)}-{digest}"
    readable = f"{run}-{task}"[: MAX_LABEL - len(suffix)].rstrip("-.")
    return readable + suffix


def revision_name(dag: str, digest: str) -> str:
    """Return the name of the ControllerRevision for a Dag's spec with the hash `digest`."""
    return f"{dag}-{digest[:10]}"
