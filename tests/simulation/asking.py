"""Users send requests to runs at any moment, and suspend runs."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from tests.apiserver.kinds import DAGRUNS

if TYPE_CHECKING:
    from tests.simulation.world import World

Json = dict[str, Any]


def ask(world: World, rng: random.Random) -> None:
    """Send requests to some runs, in any state."""
    for run in world.server.all(DAGRUNS, "ns"):
        if rng.random() < 0.6:
            request = {"id": f"r{rng.randrange(10**9)}", **random_request(rng, run)}
            world.request("PATCH", DAGRUNS, "ns", run["metadata"]["name"], {"spec": {"request": request}})


def random_request(rng: random.Random, run: Json) -> Json:
    """A request that may make sense or not."""
    kind = rng.choice(["Rerun", "Rerun", "Rerun", "Rerun", "Mark", "Mark", "Stop"])
    request: Json = {"type": kind, "requestedBy": "user"}
    if kind == "Stop":
        return request
    known = [entry["name"] for entry in (run.get("status") or {}).get("tasks") or ()]
    if known and rng.random() < 0.6:
        request["tasks"] = sorted(rng.sample(known, rng.randint(1, min(2, len(known)))))
    for name in ("onlyFailed", "upstream", "downstream"):
        if rng.random() < 0.3:
            request[name] = True
    if kind == "Mark":
        request["state"] = rng.choice(["Succeeded", "Failed", "Skipped"])
    elif rng.random() < 0.2:
        request["revision"] = "Latest"
    return request


def suspend(world: World, rng: random.Random) -> None:
    """Suspend some runs, and resume some."""
    for run in world.server.all(DAGRUNS, "ns"):
        if rng.random() < 0.7:
            suspended = rng.random() < 0.6
            world.request("PATCH", DAGRUNS, "ns", run["metadata"]["name"], {"spec": {"suspend": suspended}})


def resume_runs(world: World) -> None:
    """Resume all runs."""
    for run in world.server.all(DAGRUNS, "ns"):
        if run["spec"].get("suspend"):
            world.request("PATCH", DAGRUNS, "ns", run["metadata"]["name"], {"spec": {"suspend": None}})
