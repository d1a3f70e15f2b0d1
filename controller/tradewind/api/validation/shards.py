"""Whether the label by which controllers watch their share is that of the object's namespace."""

from collections.abc import Mapping
from typing import Any

from tradewind.api.names import LABEL_BUCKET
from tradewind.api.shards import bucket_of
from tradewind.api.validation.problem import Problem


def check_bucket(metadata: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> list[Problem]:
    """What is wrong with the label, unless it was so `before`. None is needed; a wrong one, as on an object that was
    copied from another namespace, would hide it from the shard that it belongs to."""
    given = (metadata.get("labels") or {}).get(LABEL_BUCKET)
    right = str(bucket_of(str(metadata.get("namespace", ""))))
    if given in (None, right) or given == ((before or {}).get("labels") or {}).get(LABEL_BUCKET):
        return []
    message = f"is {given!r}, must be {right!r} in this namespace: leave it away"
    return [Problem("InvalidLabel", f"metadata.labels[{LABEL_BUCKET}]", message)]
