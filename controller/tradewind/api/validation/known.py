"""Known names, and the message for an unknown name."""

import difflib
from collections.abc import Iterable

_MOST_HINTS = 20
"""The maximum number of searches for a similar name: each goes through all names, and only few problems are shown."""


class Known:
    """The names of one kind of object: `Known("task", ["extract"]).unknown("extrct")`."""

    def __init__(self, kind: str, names: Iterable[str]) -> None:
        self._kind = kind
        self._names = list(dict.fromkeys(names))
        self._set = frozenset(self._names)
        self._hints = _MOST_HINTS

    def __contains__(self, name: str) -> bool:
        return name in self._set

    def __bool__(self) -> bool:
        return bool(self._names)

    def near(self, name: str) -> str | None:
        """Return the most similar name, if any."""
        if not self._hints:
            return None
        self._hints -= 1
        return next(iter(difflib.get_close_matches(name, self._names, n=1)), None)

    def unknown(self, name: str) -> str:
        """Return the message for a name that does not exist, with the most similar one that does."""
        near = self.near(name)
        return f"no {self._kind} named {name!r}" + (f"; did you mean {near!r}?" if near else "")
