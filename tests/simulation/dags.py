"""Random Dags, small but with all features that compete for slots, and the outcomes of their tries."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.kubelet import Script, TryId

Json = dict[str, Any]

POOLS = {"narrow": 1, "wide": 3}
RULES = ["AllDone", "OneSuccess", "NoneFailed", "AllFailed", "OneFailed", "NoneFailedMinOneSuccess", "Always"]


@dataclass
class Scenario:
    """The objects in the cluster when the simulation begins."""

    dags: dict[str, Json]
    """Specs by name."""
    runs: list[tuple[str, str]]
    """(name of a run, its Dag) of those that a person makes."""
    pools: dict[str, int] = field(default_factory=lambda: dict(POOLS))
    parallelism: int = 0


def random_scenario(rng: random.Random) -> Scenario:
    dags = {f"d{number}": random_dag(rng) for number in range(1 if rng.random() < 0.7 else 2)}
    runs = []
    for name in dags:
        runs += [(f"{name}-run{number}", name) for number in range(rng.choice([1, 1, 2, 3]))]
    return Scenario(dags, runs, parallelism=rng.choice([0, 0, 0, 1, 3]))


def random_dag(rng: random.Random) -> Json:
    tasks: list[Json] = []
    for number in range(rng.randint(1, 5)):
        tasks.append(random_task(rng, f"t{number}", tasks))
    spec: Json = {"tasks": tasks}
    if rng.random() < 0.3:
        spec["maxActiveTasks"] = rng.choice([1, 2])
    if rng.random() < 0.3:
        spec["maxActiveRuns"] = 1
    if rng.random() < 0.35:
        spec["resultProtection"] = "Finalizer"
    if rng.random() < 0.2:
        spec["runTimeout"] = rng.choice(["20s", "60s"])
    if rng.random() < 0.2:
        spec["schedule"] = rng.choice([{"every": "20s"}, {"every": "45s"}, "* * * * *"])
        spec["catchup"] = rng.random() < 0.3
        if spec["catchup"] and spec["schedule"] == "* * * * *":
            spec["startDate"] = "2026-03-01T05:58:30Z"
    if rng.random() < 0.2:
        spec["successfulRunsHistoryLimit"] = rng.choice([0, 1])
    if rng.random() < 0.1:
        spec["podRetention"] = rng.choice(["0s", "5s"])
    return spec


def random_task(rng: random.Random, name: str, before: list[Json]) -> Json:
    earlier = [task["name"] for task in before]
    task: Json = {"name": name}
    kind = rng.random()
    if kind < 0.1:
        task["noop"] = True
    elif kind < 0.15:
        # Counted from the end of the data interval: of a run by hand from its beginning.
        task["waitFor"] = {"duration": rng.choice(["2s", "15s"])}
    else:
        task["image"] = "busybox"
        task["queuedTimeout"] = "30s"
        if rng.random() < 0.6:
            retries = {"limit": rng.choice([0, 1, 2]), "delay": rng.choice(["1s", "5s"])}
            task["retries"] = retries | ({"onLost": rng.choice([0, 1, 2])} if rng.random() < 0.5 else {})
        if rng.random() < 0.2:
            with_output = [each["name"] for each in before if "image" in each]
            task["forEach"] = {"items": list(range(rng.randint(1, 4)))}
            if with_output and rng.random() < 0.4:
                task["forEach"] = {"output": rng.choice(with_output)}
        if rng.random() < 0.4:
            task["timeout"] = rng.choice(["5s", "15s"])
        if rng.random() < 0.12:
            task["sensor"] = random_sensor(rng)
        elif rng.random() < 0.2:
            task["skipExitCodes"] = [99]
        if rng.random() < 0.3:
            task["pool"] = rng.choice(sorted(POOLS))
            if task["pool"] == "wide":
                task["poolSlots"] = rng.choice([1, 2])
    if earlier and rng.random() < 0.8:
        task["dependsOn"] = sorted(rng.sample(earlier, rng.randint(1, min(2, len(earlier)))))
        if rng.random() < 0.25:
            task["triggerRule"] = rng.choice(RULES)
    return task


def random_sensor(rng: random.Random) -> Json:
    sensor: Json = {"mode": rng.choice(["Poke", "Reschedule"]), "interval": rng.choice(["1s", "4s", "20s"])}
    sensor["timeout"] = rng.choice(["10s", "60s"])
    if rng.random() < 0.4:
        sensor["softFail"] = True
    if rng.random() < 0.4:
        sensor["retryExitCode"] = 1
    return sensor


def random_script(seed: str, try_id: TryId, document: Json) -> Script:
    """The result of a try: the same in every play of the seed, whatever else happens."""
    run = document["metadata"]["labels"]["tradewind.dev/run"]
    rng = random.Random(f"{seed}/{run}/{try_id.task}/{try_id.index}/{try_id.number}/{try_id.poke}")
    has_timeout = document["spec"].get("activeDeadlineSeconds") is not None
    manners = random.Random(f"{seed}/{run}/{try_id.task}/{try_id.index}/{try_id.number}/{try_id.poke}/manners")
    polite_code = manners.choice([0, 143, 143])
    fate = rng.random()
    start_after, duration = rng.choice([0.0, 0.3, 1.0, 4.0]), rng.choice([0.1, 0.5, 2.0, 2.0, 8.0])
    polite = rng.random() < 0.7
    if fate < 0.04:
        return Script(start_after=start_after, waits=rng.choice(["ImagePullBackOff", "CreateContainerConfigError"]))
    if fate < 0.08 and has_timeout:
        return Script(start_after=start_after, duration=None, polite=polite, polite_code=polite_code)
    if fate < 0.25:
        code = rng.choice([1, 1, 1, 2, 99])
        return Script(start_after, duration, exit_code=code, polite=polite, polite_code=polite_code)
    if try_id.poke and rng.random() < 0.5:
        return Script(start_after, duration, exit_code=1, polite=polite, polite_code=polite_code)
    output = rng.choice(["", "", '{"n": 1}', "[1, 2]"])
    return Script(start_after, duration, output=output, polite=polite, polite_code=polite_code)
