"""tests/bad_backfills.yaml, with what its entries leave out."""

from typing import Any

import yaml

from tests.cluster import REPOSITORY


def bad_backfills(*rejected_by: str) -> list[dict[str, Any]]:
    """The entries, `dag` and `backfill` as whole objects; those of some kinds only, if any are given."""
    cases: list[dict[str, Any]] = yaml.safe_load((REPOSITORY / "tests" / "bad_backfills.yaml").read_text())
    return [_whole(case) for case in cases if not rejected_by or case["rejectedBy"] in rejected_by]


def _whole(case: dict[str, Any]) -> dict[str, Any]:
    envelope = {"apiVersion": "tradewind.dev/v1alpha1", "metadata": {"name": case["name"]}}
    dag = {"tasks": [{"name": "nothing", "noop": True}], **case.get("dag", {"schedule": "@daily", "suspend": True})}
    return {
        **case,
        "dag": {**envelope, "kind": "Dag", "spec": dag},
        "backfill": {**envelope, "kind": "Backfill", "spec": {"dag": case["name"], **case["backfill"]}},
    }
