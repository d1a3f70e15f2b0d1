"""The transforms, independent of each other: days in, one small table out."""

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean, linear_regression
from typing import TypeVar

from weather.source import Day, read

TABLES = Path("tables")
KINDS = ["warm and dry", "cool and dry", "wet", "very wet"]
VERY_WET = 10.0
"""Millimetres of rain from which a day is very wet."""
K = TypeVar("K")


def temperature(hot_day: float) -> dict[str, object]:
    """Per month: mean high, mean low, hot days. Facts: the extremes, and the trend over the years."""
    days = list(read())
    rows = [
        (month, fmean(day.high for day in group), fmean(day.low for day in group), _count(group, hot_day))
        for month, group in _grouped(days, _month).items()
    ]
    path = _write("temperature", ("month", "mean_high", "mean_low", "hot_days"), rows)
    hottest = max(days, key=lambda day: day.high)
    coldest = min(days, key=lambda day: day.low)
    years = {year: fmean((day.high + day.low) / 2 for day in group) for year, group in _grouped(days, _year).items()}
    return {
        "path": path,
        "hottest": {"date": str(hottest.date), "celsius": hottest.high},
        "coldest": {"date": str(coldest.date), "celsius": coldest.low},
        "trend": round(linear_regression(list(years), list(years.values())).slope, 2),
        "hot_days": _count(days, hot_day),
        "hot_day": hot_day,
    }


def rain(rain_day: float) -> dict[str, object]:
    """Per month: millimetres and rain days. Facts: the wettest day and month, the longest time without rain."""
    days = list(read())
    months = _grouped(days, _month)
    rows = [
        (month, sum(day.rain for day in group), sum(day.rain >= rain_day for day in group))
        for month, group in months.items()
    ]
    path = _write("rain", ("month", "millimetres", "rain_days"), rows)
    wettest = max(days, key=lambda day: day.rain)
    month, amount, _ = max(rows, key=lambda row: row[1])
    spells = [list(spell) for dry, spell in groupby(days, lambda day: day.rain < rain_day) if dry]
    longest = max(spells, key=len)
    return {
        "path": path,
        "wettest_day": {"date": str(wettest.date), "millimetres": wettest.rain},
        "wettest_month": {"month": month, "millimetres": round(amount, 1)},
        "driest": {"days": len(longest), "from": str(longest[0].date), "to": str(longest[-1].date)},
        "rain_day": rain_day,
    }


def wind() -> dict[str, object]:
    """Per month: mean and strongest wind. Fact: the windiest day."""
    days = list(read())
    rows = [
        (month, fmean(day.wind for day in group), max(day.wind for day in group))
        for month, group in _grouped(days, _month).items()
    ]
    path = _write("wind", ("month", "mean", "strongest"), rows)
    windiest = max(days, key=lambda day: day.wind)
    return {"path": path, "windiest": {"date": str(windiest.date), "metres_per_second": windiest.wind}}


def kinds(warm_day: float, rain_day: float) -> dict[str, object]:
    """Per month of the year: days of each kind in a mean year. Fact: the month with the most warm, dry days.

    Judged by rain and temperature: the column `weather` of the source counts many a rain day as fog from 2014 on.
    """
    days = list(read())
    years = len({day.date.year for day in days})
    counts = Counter((day.date.month, kind_of(day, warm_day, rain_day)) for day in days)
    rows = [(month, kind, counts[month, kind] / years) for month in range(1, 13) for kind in KINDS]
    best = max(range(1, 13), key=lambda month: counts[month, KINDS[0]])
    return {
        "path": _write("kinds", ("month", "kind", "days"), rows),
        "kinds": KINDS,
        "best_month": best,
        "warm_dry_days": round(counts[best, KINDS[0]] / years, 1),
    }


def kind_of(day: Day, warm_day: float, rain_day: float) -> str:
    """One of KINDS."""
    if day.rain < rain_day:
        return "warm and dry" if day.high >= warm_day else "cool and dry"
    return "wet" if day.rain < VERY_WET else "very wet"


def _month(day: Day) -> str:
    return f"{day.date:%Y-%m}"


def _year(day: Day) -> int:
    return day.date.year


def _grouped(days: Iterable[Day], key: Callable[[Day], K]) -> dict[K, list[Day]]:
    groups: defaultdict[K, list[Day]] = defaultdict(list)
    for day in days:
        groups[key(day)].append(day)
    return groups


def _count(days: Iterable[Day], hot_day: float) -> int:
    return sum(day.high >= hot_day for day in days)


def _write(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table; a reader sees all of it or nothing."""
    TABLES.mkdir(exist_ok=True)
    path = TABLES / f"{name}.csv"
    unfinished = path.with_suffix(".part")
    with unfinished.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([round(cell, 2) if isinstance(cell, float) else cell for cell in row] for row in rows)
    unfinished.replace(path)
    return str(path)
