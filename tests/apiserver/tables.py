"""Lists as tables: what `kubectl get` asks for, the printer columns of a kind instead of its objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.apiserver.kinds import Kind
from tests.apiserver.store import Stored

Json = dict[str, Any]


def table(kind: Kind, listed: Iterable[Stored], head: Json) -> Json:
    """The objects of a custom kind in a table. Ages, which the real one writes as kubectl shows them, are left out."""
    columns = [{"name": "Name", "type": "string", "jsonPath": ".metadata.name"}, *kind.columns]
    rows = [
        {
            "cells": [_cell(stored.document, column) for column in columns],
            "object": {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": stored.metadata,
            },
        }
        for stored in listed
    ]
    definitions = [{"name": column["name"], "type": column["type"]} for column in columns]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": head,
        "columnDefinitions": definitions,
        "rows": rows,
    }


def _cell(document: Json, column: Json) -> Any:
    if column["type"] == "date":
        return None
    value: Any = document
    for step in column["jsonPath"].strip(".").split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value
