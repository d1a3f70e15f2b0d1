"""Paths to one field of an object: names and positions, nothing that searches."""

import pytest

from tradewind.api.json_path import parse_json_path

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        (".status.phase", ("status", "phase")),
        ("{.status.phase}", ("status", "phase")),
        (".status.conditions[0].status", ("status", "conditions", 0, "status")),
        (".metadata.my-field", ("metadata", "my-field")),
        ("[1][2]", (1, 2)),
    ],
)
def test_a_path(text: str, steps: tuple[str | int, ...]) -> None:
    assert parse_json_path(text) == steps


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "{}",
            ".",
            "status",
            ".status.",
            "..phase",
            ".items[*].name",
            ".items[-1]",
            ".a[?(@.b=='c')]",
            "{.a}{.b}",
        ),
        *("{.a", ".a}", ".a b", "$.a", ".a['b']", ".1a"),
    ],
)
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match=r"as in \.status\.phase"):
        parse_json_path(text)
