"""Objects that cost the controller as much work as possible, and that any user may create."""

from collections.abc import Iterator
from typing import Any

from tests.cluster import Manifest
from tests.e2e.spaces import API_VERSION, Space
from tests.faults.load import annotated
from tests.faults.test_faults_dags import large_dag

WIDE_TASKS = 1_000
WAITS = 1_000
HOLD = "example.com/hold"


def hostile(space: Space, queued: int) -> Iterator[str]:
    """Make them; yields the name of each kind of work as it has been made.

    `queued` is how many runs of a Dag of 1,000 tasks wait for their turn.
    """
    _dag(space, "unique", {"name": "a"}, params={"x": {"type": "array", "uniqueItems": True}})
    _run(space, "unique", params={"x": [{"number": number} for number in range(5_000)]})
    yield "a param whose items have to be unique, with 5,000 objects"

    clause = {"items": {"type": "integer", "minimum": 0}}
    _dag(space, "product", {"name": "a"}, params={"x": {"type": "array", "allOf": [clause] * 300}})
    _run(space, "product", params={"x": list(range(5_000))})
    yield "a param with 300 clauses, with 5,000 items"

    _dag(space, "pattern", {"name": "a"}, params={"x": {"type": "string", "pattern": "^(a|a)*$"}})
    _run(space, "pattern", params={"x": "a" * 60 + "!"})
    yield "a pattern that backtracks without end"

    space.witness.create(space.name, "dags", large_dag("large", 900_000))
    _run(space, "large")
    yield "a Dag of 900 KB"

    names = [f"task-{number:04}" for number in range(1_500)]
    misspelt = [{"name": name, "dependsOn": [f"tsak-{number:04}"]} for number, name in enumerate(names)]
    _dag(space, "misspelt", *misspelt)
    yield "1,500 dependencies that are misspelt"

    mounts = {"spec": {"containers": [{"name": "task", "volumeMounts": [{"name": "data"}]}]}}
    other = {"spec": {"containers": [{"name": "task", "volumeMounts": [{"name": "b", "mountPath": "/b"}]}]}}
    _dag(space, "mounts", {"name": "a", "podTemplate": other}, podTemplate=mounts)
    _run(space, "mounts")
    yield "podTemplates that cannot be merged"

    named = {"apiVersion": "v1", "kind": "ConfigMap", "name": "{{ item }}"}
    condition = {**named, "jsonPath": "{.data.ready}", "value": "1"}
    waits = {"items": [f"never-{number:04}" for number in range(WAITS)]}
    _dag(space, "waits", {"name": "each", "waitFor": {"object": condition}, "forEach": waits})
    _run(space, "waits")
    yield "1,000 instances that wait for an object each"

    looping = "{% for a in range(1000) %}{% for b in range(1000) %}x{% endfor %}{% endfor %}"
    _dag(space, "looping", {"name": "a", "script": looping})
    _run(space, "looping")
    yield "a template that loops"

    _dag(space, "nonsense", {"name": "a"}, schedule={"every": "1h"})
    nonsense = {"status": {"lastRunResourceVersion": "abc", "consecutiveFailedRuns": 1}}
    space.witness.patch_status(space.name, "dags", "nonsense", nonsense)
    yield "a status that no controller wrote"

    _dag(space, "held", {"name": "a"}, schedule={"every": "1s"})
    space.witness.patch(space.name, "dags", "held", {"metadata": {"finalizers": [HOLD]}})
    space.witness.delete(space.name, "dags", "held")
    yield "a Dag that is being deleted and stays"

    wide = [{"name": f"t-{number:04}"} for number in range(WIDE_TASKS)]
    _dag(space, "wide", *wide, maxActiveRuns=1, podTemplate=annotated(duration="1h"))
    for _ in range(queued):
        _run(space, "wide")
    yield f"{queued} runs of a Dag of {WIDE_TASKS} tasks"


def release(space: Space) -> None:
    """Take away what would keep the namespace."""
    space.witness.patch(space.name, "dags", "held", {"metadata": {"finalizers": []}})


def _dag(space: Space, name: str, *tasks: Manifest, **spec: Any) -> None:
    """Not by Space.dag: it adds a podTemplate."""
    body = {"taskDefaults": {"image": "busybox"}, "tasks": list(tasks), **spec}
    made = {"apiVersion": API_VERSION, "kind": "Dag", "metadata": {"name": name}, "spec": body}
    space.witness.create(space.name, "dags", made)


def _run(space: Space, dag: str, **spec: Any) -> None:
    space.run(dag, "", **spec)
