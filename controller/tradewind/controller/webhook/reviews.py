"""The admission webhook's server: AdmissionReviews in, allowed or not out.

The handlers (admission.py) decide. The API server sends the new and the old object, so that a review may have many
megabytes: few large reviews are read at a time, and no object that the API server could store is refused for its size.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, nullcontext
from typing import Any

import msgspec
from aiohttp import web

log = logging.getLogger(__name__)

MAX_REVIEW = 16 * 1024 * 1024
"""etcd takes 1.5 MiB by default, and a review has the old and the new object."""
_LARGE = 128 * 1024
_LARGE_AT_ONCE = 4
_READ_WITHIN = 10.0


class Denied(Exception):  # noqa: N818
    """The object is refused; the message is for the user, `code` is the HTTP status."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Reviewed(msgspec.Struct, rename="camel"):
    """An object in a review. Its status is rarely needed and stays undecoded."""

    api_version: str = ""
    kind: str = ""
    metadata: dict[str, Any] = {}
    raw_spec: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"{}"), name="spec")
    raw_status: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"{}"), name="status")

    @property
    def spec(self) -> dict[str, Any]:
        """The spec as a dict."""
        return msgspec.json.decode(self.raw_spec, type=dict)

    @property
    def name(self) -> str:
        """The object's name, or ? while it has none (generateName)."""
        return str(self.metadata.get("name") or "?")

    @property
    def namespace(self) -> str:
        """The object's namespace."""
        return str(self.metadata.get("namespace", ""))

    def manifest(self) -> dict[str, Any]:
        """Return the object as a user writes it, for validation."""
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": self.metadata, "spec": self.spec}


class Review(msgspec.Struct, rename="camel"):
    """A request to review: `user_info` writes `object` in place of `old_object`."""

    uid: str
    resource: dict[str, str]
    object: Reviewed
    old_object: Reviewed | None = None
    operation: str = ""
    user_info: dict[str, Any] = {}

    @property
    def has_new_spec(self) -> bool:
        """True if the spec changes, not only metadata."""
        old = self.old_object
        return old is None or (old.raw_spec != self.object.raw_spec and old.spec != self.object.spec)


class _Envelope(msgspec.Struct, rename="camel"):
    request: Review
    api_version: str = "admission.k8s.io/v1"


Handler = Callable[[Review], Awaitable[None]]
"""Returns if the object is allowed, else raises Denied."""


class ReviewServer:
    """Serves reviews of the kinds in `handlers`, by plural."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def serve(self, port: int, tls: ssl.SSLContext, stack: AsyncExitStack) -> None:
        """Listen until the stack is closed. Raises OSError."""
        app = web.Application(client_max_size=MAX_REVIEW)
        app.add_routes([web.post("/validate", self.answer)])
        # The API server gives up after some seconds: reviews that it gave up must not delay others.
        runner = web.AppRunner(app, handle_signals=False, access_log=None, handler_cancellation=True)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "0.0.0.0", port, ssl_context=tls).start()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one review."""
        size = request.content_length
        async with nullcontext() if size is not None and size <= _LARGE else self._large:
            async with asyncio.timeout(_READ_WITHIN):
                body = await request.read()
            try:
                envelope = msgspec.json.decode(body, type=_Envelope)
            except (msgspec.DecodeError, ValueError) as error:
                raise web.HTTPBadRequest(text=f"not an AdmissionReview: {error}") from error
            del body
            review = envelope.request
            handler = self._handlers.get(review.resource.get("resource", ""))
            if handler is None:
                raise web.HTTPNotFound(text=f"this webhook does not review {review.resource}")
            verdict: dict[str, Any] = {"uid": review.uid, "allowed": True}
            if refused := await _refusal(handler, review):
                verdict = {"uid": review.uid, "allowed": False, "status": refused}
        document = {"apiVersion": envelope.api_version, "kind": "AdmissionReview", "response": verdict}
        return web.Response(body=msgspec.json.encode(document), content_type="application/json")


async def _refusal(handler: Handler, review: Review) -> dict[str, Any] | None:
    try:
        await handler(review)
    except Denied as error:
        return {"message": str(error), "code": error.code}
    except Exception as error:  # after a bug the object is refused, since it was not validated
        found = review.object
        log.exception("cannot review %s %s/%s: it is refused", found.kind, found.namespace, found.name)
        message = f"Tradewind's webhook failed: {type(error).__name__}; see the log of the controller"
        return {"message": message, "code": 500}
    return None


__all__ = ["Denied", "Handler", "Review", "ReviewServer", "Reviewed"]
