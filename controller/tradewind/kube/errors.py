"""What can go wrong between here and the API server.

`ApiError` is an answer of the server (a `Status` object); `Unreachable` is the lack of one. A caller that
can do something about a particular failure asks a predicate (`error.is_conflict`), never the message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

_ETCD_TOO_LARGE = "etcdserver: request is too large"


class KubeError(Exception):
    """Base of everything this package raises on purpose."""

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed if it is sent again a little later."""
        return False


class SteppedDown(KubeError):  # noqa: N818 - it is an end, not an error
    """This process may write no more: the next leader does what is left."""


class ConfigurationError(KubeError):
    """The kubeconfig or the in-cluster environment cannot be used; the message says what to change."""


class Unreachable(KubeError):  # noqa: N818 - reads as what it is, as NotFound would
    """No answer: refused, reset, cut off, TLS failure, or timed out. The request may have taken effect."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out

    @property
    def is_transient(self) -> bool:
        return True


class ApiError(KubeError):
    """The server's `Status`.

    `status` is the HTTP code, `reason` the machine-readable reason (`NotFound`, `Conflict`, …),
    `details` the `details` object (kind, name, causes), `retry_after` the seconds the server asks to wait.
    """

    def __init__(
        self,
        status: int,
        reason: str = "",
        message: str = "",
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{status} {reason}: {message}" if reason else f"{status}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.details: Mapping[str, Any] = details or {}
        self.retry_after = retry_after

    @classmethod
    def from_response(cls, status: int, body: bytes, retry_after: str | None = None) -> ApiError:
        """Read an answer of 400 or more; the body need not be a Status, for proxies answer too."""
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            document = None
        if isinstance(document, dict) and document.get("kind") == "Status":
            return cls.from_status(document, status=status, retry_after=retry_after)
        message = body[:300].decode("utf-8", "replace").strip()
        return cls(status, "", message, None, _seconds(retry_after))

    @classmethod
    def from_status(
        cls, document: Mapping[str, Any], *, status: int | None = None, retry_after: str | None = None
    ) -> ApiError:
        """Read a `Status` object, as answered or as delivered in an ERROR event of a watch."""
        details = document.get("details") or {}
        wait = _seconds(retry_after)
        if wait is None:
            wait = _seconds(details.get("retryAfterSeconds"))
        return cls(
            status if status is not None else int(document.get("code") or 500),
            str(document.get("reason") or ""),
            str(document.get("message") or ""),
            details,
            wait,
        )

    @property
    def is_bad_request(self) -> bool:
        return self.status == 400

    @property
    def is_unauthorized(self) -> bool:
        return self.status == 401

    @property
    def is_forbidden(self) -> bool:
        """Any 403: RBAC, but also quota and a terminating namespace (see the narrower predicates)."""
        return self.status == 403

    @property
    def is_quota_exceeded(self) -> bool:
        # The API has no reason of its own for it: admission answers Forbidden with this text.
        return self.status == 403 and "exceeded quota" in self.message

    @property
    def is_namespace_terminating(self) -> bool:
        return self.status == 403 and self.has_cause("NamespaceTerminating")

    @property
    def is_not_found(self) -> bool:
        return self.status == 404

    @property
    def is_already_exists(self) -> bool:
        return self.reason == "AlreadyExists"

    @property
    def is_conflict(self) -> bool:
        """An optimistic lock or a precondition failed. AlreadyExists, also a 409, is not meant."""
        return self.status == 409 and self.reason != "AlreadyExists"

    @property
    def is_gone(self) -> bool:
        """A resourceVersion or a continue token that is too old."""
        return self.status == 410 or self.reason in ("Expired", "Gone")

    @property
    def is_too_large(self) -> bool:
        """The object or the request is over the limit of the server, or of etcd behind it, which is told as a 500."""
        return self.status == 413 or self.reason == "RequestEntityTooLarge" or _ETCD_TOO_LARGE in self.message

    @property
    def is_invalid(self) -> bool:
        return self.status == 422

    @property
    def is_too_many_requests(self) -> bool:
        return self.status == 429

    @property
    def is_transient(self) -> bool:
        if self.status == 409:
            # Quota bookkeeping lost a race inside the API server; the object itself is not in conflict.
            return self.reason == "Conflict" and self.details.get("kind") == "resourcequotas"
        if self.is_too_large:
            return False
        # 401 is also what a server says that cannot check a token now; who has none to send never gets on anyway.
        return self.status in (401, 408, 429) or (self.status >= 500 and self.status != 501)

    def has_cause(self, reason: str) -> bool:
        """Whether `details.causes` names this reason."""
        return any(cause.get("reason") == reason for cause in self.details.get("causes") or ())


def _seconds(value: object) -> float | None:
    """Retry-After in seconds; its other form, a date, is not used by API servers and counts as absent."""
    try:
        return max(0.0, float(str(value))) if value else None
    except ValueError:
        return None
