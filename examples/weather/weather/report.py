"""The report: `report/index.html`, one self-contained file with numbers, a table and charts."""

import calendar
import html
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path
from string import Template
from typing import Any

import pygal
from pygal.style import Style

REPORT = Path("report")
COLOURS = {"warm and dry": "#f2b134", "cool and dry": "#cbd5e1", "wet": "#86b6d9", "very wet": "#2f6db5"}
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def write(database: Path, facts: dict[str, Any]) -> dict[str, object]:
    """Write the report from the database and the facts of earlier steps."""
    REPORT.mkdir(exist_ok=True)
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        charts = {
            "temperature": temperature_chart(connection),
            "rain": rain_chart(connection),
            "kinds": kinds_chart(connection, facts["kinds"]["kinds"]),
        }
        years = yearly_table(connection)
        first, last, days = connection.execute("SELECT min(date), max(date), count(*) FROM days").fetchone()
    for name, svg in charts.items():
        (REPORT / f"{name}.svg").write_text(svg)
    cards = "\n".join(
        f'<div class="card"><b>{html.escape(value)}</b><span>{html.escape(label)}</span></div>'
        for value, label in highlights(facts)
    )
    page = Template(Path(__file__).with_name("report.html").read_text())
    path = REPORT / "index.html"
    text = page.substitute(
        charts,
        cards=cards,
        years=years,
        first=_day(first),
        last=_day(last),
        days=f"{days:,}",
        best=calendar.month_name[facts["kinds"]["best_month"]],
    )
    path.write_text(text)
    return {"path": str(path), "charts": len(charts), "bytes": len(text.encode())}


def highlights(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The numbers at the top of the page, each with its label."""
    temperature, rain, wind = facts["temperature"], facts["rain"], facts["wind"]
    hottest, coldest = temperature["hottest"], temperature["coldest"]
    month, dry, windiest = rain["wettest_month"], rain["driest"], wind["windiest"]
    return [
        (f"{hottest['celsius']} °C", f"hottest day, {_day(hottest['date'])}"),
        (f"{coldest['celsius']} °C".replace("-", "−"), f"coldest night, {_day(coldest['date'])}"),
        (f"{temperature['trend']:+.2f} °C".replace("-", "−"), "a year: the trend of the annual means"),
        (str(temperature["hot_days"]), f"days of {temperature['hot_day']:g} °C or more"),
        (f"{month['millimetres']} mm", f"wettest month, {_month(month['month'])}"),
        (f"{rain['wettest_day']['millimetres']} mm", f"wettest day, {_day(rain['wettest_day']['date'])}"),
        (f"{dry['days']} days", f"longest without a rain day, to {_day(dry['to'])}"),
        (f"{windiest['metres_per_second']} m/s", f"windiest day, {_day(windiest['date'])}"),
    ]


def yearly_table(connection: sqlite3.Connection) -> str:
    """The rows of the table of years."""
    rows = connection.execute(
        """
        SELECT t.year, round(t.mean, 1), t.hot, r.days, round(r.millimetres) FROM
          (SELECT substr(month, 1, 4) AS year, avg((mean_high + mean_low) / 2) AS mean, sum(hot_days) AS hot
           FROM temperature GROUP BY year) AS t
          JOIN (SELECT substr(month, 1, 4) AS year, sum(rain_days) AS days, sum(millimetres) AS millimetres
                FROM rain GROUP BY year) AS r ON r.year = t.year
        ORDER BY t.year
        """
    )
    return "\n".join(
        f"<tr><th>{year}</th><td>{mean:.1f} °C</td><td>{hot}</td><td>{days}</td><td>{millimetres:,.0f} mm</td></tr>"
        for year, mean, hot, days, millimetres in rows
    )


def temperature_chart(connection: sqlite3.Connection) -> str:
    """Mean high and low of every month, as lines over the years."""
    rows = connection.execute("SELECT month, mean_high, mean_low FROM temperature ORDER BY month").fetchall()
    chart = pygal.Line(
        **_settings("#d1495b", "#2f6db5"),
        show_dots=False,
        interpolate="cubic",
        y_title="°C",
        show_minor_x_labels=False,
        interpolation_precision=6,
        truncate_label=-1,
    )
    chart.x_labels = [_month(month) for month, _, _ in rows]
    chart.x_labels_major = [_month(month) for month, _, _ in rows if month.endswith(("-01", "-07"))]
    chart.add("mean daily high", [high for _, high, _ in rows])
    chart.add("mean nightly low", [low for _, _, low in rows])
    return _svg(chart)


def rain_chart(connection: sqlite3.Connection) -> str:
    """Rain by month of the year: the mean of the years."""
    rows = connection.execute(
        "SELECT substr(month, 6, 2), avg(millimetres) FROM rain GROUP BY substr(month, 6, 2) ORDER BY 1"
    ).fetchall()
    chart = pygal.Bar(
        **_settings("#2f6db5"), show_legend=False, y_title="mm in a mean month", spacing=12, rounded_bars=3
    )
    chart.x_labels = [_MONTHS[int(month) - 1] for month, _ in rows]
    chart.add("rain", [round(millimetres, 1) for _, millimetres in rows])
    return _svg(chart)


def kinds_chart(connection: sqlite3.Connection, kinds: list[str]) -> str:
    """Days of each kind in a mean year, stacked, one bar a month."""
    days = {(month, kind): n for month, kind, n in connection.execute("SELECT month, kind, days FROM kinds")}
    chart = pygal.StackedBar(**_settings(*(COLOURS[kind] for kind in kinds)), y_title="days", spacing=12)
    chart.x_labels = _MONTHS
    chart.y_labels = [0, 10, 20, 30]
    for kind in kinds:
        chart.add(kind, [days[month, kind] for month in range(1, 13)])
    return _svg(chart)


def _settings(*colours: str) -> dict[str, Any]:
    style = Style(
        background="transparent",
        plot_background="transparent",
        foreground="#5b6470",
        foreground_strong="#2b323b",
        foreground_subtle="#dde2e8",
        guide_stroke_color="#e3e8ed",
        major_guide_stroke_color="#e3e8ed",
        guide_stroke_dasharray="1,0",
        major_guide_stroke_dasharray="1,0",
        stroke_width="2.5",
        stroke_opacity="1",
        opacity="1",
        opacity_hover=".8",
        colors=colours,
        font_family="system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif",
        label_font_size=14,
        major_label_font_size=14,
        legend_font_size=15,
        title_font_size=15,
        tooltip_font_size=14,
    )
    return {
        "style": style,
        "width": 920,
        "height": 340,
        "margin": 12,
        "js": [],  # the page works without a network
        "legend_at_bottom": True,
        "legend_at_bottom_columns": len(colours),
        "legend_box_size": 12,
        "disable_xml_declaration": True,
        "show_y_guides": True,
    }


def _svg(chart: Any) -> str:
    return str(chart.render(is_unicode=True))


def _day(text: str) -> str:
    day = date.fromisoformat(text)
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def _month(text: str) -> str:
    return f"{_MONTHS[int(text[5:7]) - 1]} {text[:4]}"
