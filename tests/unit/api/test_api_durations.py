"""Durations: what is read, what is refused, how they are shown."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.api.duration import format_duration, parse_duration, parse_offset

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("7d", 604800), ("250ms", 0.25), ("1.5h", 5400), ("0s", 0), ("1m1m", 120)],
)
def test_parse(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "5S", "1h 30m", "P1D", "5s\n", "1e3s", "٣s", "4000d"])
def test_refuse(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|ten years"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.44, "0.4s"),
        (1, "1s"),
        (59.6, "1m"),
        (200, "3m20s"),
        (7500, "2h5m"),
        (273600, "3d4h"),
        (3661, "1h1m"),
    ],
)
def test_format(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@given(st.integers(min_value=1, max_value=10 * 365 * 86400))
def test_what_is_shown_can_be_read_and_is_near(seconds: int) -> None:
    shown = parse_duration(format_duration(timedelta(seconds=seconds))).total_seconds()
    # Two units are shown: what is cut off is less than one of the smaller.
    assert 0 <= seconds - shown < max(seconds * 0.05, 1)


@pytest.mark.parametrize(("text", "seconds"), [("-1h", -3600), ("1h30m", 5400), ("0s", 0), ("-0.5s", -0.5)])
def test_parse_offset(text: str, seconds: float) -> None:
    assert parse_offset(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "-", "--1h", "+1h", "1", "-1 h", "-4000d"])
def test_refuse_offset(text: str) -> None:
    with pytest.raises(ValueError, match=r"as in -1h or 30m|ten years"):
        parse_offset(text)
