"""Namespaces whose quota is full: one try in each asks from time to time, the others wait without asking."""

from dataclasses import dataclass

from tradewind.kube.clock import Clock
from tradewind.kube.errors import ApiError

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 15.0
"""Seconds between two questions, the first and at most."""
_BEFORE_THE_REASON = " is forbidden: "


@dataclass(slots=True)
class _Full:
    message: str
    until: float
    pause: float = FIRST_PAUSE
    asking: bool = False


class Quotas:
    """What the API server said of the quotas of namespaces."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._full: dict[str, _Full] = {}

    def full(self, namespace: str) -> str | None:
        """Why no Pod is to be asked for now; None for who may ask."""
        found = self._full.get(namespace)
        if found is None:
            return None
        now = self._clock.monotonic()
        if now < found.until:
            return found.message
        # Should nothing come of it, another one asks after the same pause.
        found.until, found.asking = now + found.pause, True
        return None

    def refused(self, namespace: str, error: ApiError) -> str:
        """The API server refused a Pod: why, without whose Pod it was."""
        message = error.message.partition(_BEFORE_THE_REASON)[2] or error.message
        now = self._clock.monotonic()
        found = self._full.get(namespace)
        if found is None:
            self._full[namespace] = _Full(message, now + FIRST_PAUSE)
        elif found.asking:
            # Those that were asked for at the same time are refused together: that is one answer, not many.
            found.message, found.asking = message, False
            found.pause = min(found.pause * 2, LONGEST_PAUSE)
            found.until = now + found.pause
        return message

    def made(self, namespace: str) -> None:
        """There was room for a Pod: there may be more."""
        self._full.pop(namespace, None)
