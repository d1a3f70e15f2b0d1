"""One object of a list, or of a watch, that cannot be decoded is lost alone."""

from typing import Any

import msgspec
import pytest

from tradewind.kube.decoding import DEEPEST, decoder_for
from tradewind.kube.objects import KubeObject

pytestmark = pytest.mark.unit


class Thing(KubeObject):
    spec: dict[str, Any] = msgspec.field(default_factory=dict)


def thing(name: str, spec: str = '{"a": 1}') -> str:
    return (
        f'{{"metadata": {{"namespace": "ns", "name": "{name}", "uid": "u", "resourceVersion": "7"}}, "spec": {spec}}}'
    )


def deep(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize("kind", [Thing, dict], ids=["struct", "dict"])
@pytest.mark.parametrize("levels", [2_000, DEEPEST - 10])
def test_an_object_nested_too_deeply_spoils_no_other(kind: Any, levels: int) -> None:
    decoder = decoder_for(kind)
    items = ",".join([thing("good"), thing("deep", deep(levels)), thing("also")])
    page = decoder.page(f'{{"metadata": {{"resourceVersion": "9"}}, "items": [{items}]}}'.encode())
    assert [(item.key[1], item.object is None, item.error is None) for item in page.items] == [
        ("good", False, True),
        ("deep", True, False),
        ("also", False, True),
    ]
    event = decoder.event(f'{{"type": "MODIFIED", "object": {thing("deep", deep(levels))}}}'.encode())
    assert (event.type, event.item.key, event.item.object, event.item.resource_version) == (
        "MODIFIED",
        ("ns", "deep"),
        None,
        "7",
    )
    assert decoder.event(f'{{"type": "ADDED", "object": {thing("good")}}}'.encode()).item.object is not None
