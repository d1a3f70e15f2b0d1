"""The part of a Dag's spec that its runs depend on, and its hash: a revision of the Dag.

A change of any other field, such as `suspend` or `schedule`, makes no revision.
"""

import hashlib
from typing import Any

import orjson

RUN_FIELDS = (
    "timeZone",
    "maxActiveTasks",
    "runTimeout",
    "resultProtection",
    "podRetention",
    "params",
    "taskDefaults",
    "groups",
    "failFast",
    "maxMapLength",
    "podTemplate",
    "tasks",
)
"""Fields of DagSpec that runs depend on."""
DAG_FIELDS = (
    "description",
    "docs",
    "owner",
    "tags",
    "schedule",
    "schedules",
    "startDate",
    "endDate",
    "catchup",
    "startingDeadline",
    "suspend",
    "maxActiveRuns",
    "maxConsecutiveFailedRuns",
    "successfulRunsHistoryLimit",
    "failedRunsHistoryLimit",
)
"""Fields of DagSpec that a run never reads. Each field is in one of the two: a new one that is in neither would be
lost for runs (tests/unit/api/test_api_revision.py)."""


def run_fields(spec: dict[str, Any]) -> dict[str, Any]:
    """The part of a Dag's spec that its runs depend on."""
    return {field: spec[field] for field in RUN_FIELDS if field in spec}


def content_hash(uid: str, spec: dict[str, Any]) -> str:
    """Hash of the UID of a Dag and of the part of its spec that its runs depend on.

    With the UID a Dag that is deleted and made again has revisions of its own: those of the one before are deleted
    after it, sooner or later.
    """
    canonical = orjson.dumps([uid, run_fields(spec)], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()
