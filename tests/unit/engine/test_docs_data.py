"""docs/data.md tells the truth about templates: each gives what the tables say, and none is left out."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.unit.engine.engine_world import World, run_info, task
from tradewind.api import templates
from tradewind.api.connections import connection_prefix
from tradewind.api.templates import MAX_RENDERED, TOP_LEVEL, references, render
from tradewind.api.variables import MAX_BYTES, Variables
from tradewind.engine.rules.outcome import MAX_OUTPUT_BYTES, OUTPUT_BUDGET
from tradewind.engine.rules.rendering import template_values
from tradewind.engine.run.run_info import PreviousRuns

pytestmark = pytest.mark.unit

TEXT = (Path(__file__).parents[3] / "docs" / "data.md").read_text()
CELL = r"`((?:[^`|]|\\\|)*)`"
FILTERS_TEXT = TEXT.partition("### Filters")[2].partition("###")[0]
VALUES = re.findall(rf"^\| {CELL} \| {CELL} \|$", TEXT, re.MULTILINE)
FILTERS = re.findall(rf"^\| ([^|]*) \| {CELL} \| {CELL} \|$", FILTERS_TEXT, re.MULTILINE)
EXAMPLES = [
    (template.replace("\\|", "|"), text)
    for template, text in [*VALUES, *((template, text) for _, template, text in FILTERS)]
    if "{" in template
]
DATE = datetime(2026, 1, 31, 5, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def values() -> dict[str, object]:
    made = World(
        task("extract"),
        task("my-task"),
        task("report", "extract", "my-task"),
        timeZone="Europe/Berlin",
        params={name: {} for name in ("region", "rows", "limits")},
    )
    end = DATE - 2 * DAY
    previous = PreviousRuns(DATE - DAY, end - DAY, end, end + timedelta(seconds=1), end + timedelta(seconds=750))
    made.run = made.add(
        run_info(
            "sales-20260131t050000",
            logical_date=DATE,
            dag_name="sales",
            namespace="analytics",
            type="Scheduled",
            params={"region": "eu", "rows": [3, 1, 2], "limits": {"gpu": 1, "cpu": 2}},
            previous=previous,
        )
    )
    made.succeed("extract", '{"rows": 42}')
    made.succeed("my-task", '["a"]')
    variables = Variables({"sales-settings": {"log.level": "debug", "stores": "berlin,paris,rome"}})
    made.run.variables = lambda: variables
    found = template_values(made.run, made.run["report"].task, 2)
    found |= {
        "dataInterval": {
            "start": "2026-01-30T05:00:00Z",
            "end": "2026-01-31T05:00:00Z",
            "startDs": "2026-01-30",
            "endDs": "2026-01-31",
        },
        "item": "paris",
        "index": 1,
    }
    found["task"]["index"] = 1
    return found


@pytest.mark.parametrize(("template", "text"), EXAMPLES, ids=lambda text: text[:40])
def test_a_template_gives_what_the_page_says(values: dict[str, object], template: str, text: str) -> None:
    assert render(template, values) == text


def test_every_value_is_there() -> None:
    used = {name.partition(".")[0] for template, _ in VALUES for name in references(template.replace("\\|", "|"))}
    assert used == TOP_LEVEL.keys()


def test_every_filter_is_there() -> None:
    named = [name for names, _, _ in FILTERS for name in re.findall(r"`(\w+)`", names)]
    assert sorted(named) == sorted(templates._FILTERS)
    for names, template, _ in FILTERS:
        assert set(re.findall(r"`(\w+)`", names)) <= set(re.findall(r"\| (\w+)", template))


def test_the_numbers_are_those_of_the_code() -> None:
    assert (
        f"at most {MAX_OUTPUT_BYTES} bytes; all outputs of a run together have at most {OUTPUT_BUDGET // 1024} KiB"
        in TEXT
    )
    assert f"a rendered text has at most {MAX_RENDERED // 1024} KiB" in TEXT
    assert f"more than {MAX_BYTES // 1024} KiB of data" in TEXT


def test_connections_are_named_so() -> None:
    rows = re.findall(r"^\| `(\S+)` \| `(\w+)` \| `(\w+)` \|$", TEXT.partition("## Connections")[2], re.MULTILINE)
    assert len(rows) == 3
    assert [connection_prefix(secret) + key for secret, key, _ in rows] == [variable for _, _, variable in rows]
