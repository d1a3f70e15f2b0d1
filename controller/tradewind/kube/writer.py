"""Sends writes to the API server: many at once, never two of one object, and slower when the server asks for it.

- Writes of one object are sent in the order of their submission. Writes of different objects are ordered by priority,
  without starvation: a share of the slots goes to the oldest write.
- A write that may succeed later (429, 5xx, no response) is retried with backoff for a limited time. A 429 slows down
  all writes. Any other response goes to the caller: a create that is retried after a missing response may get
  AlreadyExists, because only the caller knows whether the object is its own.
- Cancel the future of a write that was not sent yet to withdraw it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Unpack

from tradewind.kube import writes
from tradewind.kube.backoff import Backoff
from tradewind.kube.client import PAGE_LIMIT, ApiClient
from tradewind.kube.clock import SYSTEM_CLOCK, Clock
from tradewind.kube.errors import ApiError, KubeError, SteppedDown
from tradewind.kube.resources import Resource
from tradewind.kube.throttle import Throttle
from tradewind.kube.writes import MERGE_PATCH, Priority, Write

Answer = dict[str, Any]
SHARE = 4
"""One of this many writes is the oldest waiting one, whatever its priority, …"""
PATIENCE = 1.0
"""… if it has waited for at least this many seconds."""


class WriterStopped(SteppedDown):
    """The writer accepts no more writes, or was stopped before the response arrived."""


class NotWanted(KubeError):  # noqa: N818 - not an error: what was to be written is of no use any more
    """`Write.wanted` returned False before the write was sent or retried."""


class Writer:
    """Limited, ordered, prioritised writes. It needs no task of its own: it runs while there are writes."""

    def __init__(
        self,
        client: ApiClient,
        *,
        concurrency: int = 32,
        retry_for: float = 60.0,
        before_send: Callable[[], None] | None = None,
        observe: Callable[[str, str, str, float], None] | None = None,
        field_manager: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`retry_for`: seconds after the first attempt during which transient failures are retried.

        `before_send` is called before every attempt; an exception from it becomes the result of the write, so that a
        replica that is no longer leader stops writing. `observe(verb, resource, code, seconds)` is called after every
        attempt, for metrics. `field_manager` is the name in `managedFields`.
        """
        self.writes: dict[tuple[str, str, str], int] = {}
        """Attempts by (verb, resource[/subresource], HTTP code or the name of the exception)."""
        self.retries = 0
        self.queued = 0
        """Number of unfinished writes, including those in flight."""
        self._client = client
        self._throttle = Throttle(concurrency, clock)
        self._retry_for = retry_for
        self._before_send = before_send
        self._observe = observe
        self._field_manager = field_manager
        self._clock = clock
        # The writes of one object: the first is ready, in flight or backing off; the others wait for it.
        self._lanes: dict[tuple[str, ...], deque[_Pending]] = {}
        self._ready: list[tuple[int, int, _Pending]] = []
        """(priority, sequence number, write)"""
        self._waiting: deque[_Pending] = deque()
        """The same writes in the order in which they became ready. Both keep entries that were taken from the other
        until they come to the front."""
        self._taken = 0
        self._sequence = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pausing: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._accepting = True

    async def create(
        self,
        resource: Resource,
        namespace: str | None,
        body: Mapping[str, Any],
        **options: Unpack[writes.CreateOptions],
    ) -> Answer:
        """Create an object; options as in `writes.create`.

        Raises ApiError (`is_already_exists`) also if an earlier attempt of this call, without a response, created it.
        """
        return await self.submit(writes.create(resource, namespace, body, **options))

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Any,
        **options: Unpack[writes.PatchOptions],
    ) -> Answer:
        """Patch an object or its subresource (a merge patch by default); options as in `writes.patch`."""
        return await self.submit(writes.patch(resource, namespace, name, body, **options))

    async def replace(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        **options: Unpack[writes.ReplaceOptions],
    ) -> Answer:
        """Replace an object or its subresource; options as in `writes.replace`."""
        return await self.submit(writes.replace(resource, namespace, name, body, **options))

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, **options: Unpack[writes.DeleteOptions]
    ) -> Answer:
        """Delete an object; options as in `writes.delete`. Raises ApiError (`is_not_found`) if it does not exist."""
        return await self.submit(writes.delete(resource, namespace, name, **options))

    async def delete_collection(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        limit: int = PAGE_LIMIT,
        **options: Unpack[writes.DeleteCollectionOptions],
    ) -> int:
        """Delete all matching objects, `limit` per request; options as in `writes.delete_collection`.

        Thousands in one request exceed the server's timeout. Return the number of objects that were deleted, or only
        marked for deletion because of a finalizer or a grace period.
        """
        deleted = 0
        token = ""
        while True:
            write = writes.delete_collection(resource, namespace, limit=limit, continue_token=token, **options)
            try:
                page = await self.submit(write)
            except ApiError as error:
                if not (error.is_gone and token):
                    raise
                # Deleted objects are not listed again, so starting over costs nothing.
                token = ""
                continue
            deleted += len(page.get("items") or ())
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return deleted

    def submit(self, write: Write) -> asyncio.Future[Answer]:
        """Queue a write; the future gets the decoded response, ApiError, Unreachable or WriterStopped."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if not self._accepting:
            future.set_exception(WriterStopped("the writer accepts no more writes"))
            return future
        pending = _Pending(write, future, next(self._sequence), Backoff(0.25, 15.0), self._clock.monotonic())
        self.queued += 1
        self._idle.clear()
        lane = self._lanes.setdefault(write.key, deque())
        lane.append(pending)
        if len(lane) == 1:
            self._make_ready(pending)
            self._dispatch()
        return future

    @property
    def in_flight(self) -> int:
        return self._throttle.in_flight

    @property
    def slots(self) -> int:
        """The maximum number of writes in flight: less while the server is overloaded."""
        return self._throttle.limit

    async def drain(self, timeout: float) -> bool:
        """Accept no more writes and finish the queued ones; False if `timeout` seconds did not suffice."""
        self._accepting = False
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Accept no more writes and fail the queued ones with WriterStopped.

        It is unknown whether writes in flight took effect.
        """
        self._accepting = False
        tasks = [*self._tasks, *([self._pausing] if self._pausing else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lane in self._lanes.values():
            for pending in lane:
                pending.fail(WriterStopped("the writer was stopped"))
        self._lanes.clear()
        self._ready.clear()
        self._waiting.clear()
        self.queued = 0
        self._idle.set()

    # ---- the queue

    def _make_ready(self, pending: _Pending) -> None:
        pending.ready = True
        heapq.heappush(self._ready, (pending.write.priority, pending.sequence, pending))
        self._waiting.append(pending)

    def _first(self) -> _Pending | None:
        """Return the next ready write."""
        while self._ready and not self._ready[0][2].ready:
            heapq.heappop(self._ready)
        while self._waiting and not self._waiting[0].ready:
            self._waiting.popleft()
        if not self._ready:
            return None
        oldest = self._waiting[0]
        if self._taken % SHARE == 0 and self._clock.monotonic() - oldest.since > PATIENCE:
            return oldest
        return self._ready[0][2]

    def _take(self, pending: _Pending) -> _Pending:
        pending.ready = False
        self._taken += 1
        return pending

    def _dispatch(self) -> None:
        """Start the most urgent writes, up to the number of free slots."""
        while (first := self._first()) is not None:
            if first.future.cancelled():
                self._finish(self._take(first))
            elif self._throttle.acquire():
                task = asyncio.create_task(self._attempt(self._take(first)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                if self._throttle.pause_left and self._pausing is None:
                    self._pausing = asyncio.create_task(self._resume())
                return

    async def _resume(self) -> None:
        while pause := self._throttle.pause_left:
            await self._clock.sleep(pause)
        self._pausing = None
        self._dispatch()

    def _finish(self, pending: _Pending) -> None:
        """Remove the finished first write of its object, and make the next one ready."""
        self.queued -= 1
        lane = self._lanes[pending.write.key]
        lane.popleft()
        if lane:
            self._make_ready(lane[0])
            return
        del self._lanes[pending.write.key]
        if not self._lanes:
            self._idle.set()

    # ---- one attempt

    async def _attempt(self, pending: _Pending) -> None:
        try:
            answer = await self._send(pending)
        except Exception as error:
            delay = self._retry_delay(pending, error)
            self._throttle.release()
            if delay is not None:
                # Other writes use the slot meanwhile: objects whose webhook is down must not block the rest.
                self.retries += 1
                if pending.write.delayed is not None and not _is_everywhere(error):
                    pending.write.delayed()
                self._dispatch()
                await self._clock.sleep(delay)
                self._make_ready(pending)
            else:
                pending.fail(error)
                self._finish(pending)
        else:
            self._throttle.speed_up()
            self._throttle.release()
            if not pending.future.done():
                pending.future.set_result(answer)
            self._finish(pending)
        self._dispatch()

    async def _send(self, pending: _Pending) -> Answer:
        write = pending.write
        if self._before_send is not None:
            self._before_send()
        if write.wanted is not None and not write.wanted():
            raise NotWanted(f"{write.verb} {write.path}: no longer needed")
        started = self._clock.monotonic()
        if pending.give_up_at is None:
            retry_for = self._retry_for if write.retry_for is None else write.retry_for
            pending.give_up_at = started + retry_for
        params = write.params
        if self._field_manager is not None and write.method != "DELETE":
            params = {**(params or {}), "fieldManager": self._field_manager}
        code = "200"
        try:
            return await self._client.request(
                write.method,
                write.path,
                params=params,
                body=write.body,
                content_type=write.content_type,
                partial=write.partial,
                timeout=write.timeout,
            )
        except BaseException as error:
            code = str(error.status) if isinstance(error, ApiError) else type(error).__name__
            raise
        finally:
            self._count(write, code, self._clock.monotonic() - started)

    def _retry_delay(self, pending: _Pending, error: Exception) -> float | None:
        """Return the seconds until the next attempt; None if the error is final."""
        if not isinstance(error, KubeError) or not error.is_transient:
            return None
        retry_after = error.retry_after if isinstance(error, ApiError) else None
        refused = isinstance(error, ApiError) and error.status in (401, 409, 429)
        if isinstance(error, ApiError) and error.is_too_many_requests:
            self._throttle.slow_down(retry_after)
        if pending.future.cancelled() or not (refused or pending.write.repeatable):
            return None
        delay = pending.backoff.next(retry_after)
        if pending.give_up_at is None or self._clock.monotonic() + delay > pending.give_up_at:
            return None
        return delay

    def _count(self, write: Write, code: str, seconds: float) -> None:
        plural = write.resource.plural
        resource = f"{plural}/{write.subresource}" if write.subresource else plural
        label = (write.verb, resource, code)
        self.writes[label] = self.writes.get(label, 0) + 1
        if self._observe is not None:
            self._observe(write.verb, resource, code, seconds)


def _is_everywhere(error: Exception) -> bool:
    """True if all other writes would get the same error."""
    return isinstance(error, ApiError) and error.is_too_many_requests


@dataclass(slots=True)
class _Pending:
    write: Write
    future: asyncio.Future[Answer]
    sequence: int
    backoff: Backoff
    since: float
    """Time of its submission."""
    ready: bool = False
    """True if it only waits for a slot."""
    give_up_at: float | None = None

    def fail(self, error: Exception) -> None:
        """Fail the future. Expected errors are stored without their traceback: that refers to the future, and the cycle
        would keep alive the objects of its caller."""
        if not self.future.done():
            self.future.set_exception(error.with_traceback(None) if isinstance(error, KubeError) else error)


__all__ = ["MERGE_PATCH", "NotWanted", "Priority", "Write", "Writer", "WriterStopped"]
