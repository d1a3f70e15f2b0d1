"""Every hostile object at a time, in one namespace, while leaders are killed: a Dag beside them keeps running."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import pairwise

from tests.cluster import Manifest
from tests.e2e.controller_process import Controllers
from tests.e2e.spaces import NewSpace, Space
from tests.faults.audit import Audit
from tests.faults.hostile import hostile, release
from tests.faults.load import annotated
from tests.faults.replicas import Replicas
from tests.faults.sizes import Figure, size

IDLE_DAGS = size("IDLE_DAGS", 100)
QUEUED = size("QUEUED", 30)
KILLS = size("KILLS", 2)
BETWEEN_SECONDS = size("BETWEEN_SECONDS", 8)
EVERY_SECONDS = 2


def test_an_ordinary_dag_beside_everything_hostile(
    new_kwok_space: NewSpace, kwok_controllers: Controllers, figure: Figure
) -> None:
    """It runs every two seconds. What it waits beside them is compared with what it waits without them."""
    ordinary, other = new_kwok_space("ordinary"), new_kwok_space("hostile")
    audit = Audit(ordinary)
    replicas = Replicas(ordinary, kwok_controllers, f"--namespaces={ordinary.name},{other.name}")
    tasks: list[Manifest] = [{"name": "first"}, {"name": "second", "dependsOn": ["first"]}]
    ordinary.dag(
        "ordinary",
        *tasks,
        schedule={"every": f"{EVERY_SECONDS}s"},
        catchup=True,
        successfulRunsHistoryLimit=10_000,
        podTemplate=annotated(duration="100ms"),
    )
    ordinary.eventually(lambda: audit.made, "it runs")
    kill(replicas)
    before = delays(audit)
    figure("without: runs, longest wait for the first Pod of a run in seconds", (len(before), max(before.values())))

    began = time.monotonic()
    names = [f"idle-{number:04}" for number in range(IDLE_DAGS)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: other.dag(name, {"name": "a"}, schedule="0 0 1 1 *"), names))
    for what in hostile(other, QUEUED):
        figure("made after seconds", (round(time.monotonic() - began, 1), what))
    kill(replicas)
    made = len(audit.made)
    ordinary.eventually(lambda: len(audit.made) > made + 4, "it continues")
    beside = {run: seconds for run, seconds in delays(audit).items() if run not in before}
    figure("beside: runs, longest wait for the first Pod of a run in seconds", (len(beside), max(beside.values())))
    figure("the longest turn of the leader's event loop so far", replicas.leader.longest_turn())
    figure("resident memory of the leader, MiB", replicas.leader.resident_mib())

    ordinary.edit_dag("ordinary", suspend=True)
    ordinary.eventually(lambda: not unfinished(ordinary), "all its runs have finished")
    audit.end()
    assert audit.doubled() == {}
    runs = ordinary.runs("ordinary")
    assert {run["status"]["phase"] for run in runs} == {"Succeeded"}
    ticks = sorted(datetime.fromisoformat(run["spec"]["logicalDate"]) for run in runs)
    gaps = {(later - earlier).total_seconds() for earlier, later in pairwise(ticks)}
    assert gaps == {EVERY_SECONDS}, "each tick has its run"
    assert max(beside.values()) < max(before.values()) + 30, "far above what it is: the figure says how long"
    assert_own_fault_only(other)
    release(other)
    replicas.end()


def kill(replicas: Replicas) -> None:
    for _ in range(KILLS):
        time.sleep(BETWEEN_SECONDS)
        replicas.kill_leader()
    time.sleep(BETWEEN_SECONDS)


def delays(audit: Audit) -> dict[str, float]:
    """Seconds from the tick of each run until its first Pod is seen."""
    offset = time.time() - time.monotonic()
    found: dict[str, float] = {}
    for made in list(audit.made.values()):
        if made.task == "first" and made.run not in found:
            found[made.run] = made.at + offset - tick_of(made.run).timestamp()
    return {run: round(seconds, 2) for run, seconds in found.items()}


def tick_of(run: str) -> datetime:
    """The logical date in the name of a scheduled run."""
    return datetime.strptime(run.rpartition("-")[2] + "+0000", "%Y%m%dt%H%M%S%z")


def unfinished(space: Space) -> list[Manifest]:
    return [run for run in space.runs("ordinary") if run.get("status", {}).get("phase") not in ("Succeeded", "Failed")]


def assert_own_fault_only(space: Space) -> None:
    """Objects beyond a limit report it; others have only waited."""
    for dag in ("product", "pattern", "mounts"):
        status = json.dumps([run.get("status", {}) for run in space.runs(dag)])
        assert "message" in status, (dag, status)
    assert not space.runs("held")[3:], "a Dag that is being deleted makes no runs"
    phases = [run.get("status", {}).get("phase") for run in space.runs("wide")]
    assert phases.count("Running") == 1, phases
