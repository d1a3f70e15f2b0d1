"""Simple JSON paths, as in `kubectl wait --for=jsonpath=…`: `.status.phase`, `{.status.conditions[0].status}`."""

import re

_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[([0-9]{1,6})\]")


def parse_json_path(text: str) -> tuple[str | int, ...]:
    """Return the fields and positions to follow: `("status", "conditions", 0, "status")`. Raises ValueError with an
    example if `text` is not such a path."""
    inner = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    steps: list[str | int] = []
    at = 0
    while at < len(inner):
        step = _STEP.match(inner, at)
        if step is None:
            break
        steps.append(step[1] if step[1] is not None else int(step[2]))
        at = step.end()
    if at < len(inner) or not steps:
        raise ValueError(f"{text!r} is not a path: write names and positions, as in .status.phase or .items[0].name")
    return tuple(steps)
