"""The limit on writes in flight: the writer's concurrency, or less while the server is overloaded."""

from __future__ import annotations

from tradewind.kube.clock import Clock


class Throttle:
    """Slots whose number is halved when the server responds with 429, and grows by one per full round of successes.

    Every 429 also pauses all slots: other workers that continue do not help a server that sheds load.
    """

    def __init__(self, concurrency: int, clock: Clock, *, default_pause: float = 1.0) -> None:
        self._concurrency = concurrency
        self._clock = clock
        self._default_pause = default_pause
        self._limit = float(concurrency)
        self._paused_until = 0.0
        self.in_flight = 0

    @property
    def limit(self) -> int:
        """The current number of slots, at least one."""
        return int(self._limit)

    @property
    def pause_left(self) -> float:
        """Seconds until requests may be sent; 0 if now."""
        return max(0.0, self._paused_until - self._clock.monotonic())

    def acquire(self) -> bool:
        """Take a slot; False if none is free."""
        if self.in_flight >= self.limit or self.pause_left:
            return False
        self.in_flight += 1
        return True

    def release(self) -> None:
        self.in_flight -= 1

    def slow_down(self, retry_after: float | None) -> None:
        """Reduce the limit and pause after a 429."""
        if not self.pause_left:
            # Requests in flight at the same time are rejected together: this is one signal, not many.
            self._limit = max(1.0, self._limit / 2)
        pause = self._default_pause if retry_after is None else retry_after
        self._paused_until = max(self._paused_until, self._clock.monotonic() + pause)

    def speed_up(self) -> None:
        """Increase the limit after a success."""
        self._limit = min(float(self._concurrency), self._limit + 1 / self._limit)
