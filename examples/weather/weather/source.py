"""The source of the data: NOAA's daily weather in Seattle, 2012 to 2015, as packaged in `vega_datasets`."""

import csv
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

RAW = Path("raw/seattle-weather.csv")
COLUMNS = ["date", "precipitation", "temp_max", "temp_min", "wind", "weather"]
CONDITIONS = {"sun", "fog", "drizzle", "rain", "snow"}


class BadInputError(ValueError):
    """The data does not fit the pipeline."""


@dataclass(frozen=True, slots=True)
class Day:
    """The weather of one day: °C, mm, m/s."""

    date: date
    rain: float
    high: float
    low: float
    wind: float
    condition: str


def check() -> dict[str, object]:
    """Make sure that the input exists, is complete and plausible."""
    before = None
    count = 0
    for day in read(_packaged()):
        if before is not None and day.date != before + timedelta(days=1):
            raise BadInputError(f"{day.date} follows {before}")
        if day.low > day.high or day.rain < 0 or day.wind < 0 or not -40 < day.low <= day.high < 50:
            raise BadInputError(f"{day} cannot be true")
        if day.condition not in CONDITIONS:
            raise BadInputError(f"{day.date}: unknown weather {day.condition!r}")
        before, count = day.date, count + 1
    if not count:
        raise BadInputError("there are no days")
    return {"days": count, "last": str(before)}


def extract() -> dict[str, object]:
    """Copy the input into the shared folder: later steps use this copy."""
    RAW.parent.mkdir(exist_ok=True)
    unfinished = RAW.with_suffix(".part")
    shutil.copyfile(_packaged(), unfinished)
    unfinished.replace(RAW)
    days = list(read(RAW))
    return {"path": str(RAW), "days": len(days), "from": str(days[0].date), "to": str(days[-1].date)}


def read(path: Path = RAW) -> Iterator[Day]:
    """The days of a file, in its order."""
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        if rows.fieldnames != COLUMNS:
            raise BadInputError(f"{path.name} has the columns {rows.fieldnames}, not {COLUMNS}")
        for row in rows:
            try:
                yield Day(
                    date=date.fromisoformat(row["date"].replace("/", "-")),
                    rain=float(row["precipitation"]),
                    high=float(row["temp_max"]),
                    low=float(row["temp_min"]),
                    wind=float(row["wind"]),
                    condition=row["weather"],
                )
            except (TypeError, ValueError) as error:
                raise BadInputError(f"line {rows.line_num} of {path.name}: {error}") from error


def _packaged() -> Path:
    # Found without importing it: the package's code needs pandas, its data does not.
    package = find_spec("vega_datasets")
    if package is None or not package.submodule_search_locations:
        raise BadInputError("vega_datasets is not installed: pip install --no-deps -r requirements.txt")
    return Path(package.submodule_search_locations[0], "_data", "seattle-weather.csv")
