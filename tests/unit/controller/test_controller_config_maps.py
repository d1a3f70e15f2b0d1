"""ConfigMaps of variables in the caches of the controller."""

import json
from typing import Any

import msgspec
import pytest

from tradewind.api.variables import MAX_BYTES
from tradewind.cache.resources import ConfigMapObject

pytestmark = pytest.mark.unit


def decoded(**fields: Any) -> ConfigMapObject:
    metadata = {"name": "settings", "namespace": "ns", "uid": "u", "resourceVersion": "7", "annotations": {"a": "b"}}
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **fields}
    return msgspec.json.decode(json.dumps(document), type=ConfigMapObject)


def test_data_and_identity_and_nothing_else() -> None:
    found = decoded(data={"region": "eu"}, binaryData={"blob": "AAAA"})
    assert msgspec.to_builtins(found) == {
        "metadata": {"name": "settings", "namespace": "ns", "uid": "u", "resourceVersion": "7"},
        "data": {"region": "eu"},
    }


@pytest.mark.parametrize("fields", [{}, {"data": None}, {"binaryData": {"blob": "AAAA"}}])
def test_no_data(fields: dict[str, Any]) -> None:
    assert decoded(**fields).data == {}


def test_too_much_data_is_not_kept() -> None:
    assert decoded(data={"k": "x" * (MAX_BYTES - 1)}).data is not None
    assert decoded(data={"k": "x" * MAX_BYTES}).data is None
    assert decoded(data={"é" * 10: "é" * (MAX_BYTES // 2 - 5)}).data is None
