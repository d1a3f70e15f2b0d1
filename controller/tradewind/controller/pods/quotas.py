"""Namespaces whose quota is used up: one try at a time attempts to create its Pod, the others wait."""

from dataclasses import dataclass

from tradewind.kube.clock import Clock
from tradewind.kube.errors import ApiError

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 15.0
"""First and longest pause between two attempts, in seconds."""
_BEFORE_THE_REASON = " is forbidden: "


@dataclass(slots=True)
class _Full:
    message: str
    until: float
    pause: float = FIRST_PAUSE
    asking: bool = False


class Quotas:
    """The last answers of the API server about the quotas of namespaces."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._full: dict[str, _Full] = {}

    def full(self, namespace: str) -> str | None:
        """Return why no Pod can be created in a namespace now; None if the caller may try."""
        found = self._full.get(namespace)
        if found is None:
            return None
        now = self._clock.monotonic()
        if now < found.until:
            return found.message
        # If this attempt gets no answer, another one follows after the same pause.
        found.until, found.asking = now + found.pause, True
        return None

    def refused(self, namespace: str, error: ApiError) -> str:
        """Note that the API server refused a Pod; return its message without the name of the Pod."""
        message = error.message.partition(_BEFORE_THE_REASON)[2] or error.message
        now = self._clock.monotonic()
        found = self._full.get(namespace)
        if found is None:
            self._full[namespace] = _Full(message, now + FIRST_PAUSE)
        elif found.asking:
            # Simultaneous attempts are refused together and count as one.
            found.message, found.asking = message, False
            found.pause = min(found.pause * 2, LONGEST_PAUSE)
            found.until = now + found.pause
        return message

    def created(self, namespace: str) -> None:
        """Note that a Pod was created: the quota may have room for more."""
        self._full.pop(namespace, None)
