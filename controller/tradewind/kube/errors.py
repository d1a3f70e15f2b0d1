"""Errors of requests to the API server.

`ApiError` is a response of the server (a `Status` object); `Unreachable` means that there was none. A caller that
handles a particular failure uses a predicate (`error.is_conflict`), never the message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

_ETCD_TOO_LARGE = "etcdserver: request is too large"


class KubeError(Exception):
    """The base class of this package's errors."""

    @property
    def is_transient(self) -> bool:
        """True if the same request may succeed when it is retried."""
        return False


class SteppedDown(KubeError):  # noqa: N818 - it is an end, not an error
    """This process may no longer write: the next leader does the rest."""


class ConfigurationError(KubeError):
    """The kubeconfig or the in-cluster environment is unusable; the message names the fix."""


class Unreachable(KubeError):  # noqa: N818 - reads as what it is, as NotFound would
    """No response: connection refused or reset, TLS failure, or timeout. The request may have taken effect."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out

    @property
    def is_transient(self) -> bool:
        return True


class ApiError(KubeError):
    """An error response, from the server's `Status`.

    `status` is the HTTP code, `reason` the machine-readable reason (`NotFound`, `Conflict`, …), `details` the `details`
    object (kind, name, causes), `retry_after` the seconds to wait as requested by the server.
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
        """Create the error from a response with status 400 or higher. The body may not be a Status, because proxies
        respond too."""
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
        """Create the error from a `Status` object, of a response or of an ERROR event of a watch."""
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
        # The API has no reason for it: admission responds with Forbidden and this text.
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
        """An optimistic lock or a precondition failed. False for AlreadyExists, which is also a 409."""
        return self.status == 409 and self.reason != "AlreadyExists"

    @property
    def is_gone(self) -> bool:
        """A resourceVersion or a continue token is too old."""
        return self.status == 410 or self.reason in ("Expired", "Gone")

    @property
    def is_too_large(self) -> bool:
        """The object or the request exceeds the limit of the server, or of etcd, which the server reports as a 500."""
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
            # The quota controller lost a race inside the API server; the object itself has no conflict.
            return self.reason == "Conflict" and self.details.get("kind") == "resourcequotas"
        if self.is_too_large:
            return False
        # A server also responds with 401 if it temporarily cannot verify a token; a client without a valid token never
        # succeeds anyway.
        return self.status in (401, 408, 429) or (self.status >= 500 and self.status != 501)

    def has_cause(self, reason: str) -> bool:
        """True if `details.causes` contains this reason."""
        return any(cause.get("reason") == reason for cause in self.details.get("causes") or ())


def _seconds(value: object) -> float | None:
    """Parse Retry-After in seconds. Its other form, a date, is ignored; API servers do not use it."""
    try:
        return max(0.0, float(str(value))) if value else None
    except ValueError:
        return None
