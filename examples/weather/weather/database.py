"""The tables in one SQLite file, for the report and for further queries."""

import csv
import sqlite3
from contextlib import closing
from pathlib import Path

from weather.source import BadInputError, read
from weather.transforms import TABLES

DATABASE = Path("weather.db")


def load(expected_days: int) -> dict[str, object]:
    """Rebuild the database from the days and the tables, and put it in place when it is complete."""
    unfinished = DATABASE.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished)) as database:
        database.execute(
            "CREATE TABLE days (date TEXT PRIMARY KEY, rain REAL, high REAL, low REAL, wind REAL, kind TEXT)"
        )
        days = [(str(day.date), day.rain, day.high, day.low, day.wind, day.condition) for day in read()]
        database.executemany("INSERT INTO days VALUES (?, ?, ?, ?, ?, ?)", days)
        rows = {"days": len(days), **{path.stem: _load_table(database, path) for path in sorted(TABLES.glob("*.csv"))}}
        database.commit()
    if len(days) != expected_days:
        raise BadInputError(f"{len(days)} days were loaded, {expected_days} were extracted")
    unfinished.replace(DATABASE)
    return {"path": str(DATABASE), "rows": rows}


def _load_table(database: sqlite3.Connection, path: Path) -> int:
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    # Column affinity NUMERIC turns the numbers of a CSV file back into numbers.
    columns = ", ".join(f'"{name}" NUMERIC' for name in header)
    database.execute(f'CREATE TABLE "{path.stem}" ({columns})')
    database.executemany(f'INSERT INTO "{path.stem}" VALUES ({", ".join("?" * len(header))})', rows)
    return len(rows)
