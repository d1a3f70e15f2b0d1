"""A revision of a Dag: the fields of its spec that runs depend on, and their hash.

Changing any other field, such as `suspend` or `schedule`, creates no revision.
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
"""Fields of DagSpec that a run never reads. Every field must be in one of the two lists: a field in neither would be
lost for runs (tests/unit/api/test_api_revision.py)."""


def run_fields(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a Dag's spec that its runs depend on."""
    return {field: spec[field] for field in RUN_FIELDS if field in spec}


def content_hash(uid: str, spec: dict[str, Any]) -> str:
    """Return the hash of a Dag's UID and of the fields of its spec that runs depend on.

    With the UID, a Dag that is deleted and recreated gets its own revisions; those of its predecessor are
    garbage-collected at any time.
    """
    canonical = orjson.dumps([uid, run_fields(spec)], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()
