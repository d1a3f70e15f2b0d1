"""Draw docs/drawings/NAME.svg from docs/drawings/NAME.yaml: boxes on a grid, and arrows between them.

    python docs/drawings.py           # draw all
    python docs/drawings.py --check   # draw nothing; exit 1 if a drawing is out of date

A drawing has `cell` (width and height of a place on the grid), `boxes` and `arrows`. A box is `at: [column, row]`, may
be `size: [columns, rows]`, and has `text` (the first line is bold) and a `kind`: part, data, outside, state, bad or
frame (a box around others, with its text at the bottom). An arrow is `FROM -> TO` or `FROM <-> TO` with its text; it
leaves and enters in the middle of the sides that face each other. `shift` moves it along those, `bend: across` lets it
begin sideways where boxes are neither above nor beside each other, `label: [x, y]` moves its text.
"""

import argparse
import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "drawings"
GAP = [34, 40]
"""Between two boxes, horizontally and vertically."""
LINE, MARGIN = 17, 16
FRAME = 10
"""Between a frame and what is in it; its text has a line more."""
LETTERS = {"head": 7.8, "note": 6.4, "label": 6.7}
"""Width of a letter by style, in a wide font, on average."""

STYLE = """
.page{fill:#fff} text{font:13px system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif;fill:#1f2328}
.head{font-weight:600} .note{font-size:12px;fill:#59636e}
.label{font-size:12px;fill:#59636e}
rect{stroke-width:1.3} .part{fill:#ddf4ff;stroke:#0969da} .data{fill:#fff8c5;stroke:#9a6700}
.outside{fill:#f6f8fa;stroke:#818b98} .state{fill:#dafbe1;stroke:#1a7f37} .bad{fill:#ffebe9;stroke:#cf222e}
.frame{fill:none;stroke:#818b98;stroke-dasharray:5 4}
path{fill:none;stroke:#59636e;stroke-width:1.4} .tip{fill:#59636e;stroke:none}
@media (prefers-color-scheme:dark){
.page{fill:#0d1117} text{fill:#f0f6fc} .note{fill:#9198a1} .label{fill:#9198a1}
.part{fill:#0c2d6b;stroke:#4493f8} .data{fill:#3a2b00;stroke:#d29922} .outside{fill:#151b23;stroke:#656c76}
.state{fill:#04260f;stroke:#3fb950} .bad{fill:#3c0b0b;stroke:#f85149} .frame{stroke:#656c76}
path{stroke:#9198a1} .tip{fill:#9198a1}
}
"""

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A box in pixels."""

    kind: str
    lines: list[str]
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> Point:
        return self.x + self.width / 2, self.y + self.height / 2


def draw(drawing: dict[str, Any]) -> str:
    """The SVG of a drawing."""
    boxes = {name: _box(facts, drawing["cell"]) for name, facts in drawing["boxes"].items()}
    width = max(box.right for box in boxes.values()) + MARGIN
    height = max(box.bottom for box in boxes.values()) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img">',
        f"<title>{escape(drawing['title'])}</title><style>{STYLE}</style>",
        f'<rect class="page" width="{width:g}" height="{height:g}" rx="6"/>',
    ]
    parts += [_rectangle(box) for box in boxes.values()]
    arrows = [_Arrow(text, facts, boxes) for each in drawing["arrows"] for text, facts in each.items()]
    parts += [arrow.line() for arrow in arrows]
    parts += filter(None, (arrow.label() for arrow in arrows))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _box(facts: dict[str, Any], cell: list[int]) -> Box:
    (column, row), (columns, rows) = facts["at"], facts.get("size", (1, 1))
    x, y = MARGIN + column * (cell[0] + GAP[0]), MARGIN + row * (cell[1] + GAP[1])
    width, height = columns * cell[0] + (columns - 1) * GAP[0], rows * cell[1] + (rows - 1) * GAP[1]
    kind = facts.get("kind", "part")
    if kind == "frame":
        x, y, width, height = x - FRAME, y - FRAME, width + 2 * FRAME, height + 2 * FRAME + LINE
    return Box(kind, facts["text"].strip().splitlines(), x, y, width, height)


def _rectangle(box: Box) -> str:
    parts = [
        f'<rect class="{box.kind}" x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="6"/>'
    ]
    x, y = box.middle[0], box.middle[1] - LINE * (len(box.lines) - 1) / 2 + 4.5
    anchor = "middle"
    if box.kind == "frame":
        x, y, anchor = box.x + FRAME, box.bottom - FRAME, "start"
    for number, line in enumerate(box.lines):
        style = "note" if number else "head"
        if len(line) * LETTERS[style] > box.width:
            raise SystemExit(f"{line!r} is too wide for its box: shorten it, or make the cells wider")
        parts.append(
            f'<text class="{style}" x="{x:g}" y="{y + LINE * number:g}" text-anchor="{anchor}">{escape(line)}</text>'
        )
    return "\n".join(parts)


class _Arrow:
    """A line from box to box in one or two straight pieces."""

    def __init__(self, text: str, facts: str | dict[str, Any], boxes: dict[str, Box]) -> None:
        facts = {"text": facts} if isinstance(facts, str) else facts
        self._both = "<->" in text
        start, end = (boxes[name.strip()] for name in text.split("<->" if self._both else "->"))
        self._lines = facts.get("text", "").strip().splitlines()
        self._moved = facts.get("label", (0, 0))
        self._points = _route(start, end, facts.get("shift", 0), facts.get("bend") == "across")

    def line(self) -> str:
        path = "M" + " L".join(f"{x:g} {y:g}" for x, y in self._points)
        tips = [_tip(self._points[-2], self._points[-1])]
        if self._both:
            tips.append(_tip(self._points[1], self._points[0]))
        return f'<path d="{path}"/>' + "".join(tips)

    def label(self) -> str:
        (ax, ay), (bx, by) = max(zip(self._points, self._points[1:], strict=False), key=_length)
        x, y = (ax + bx) / 2 + self._moved[0], (ay + by) / 2 + self._moved[1]
        width, height = max(map(len, self._lines), default=0) * LETTERS["label"], (LINE - 2) * len(self._lines)
        parts = [
            f'<rect class="page" x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" height="{height:g}"/>'
        ]
        for number, line in enumerate(self._lines):
            at = y - height / 2 + (LINE - 2) * number + 11.5
            parts.append(f'<text class="label" x="{x:g}" y="{at:g}" text-anchor="middle">{escape(line)}</text>')
        return "\n".join(parts) if self._lines else ""


def _length(piece: tuple[Point, Point]) -> float:
    (ax, ay), (bx, by) = piece
    return abs(ax - bx) + abs(ay - by)


def _route(start: Box, end: Box, shift: float, across: bool) -> list[Point]:
    left, right = max(start.x, end.x), min(start.right, end.right)
    top, bottom = max(start.y, end.y), min(start.bottom, end.bottom)
    if left < right:
        x = (left + right) / 2 + shift
        return [(x, start.bottom), (x, end.y)] if start.bottom <= end.y else [(x, start.y), (x, end.bottom)]
    if top < bottom:
        y = (top + bottom) / 2 + shift
        return [(start.right, y), (end.x, y)] if start.right <= end.x else [(start.x, y), (end.right, y)]
    if across:
        x, y = end.middle[0] + shift, start.middle[1]
        beside = start.right if start.right <= end.x else start.x
        return [(beside, y), (x, y), (x, end.y if start.bottom <= end.y else end.bottom)]
    x, y = start.middle[0] + shift, end.middle[1]
    beyond = start.bottom if start.bottom <= end.y else start.y
    return [(x, beyond), (x, y), (end.x if start.right <= end.x else end.right, y)]


def _tip(before: Point, at: Point) -> str:
    dx, dy = at[0] - before[0], at[1] - before[1]
    length = (dx * dx + dy * dy) ** 0.5 or 1
    ux, uy = dx / length * 9, dy / length * 9
    wings = [(at[0] - ux - uy / 2, at[1] - uy + ux / 2), (at[0] - ux + uy / 2, at[1] - uy - ux / 2)]
    return '<path class="tip" d="M' + " L".join(f"{x:g} {y:g}" for x, y in (at, *wings)) + ' Z"/>'


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="draw nothing; exit 1 if a drawing is out of date")
    check = parser.parse_args().check
    stale = False
    for source in sorted(FOLDER.glob("*.yaml")):
        path, text = source.with_suffix(".svg"), draw(yaml.safe_load(source.read_text()))
        if path.exists() and path.read_text() == text:
            continue
        stale = True
        if check:
            print(f"{path} is out of date: run `make generate`", file=sys.stderr)
        else:
            path.write_text(text)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
