"""Owner references and labels of the objects that belong to a Dag or to a DagRun: Kubernetes deletes them with it."""

from collections.abc import Mapping
from typing import Any

from tradewind.api import API_VERSION
from tradewind.api.names import LABEL_BUCKET, LABEL_DAG
from tradewind.api.shards import bucket_of


def owner_reference(kind: str, name: str, uid: str) -> dict[str, Any]:
    """The reference to an object that owns another."""
    return {"apiVersion": API_VERSION, "kind": kind, "name": name, "uid": uid, "controller": True}


def metadata_of_run(namespace: str, dag: str, dag_uid: str) -> dict[str, Any]:
    """Labels and owner of a new DagRun."""
    labels = {LABEL_DAG: dag, LABEL_BUCKET: str(bucket_of(namespace))}
    return {"labels": labels, "ownerReferences": [owner_reference("Dag", dag, dag_uid)]}


def adoption(labels: Mapping[str, str], *, owned: bool, dag: str, dag_uid: str) -> dict[str, Any]:
    """The patch of metadata that makes an object the Dag's; empty if it is. An object that is `owned` keeps its
    owners."""
    patch: dict[str, Any] = {}
    if labels.get(LABEL_DAG) != dag:
        patch["labels"] = {LABEL_DAG: dag}
    if not owned:
        patch["ownerReferences"] = [owner_reference("Dag", dag, dag_uid)]
    return patch
