"""Delays between attempts."""

from __future__ import annotations

import random


class Backoff:
    """Exponential backoff with jitter: attempt n waits base·2ⁿ seconds, at most `limit`, times 0.5 to 1.

    The jitter prevents many clients that lost the same server from reconnecting in step.
    """

    def __init__(self, base: float, limit: float, *, rng: random.Random | None = None) -> None:
        self._base = base
        self._limit = limit
        self._rng = rng  # created on demand: most attempts need no retry
        self._attempt = 0

    def next(self, at_least: float | None = None) -> float:
        """Return the seconds to wait now. `at_least` is the minimum that the server requested (Retry-After)."""
        # The exponent is limited so that a server that is down for days cannot overflow the float.
        delay = min(self._limit, self._base * 2.0 ** min(self._attempt, 32))
        self._attempt += 1
        self._rng = self._rng or random.Random()
        delay *= 0.5 + self._rng.random() / 2
        return max(delay, at_least) if at_least is not None else delay

    def reset(self) -> None:
        """Start over after a successful attempt."""
        self._attempt = 0
