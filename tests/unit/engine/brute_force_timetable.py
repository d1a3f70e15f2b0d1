"""Ticks as docs/scheduling.md tells them, worked out by walking all minutes: slow, and nothing shared with the engine.

- A schedule whose hours are all hours advances by elapsed time: from one tick to the next as many minutes pass as lie
  between their naive local times.
- Any other is a set of naive local times, each placed in the zone: one in a gap moves forward by the gap, a repeated
  one is its second occurrence.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def values(field: str, low: int, high: int) -> set[int]:
    """The numbers that one cron field allows: lists of `*`, `n`, `a-b`, each with an optional `/step`."""
    allowed: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = low, high
        elif "-" in span:
            first, last = map(int, span.split("-"))
        else:
            first, last = int(span), high if step else int(span)
        allowed |= set(range(first, last + 1, int(step or 1)))
    return allowed


class Cron:
    """A cron expression that can tell whether a naive local minute matches."""

    def __init__(self, expression: str) -> None:
        fields = expression.split()
        self.minutes, self.hours, self.days, self.months, weekdays = (
            values(field, *limits) for field, limits in zip(fields, RANGES, strict=True)
        )
        self.weekdays = {day % 7 for day in weekdays}
        self.any_day, self.any_weekday = fields[2].startswith("*"), fields[4].startswith("*")
        self.every_hour = self.hours == set(range(24))

    def matches(self, naive: datetime) -> bool:
        """Whether the minute is one of the schedule's. With both kinds of days restricted, either is enough."""
        day, weekday = naive.day in self.days, naive.isoweekday() % 7 in self.weekdays
        on_day = day and weekday if self.any_day or self.any_weekday else day or weekday
        return naive.minute in self.minutes and naive.hour in self.hours and naive.month in self.months and on_day


def naive_minutes(start: datetime) -> Iterator[datetime]:
    naive = start.replace(second=0, microsecond=0)
    while True:
        yield naive
        naive += MINUTE


def placed(naive: datetime, zone: ZoneInfo) -> datetime:
    """A naive local time as a moment, found by trying all offsets that the zone has around that day."""
    offsets = {(naive + timedelta(hours=hours)).replace(tzinfo=zone).utcoffset() for hours in (-30, 30)}
    moments = sorted(naive.replace(tzinfo=UTC) - offset for offset in offsets if offset is not None)
    real = [moment for moment in moments if moment.astimezone(zone).replace(tzinfo=None) == naive]
    # In a gap the offset before the change, the smaller one and so the later moment, moves the time forward.
    return real[-1] if real else moments[-1]


def ticks(expression: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """All ticks in (start, end), in UTC. `start` is to be a moment well away from any change of clocks."""
    cron = Cron(expression)
    first = start.astimezone(zone).replace(tzinfo=None)
    if not cron.every_hour:
        near_end = end.astimezone(zone).replace(tzinfo=None) + timedelta(days=2)
        naive = takewhile(lambda minute: minute < near_end, naive_minutes(first - timedelta(days=2)))
        moments = {placed(minute, zone) for minute in naive if cron.matches(minute)}
        return sorted(moment for moment in moments if start < moment < end)
    found: list[datetime] = []
    moment = start
    while True:
        local = moment.astimezone(zone).replace(tzinfo=None)
        following = next(minute for minute in naive_minutes(local + MINUTE) if cron.matches(minute))
        moment += following - local
        if moment >= end:
            return found
        found.append(moment.astimezone(UTC))
