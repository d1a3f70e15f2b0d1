"""How much a writer may have in flight: all of its concurrency, or less while the server asks for it."""

from __future__ import annotations

from tradewind.kube.clock import Clock


class Throttle:
    """Slots that shrink by half when the server answers 429 and grow back by one per full round of successes.

    Every 429 also pauses all of them: a server that sheds load is not helped by the other workers going on.
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
        """Slots there are now, at least one."""
        return int(self._limit)

    @property
    def pause_left(self) -> float:
        """Seconds until anything may be sent; 0 if now."""
        return max(0.0, self._paused_until - self._clock.monotonic())

    def acquire(self) -> bool:
        """Take a slot if there is one."""
        if self.in_flight >= self.limit or self.pause_left:
            return False
        self.in_flight += 1
        return True

    def release(self) -> None:
        self.in_flight -= 1

    def slow_down(self, retry_after: float | None) -> None:
        """The server answered 429."""
        if not self.pause_left:
            # The requests that were in flight together are refused together: that is one sign, not many.
            self._limit = max(1.0, self._limit / 2)
        pause = self._default_pause if retry_after is None else retry_after
        self._paused_until = max(self._paused_until, self._clock.monotonic() + pause)

    def speed_up(self) -> None:
        """The server answered a request in full."""
        self._limit = min(float(self._concurrency), self._limit + 1 / self._limit)
