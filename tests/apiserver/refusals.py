"""Answers that are no success, as Kubernetes words them (apimachinery's api/errors)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.apiserver.kinds import Kind

Json = dict[str, Any]


class Refusal(Exception):  # noqa: N818 - an answer, not a bug
    """A `Status` of failure. `retry_after` is the header Retry-After, in seconds."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Json | None = None,
        *,
        retry_after: int | None = None,
        metadata: Json | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.details, self.retry_after, self.metadata = details, retry_after, metadata

    def document(self) -> Json:
        """The body of the answer."""
        status: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata or {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details:
            status["details"] = self.details
        return status | {"code": self.code}


class Problem(NamedTuple):
    """One invalid field; `reason` is FieldValueInvalid, FieldValueRequired, FieldValueForbidden, …"""

    field: str
    message: str
    reason: str = "FieldValueInvalid"


def not_found(kind: Kind, name: str) -> Refusal:
    return Refusal(404, "NotFound", f'{kind.qualified} "{name}" not found', _details(kind, name))


def unknown_path() -> Refusal:
    return Refusal(404, "NotFound", "the server could not find the requested resource")


def already_exists(kind: Kind, name: str) -> Refusal:
    return Refusal(409, "AlreadyExists", f'{kind.qualified} "{name}" already exists', _details(kind, name))


def conflict(kind: Kind, name: str, why: str) -> Refusal:
    message = f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}'
    return Refusal(409, "Conflict", message, _details(kind, name))


def precondition_failed(kind: Kind, name: str, why: str) -> Refusal:
    """Of a deletion; unlike all others it names the kind, not the resource."""
    details = _details(kind, name) | {"kind": kind.name}
    return Refusal(409, "Conflict", f'Operation cannot be fulfilled on {_named(kind)} "{name}": {why}', details)


def modified(kind: Kind, name: str) -> Refusal:
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(kind, name, why)


def invalid(kind: Kind, name: str, problems: Iterable[Problem]) -> Refusal:
    found = list(problems)
    texts = [f"{problem.field}: {problem.message}" if problem.field else problem.message for problem in found]
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = {
        **_details(kind, name),
        "kind": kind.name,
        "causes": [{"reason": problem.reason, "message": problem.message, "field": problem.field} for problem in found],
    }
    return Refusal(422, "Invalid", f'{_named(kind)} "{name}" is invalid: {listed}', details)


def forbidden(kind: Kind, name: str, why: str, causes: list[Json] | None = None) -> Refusal:
    details = _details(kind, name) | ({"causes": causes} if causes else {})
    return Refusal(403, "Forbidden", f'{kind.qualified} "{name}" is forbidden: {why}', details)


def terminating(kind: Kind, name: str, namespace: str) -> Refusal:
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    message = f"namespace {namespace} is being terminated"
    cause = {"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}
    return forbidden(kind, name, why, [cause])


def bad_request(message: str) -> Refusal:
    return Refusal(400, "BadRequest", message)


def not_acceptable(kind: Kind, *, is_list: bool) -> Refusal:
    wanted, fact = ("", "a list") if is_list else ("List", "not a list")
    message = f"you requested PartialObjectMetadata{wanted}, but the requested object is {fact} ({kind.name})"
    return Refusal(406, "NotAcceptable", message)


def expired(asked: int, oldest: int) -> Refusal:
    return Refusal(410, "Expired", f"too old resource version: {asked} ({oldest})")


def expired_continue(token: str) -> Refusal:
    message = (
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list."
    )
    return Refusal(410, "Expired", message, metadata={"continue": token})


def too_large_version(asked: int, current: int) -> Refusal:
    message = f"Too large resource version: {asked}, current: {current}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    details = {"causes": [cause], "retryAfterSeconds": 1}
    return Refusal(504, "Timeout", f"Timeout: {message}", details, retry_after=1)


def _named(kind: Kind) -> str:
    return f"{kind.name}.{kind.group}" if kind.group else kind.name


def _details(kind: Kind, name: str) -> Json:
    return {"name": name, **({"group": kind.group} if kind.group else {}), "kind": kind.plural}
