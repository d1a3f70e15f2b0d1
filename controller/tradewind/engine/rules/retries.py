"""The delay before the next try of a task."""

import hashlib
import math
from datetime import timedelta

from tradewind.api.resolve import RetryPolicy


def retry_delay(policy: RetryPolicy, identity: str, failures: int) -> timedelta:
    """The delay after the `failures`-th failed try (from 1).

    With a backoff factor m the delay is in [base, 2·base), base = ceil(delay·m^(failures-1)) seconds. A hash of
    `identity` (run, task and try) is the jitter: the same after a restart, different for each task.
    """
    if policy.backoff is None:
        return min(policy.delay, policy.max_delay)
    longest = policy.max_delay.total_seconds()
    exponent = min(failures - 1, 1024)
    try:
        base = min(math.ceil(policy.delay.total_seconds() * policy.backoff**exponent), longest)
    except OverflowError:
        base = longest
    digest = hashlib.sha256(f"{identity}/{failures}".encode()).digest()
    fraction = int.from_bytes(digest[:6]) / 2**48
    return timedelta(seconds=min(base * (1 + fraction), longest))


def postpone_delay(times: int) -> timedelta:
    """The delay before creating a Pod is retried after `times` failures in a row: 2 s, doubling up to a minute."""
    return timedelta(seconds=min(2.0 * 2.0 ** min(max(times - 1, 0), 10), 60.0))
