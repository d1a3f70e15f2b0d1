"""An SVG of the figures, each beside its goal. A few bars need no library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

ROW, LEFT, WIDTH, RIGHT = 26, 190, 420, 250
_STYLE = """
text{font:13px system-ui,sans-serif;fill:#222} .small{font-size:11px;fill:#666} .bar{fill:#4c8bf5} .missed{fill:#e0862f}
.reach{stroke:#222;stroke-width:1.5;stroke-dasharray:3 2}
@media (prefers-color-scheme:dark){text{fill:#ddd} .small{fill:#999} .reach{stroke:#ddd}}
"""


def svg(kept: Iterable[Mapping[str, Any]]) -> str:
    """Bars: the dashed line is the goal; all bars are scaled to the same goal."""
    shown = [record for record in kept if record["reach"]]
    line = LEFT + WIDTH * 0.6
    height = ROW * (len(shown) + 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + RIGHT}" height="{height}" role="img">',
        f"<title>Figures of make bench</title><style>{_STYLE}</style>",
    ]
    for place, record in enumerate(shown):
        sign, _, reach = record["reach"].partition(" ")
        length = min(1.0, record["value"] / float(reach) * 0.6 if float(reach) else float(record["value"])) * WIDTH
        y = ROW * (place + 1)
        kind = "bar" if record["met"] else "bar missed"
        said = f"{record['value']:.3g} ({sign} {reach}) {record['unit']}"
        parts += [
            f'<text x="{LEFT - 10}" y="{y + 14}" text-anchor="end">{escape(record["workload"])}</text>',
            f'<rect class="{kind}" x="{LEFT}" y="{y + 2}" width="{max(1.0, length):.0f}" height="{ROW - 9}" rx="2"/>',
            f'<text class="small" x="{LEFT + WIDTH + 10}" y="{y + 14}">{escape(said)}</text>',
        ]
    bottom = ROW * (len(shown) + 1)
    parts += [
        f'<line class="reach" x1="{line:.0f}" x2="{line:.0f}" y1="{ROW - 4}" y2="{bottom}"/>',
        f'<text class="small" x="{line:.0f}" y="{ROW - 10}" text-anchor="middle">goal (≥: at least, ≤: at most)</text>',
        "</svg>\n",
    ]
    return "\n".join(parts)
