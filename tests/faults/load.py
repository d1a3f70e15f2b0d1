"""An endless series of runs that use many features, and the invariants of each run."""

import threading
from typing import Any

import kubernetes

from tests.cluster import Manifest
from tests.e2e.spaces import API_VERSION, Space
from tests.faults.audit import Audit

DAG = "load"
POOL, POOL_SLOTS = "warehouse", 10
MAX_ACTIVE_TASKS = 6
SIDE_BY_SIDE = {"one": "200ms", "two": "600ms", "three": "1s", "four": "2s", "five": "3s"}
ITEMS = 5
PODS_OF_A_RUN = len(SIDE_BY_SIDE) + 2 + ITEMS + 1
AGAIN_SECONDS = 0.5


def annotated(**annotations: str) -> Manifest:
    """A podTemplate with what localkube's fake nodes go by: `duration`, `exit_code`, `message`."""
    words = {f"localkube/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return {"metadata": {"annotations": words}}


def load_tasks() -> list[Manifest]:
    """Five tasks side by side that share a pool, one that fails twice, a mapped one, and one after all."""
    pooled = [
        {"name": name, "pool": POOL, "podTemplate": annotated(duration=duration, message=f'"{name}"')}
        for name, duration in SIDE_BY_SIDE.items()
    ]
    flaky = {"name": "flaky", "retries": {"limit": 1, "delay": "1s"}, "podTemplate": annotated(exit_code="3")}
    each = {
        "name": "each",
        "dependsOn": ["one"],
        "forEach": {"items": list(range(ITEMS))},
        "podTemplate": annotated(duration="300ms", message="7"),
    }
    join = {"name": "join", "dependsOn": [*SIDE_BY_SIDE, "flaky", "each"], "triggerRule": "AllDone"}
    return [*pooled, flaky, each, join]


class Load(threading.Thread):
    """Creates runs, so that some are always running, until `end()`."""

    def __init__(self, space: Space, *, active: int = 4) -> None:
        super().__init__(daemon=True)
        self.runs: list[str] = []
        self.failures = 0
        """Requests of this thread's own that were not answered well: it asks again."""
        self._space, self._active = space, active
        self._ending = threading.Event()
        space.pool(POOL, POOL_SLOTS)
        space.dag(
            DAG,
            *load_tasks(),
            maxActiveTasks=MAX_ACTIVE_TASKS,
            successfulRunsHistoryLimit=10_000,
            maxActiveRuns=100,
        )
        self.start()

    def run(self) -> None:
        while not self._ending.is_set():
            try:
                for _ in range(self._active - len(self._unfinished())):
                    self._make(f"load-{len(self.runs) + 1:04}")
            except Exception:  # whatever the API server's end looks like from here
                self.failures += 1
            self._ending.wait(AGAIN_SECONDS)

    def end(self, seconds: float = 300) -> None:
        """Create no more; return once all have finished."""
        self._ending.set()
        self.join()
        self._space.eventually(lambda: not self._unfinished(), "all runs have finished", seconds)

    def ended(self) -> int:
        """Return the number of runs that have succeeded so far."""
        return len(self._select("status.phase=Succeeded"))

    def _make(self, name: str) -> None:
        body = {"apiVersion": API_VERSION, "kind": "DagRun", "metadata": {"name": name}, "spec": {"dag": DAG}}
        try:
            self._space.witness.create(self._space.name, "dagruns", body)
        except kubernetes.client.ApiException as error:
            if error.status != 409:
                raise
        self.runs.append(name)

    def _unfinished(self) -> list[Manifest]:
        return self._select("status.phase!=Succeeded,status.phase!=Failed")

    def _select(self, selector: str) -> list[Manifest]:
        return self._space.witness.list(self._space.name, "dagruns", field_selector=selector)


def assert_sound(space: Space, load: Load, audit: Audit) -> None:
    """No try has had two Pods, no result was lost, every run has the right result, no limit was exceeded."""
    audit.end()
    assert audit.doubled() == {}
    runs = space.runs(DAG)
    assert [run["metadata"]["name"] for run in runs] == load.runs
    for run in runs:
        name, status = run["metadata"]["name"], run["status"]
        assert status["phase"] == "Succeeded", (name, status)
        entries = {entry["name"]: entry for entry in status["tasks"]}
        for task in SIDE_BY_SIDE:
            _assert_ended(entries[task], name, "Succeeded", 1)
            assert entries[task]["output"] == task, (name, entries[task])
        _assert_ended(entries["flaky"], name, "Failed", 2)
        assert [past["state"] for past in entries["flaky"]["tries"]] == ["Failed"], (name, entries["flaky"])
        _assert_ended(entries["join"], name, "Succeeded", 1)
        assert entries["each"]["state"] == "Succeeded", (name, entries["each"])
        made = [pod.key[1:] for pod in audit.of(name)]
        assert sorted(made) == sorted(_expected()), (name, made)
        assert audit.most_at_once(lambda pod, name=name: pod.run == name) <= MAX_ACTIVE_TASKS, name  # type: ignore[misc]
    assert audit.most_at_once(lambda pod: pod.task in SIDE_BY_SIDE) <= POOL_SLOTS


def _assert_ended(entry: Manifest, run: str, state: str, tries: int) -> None:
    assert (entry["state"], entry.get("try", 1), "lost" in entry) == (state, tries, False), (run, entry)


def _expected() -> list[tuple[Any, ...]]:
    """(task, index, try) of each Pod that a run has."""
    single = [(name, "", "1") for name in (*SIDE_BY_SIDE, "flaky", "join")]
    return [*single, ("flaky", "", "2"), *(("each", str(index), "1") for index in range(ITEMS))]
