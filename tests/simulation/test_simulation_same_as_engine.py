"""Without faults the controller reaches the same result as `tradewind simulate`."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from tests.apiserver.kinds import DAGRUNS
from tests.simulation.dags import RULES, Scenario
from tests.simulation.kubelet import Script, TryId
from tests.simulation.world import START, World, simulate
from tradewind.cli.main import cli

pytestmark = pytest.mark.simulation

Json = dict[str, Any]

CASES = 200
CHUNK = 10
POOLS = {"narrow": 1, "wide": 3}
PATIENT: Json = {"end_within": 1e6, "settings": {"lease_duration": 3600.0}}
"""No process dies here: a Lease that is renewed seldom saves most of the time."""


def random_case(rng: random.Random) -> tuple[Json, dict[str, list[Json]]]:
    """A Dag, and how the tries of its tasks go; they take so long that what requests take does not change the order."""
    tasks: list[Json] = []
    outcomes: dict[str, list[Json]] = {}
    for number in range(rng.randint(1, 7)):
        name, earlier = f"t{number}", [task["name"] for task in tasks]
        task: Json = {"name": name, "image": "busybox"}
        if rng.random() < 0.15:
            task = {"name": name, "noop": True}
        else:
            limit = rng.choice([0, 0, 1, 2])
            task["retries"] = {"limit": limit, "delay": f"{rng.randint(20, 200)}s", "onLost": 0}
            if rng.random() < 0.3:
                task["pool"] = rng.choice(sorted(POOLS))
            outcomes[name] = [random_outcome(rng) for _ in range(limit + 1)]
        if earlier and rng.random() < 0.8:
            task["dependsOn"] = sorted(rng.sample(earlier, rng.randint(1, min(3, len(earlier)))))
            if rng.random() < 0.3:
                task["triggerRule"] = rng.choice(RULES)
        tasks.append(task)
    spec: Json = {"tasks": tasks}
    if rng.random() < 0.3:
        spec["maxActiveTasks"] = rng.choice([1, 2])
    return spec, outcomes


def random_outcome(rng: random.Random) -> Json:
    code = rng.choice([0, 0, 0, 0, 1, 2, 99])
    outcome: Json = {"exitCode": code, "duration": f"{rng.randint(10, 400)}s"}
    return outcome | ({"output": {"n": rng.randint(0, 9)}} if code == 0 and rng.random() < 0.3 else {})


def simulated(spec: Json, outcomes: dict[str, list[Json]], folder: Path) -> Json:
    """Return the output of `tradewind simulate`."""
    manifest = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "Dag", "metadata": {"name": "d"}, "spec": spec}
    (folder / "dag.yaml").write_text(yaml.safe_dump(manifest))
    (folder / "outcomes.yaml").write_text(yaml.safe_dump(outcomes))
    pools = [word for name, slots in POOLS.items() for word in ("--pool", f"{name}={slots}")]
    files = ["-f", str(folder / "dag.yaml"), "--outcomes", str(folder / "outcomes.yaml")]
    result = CliRunner().invoke(cli, ["simulate", *files, *pools, "-o", "json"])
    assert result.exit_code == 0, result.output
    output: Json = json.loads(result.stdout)
    return output


def result_of(seed: str, spec: Json, outcomes: dict[str, list[Json]]) -> Json:
    """The status that the controller writes, on a cluster in which nothing goes wrong."""

    def script_of(try_id: TryId, document: Json) -> Script:
        outcome = outcomes[try_id.task][try_id.number - 1]
        output = json.dumps(outcome["output"]) if "output" in outcome else ""
        seconds = float(outcome["duration"].rstrip("s"))
        return Script(start_after=0.0, duration=seconds, exit_code=outcome["exitCode"], output=output)

    scenario = Scenario({"d": spec}, [("run", "d")], pools=POOLS)
    world = simulate(
        seed,
        lambda loop: World(seed, loop, scenario=scenario, faults=[], replicas=1, script_of=script_of, **PATIENT),
    )
    document = world.server.find(DAGRUNS, "ns", "run")
    assert document is not None
    assert world.true_time() > START + timedelta(0)
    status: Json = document["status"]
    return status


def differences(number: int, folder: Path) -> str:
    """Return how the two differ, or nothing."""
    spec, outcomes = random_case(random.Random(f"same {number}"))
    expected, status = simulated(spec, outcomes, folder), result_of(f"same {number}", spec, outcomes)
    entries = {entry["name"]: entry for entry in status["tasks"]}
    found = {"phase": status["phase"]} | {
        name: (entries[name]["state"], entries[name].get("try", 0)) for name in expected["tasks"]
    }
    wanted = {"phase": expected["phase"]} | {
        name: (task["state"], task["try"]) for name, task in expected["tasks"].items()
    }
    if found == wanted:
        return ""
    return f"case {number}: simulate says {wanted}, the controller {found}\n{yaml.safe_dump([spec, outcomes])}"


@pytest.mark.parametrize("first", range(0, CASES, CHUNK))
def test_the_controller_has_the_result_of_simulate(first: int, tmp_path: Path) -> None:
    found = [text for number in range(first, first + CHUNK) if (text := differences(number, tmp_path))]
    assert not found, "\n\n".join(found)
