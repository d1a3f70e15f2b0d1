"""Validation of the label by which controllers watch their shard."""

from collections.abc import Mapping
from typing import Any

from tradewind.api.names import LABEL_BUCKET
from tradewind.api.shards import bucket_of
from tradewind.api.validation.problem import Problem


def check_bucket(metadata: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> list[Problem]:
    """Check the label, unless it is unchanged since `before`. It is optional, but a wrong one, as on an object that was
    copied from another namespace, would hide the object from its shard."""
    given = (metadata.get("labels") or {}).get(LABEL_BUCKET)
    right = str(bucket_of(str(metadata.get("namespace", ""))))
    if given in (None, right) or given == ((before or {}).get("labels") or {}).get(LABEL_BUCKET):
        return []
    message = f"is {given!r} but must be {right!r} in this namespace: remove the label"
    return [Problem("InvalidLabel", f"metadata.labels[{LABEL_BUCKET}]", message)]
