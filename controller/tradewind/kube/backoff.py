"""How long to wait before the next attempt."""

from __future__ import annotations

import random


class Backoff:
    """Exponential back-off, jittered: attempt n waits base·2ⁿ seconds, at most `limit`, times 0.5 to 1.

    The jitter keeps many clients that lost the same server from coming back in step.
    """

    def __init__(self, base: float, limit: float, *, rng: random.Random | None = None) -> None:
        self._base = base
        self._limit = limit
        self._rng = rng  # made when it is needed: most attempts are the only one
        self._attempt = 0

    def next(self, at_least: float | None = None) -> float:
        """Seconds to wait now. `at_least` is what the server asked for (Retry-After)."""
        # The exponent is bounded so that a server that is away for days cannot overflow the float.
        delay = min(self._limit, self._base * 2.0 ** min(self._attempt, 32))
        self._attempt += 1
        self._rng = self._rng or random.Random()
        delay *= 0.5 + self._rng.random() / 2
        return max(delay, at_least) if at_least is not None else delay

    def reset(self) -> None:
        """The last attempt went well."""
        self._attempt = 0
