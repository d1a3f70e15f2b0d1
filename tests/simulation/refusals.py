"""Refusals of an API server for a while: authentication (401), authorization (403), or its certificate.

Drawn separately, so that the other faults of a seed stay what they were.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson

from tests.apiserver import Refusal, Request, Response
from tradewind.kube.errors import Unreachable

if TYPE_CHECKING:
    from tests.simulation.world import World

GONE = "gone"
"""A namespace that is not there any more, and our rights in it neither."""
SEEN = ("pods", "dags", "pools", "backfills", "dagruns", "configmaps")


def random_namespaces(rng: random.Random) -> tuple[str, ...]:
    """The namespaces of the controller, empty for all; sometimes one of them is deleted."""
    return ("ns", GONE) if rng.random() < 0.15 else ()


def forbid_gone(request: Request) -> Response | None:
    """All requests about a deleted namespace are forbidden."""
    return (
        _refused(403, "Forbidden", f"{request.path} is forbidden") if f"/namespaces/{GONE}/" in request.path else None
    )


def unauthorized(world: World, rng: random.Random) -> None:
    """The server cannot check tokens: it refuses all requests, or some."""
    share = rng.choice([0.2, 0.6, 1.0])
    _refuse(world, rng, lambda request: _refused(401, "Unauthorized", "Unauthorized") if rng.random() < share else None)


def forbidden(world: World, rng: random.Random) -> None:
    """A role lacks a kind, and its watches are closed at once or later."""
    plural = rng.choice(SEEN)

    def refuse(request: Request) -> Response | None:
        sees = request.method == "GET" and request.path.endswith(f"/{plural}")
        return _refused(403, "Forbidden", f"cannot list resource {plural}") if sees else None

    _refuse(world, rng, refuse)
    if rng.random() < 0.7:
        for stream in world.streams():
            if stream.plural == plural:
                stream.cut()


def certificate(world: World, rng: random.Random) -> None:
    """A certificate was replaced by one that a process, or all of them, do not trust yet. Open connections stay."""
    name = rng.choice([*(replica.name for replica in world.replicas), ""])

    def refuse(request: Request) -> Response | None:
        if name in ("", request.client.split("-")[0]):
            raise Unreachable(f"{request.method} {request.path}: certificate verify failed")
        return None

    _refuse(world, rng, refuse)


REFUSALS: dict[str, Callable[[World, random.Random], None]] = {
    "unauthorized": unauthorized,
    "forbidden": forbidden,
    "certificate": certificate,
}


def _refuse(world: World, rng: random.Random, refuse: Callable[[Request], Response | None]) -> None:
    refusals = world.network.refusals
    refusals.append(refuse)
    world.later(rng.choice([1.0, 5.0, 20.0]), lambda: refuse in refusals and refusals.remove(refuse))


def _refused(code: int, reason: str, message: str) -> Response:
    return Response(code, orjson.dumps(Refusal(code, reason, message).document()))
