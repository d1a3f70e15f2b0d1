"""Names that there are, and what to say of one that is not among them."""

import difflib
from collections.abc import Iterable

_MOST_HINTS = 20
"""Similar names are looked for so often; each search goes through all names, and few problems are shown."""


class Known:
    """The names of one kind of thing: `Known("task", ["extract"]).unknown("extrct")`."""

    def __init__(self, what: str, names: Iterable[str]) -> None:
        self._what = what
        self._names = list(dict.fromkeys(names))
        self._set = frozenset(self._names)
        self._hints = _MOST_HINTS

    def __contains__(self, name: str) -> bool:
        return name in self._set

    def __bool__(self) -> bool:
        return bool(self._names)

    def near(self, name: str) -> str | None:
        """The name that is most like `name`, if there is one."""
        if not self._hints:
            return None
        self._hints -= 1
        return next(iter(difflib.get_close_matches(name, self._names, n=1)), None)

    def unknown(self, name: str) -> str:
        """The message for a name that does not exist, with the nearest one that does."""
        near = self.near(name)
        return f"there is no {self._what} {name!r}" + (f"; did you mean {near!r}?" if near else "")
