"""A revision is what a run depends on: its hash changes with that, and with nothing else."""

import json
from typing import Any

import pytest

from tests.unit.controller.memory_cluster import Json, MemoryCluster
from tradewind.api.dag import DagSpec
from tradewind.api.revision import content_hash, run_fields
from tradewind.controller.dags import checks, revisions

pytestmark = pytest.mark.unit

SPEC: dict[str, Any] = {
    "description": "Sales per region",
    "schedule": "0 6 * * *",
    "timeZone": "Europe/Berlin",
    "params": {"region": {"type": "string", "default": "eu"}},
    "tasks": [{"name": "a", "image": "busybox"}, {"name": "b", "noop": True, "dependsOn": ["a"]}],
}
RUN_FIELDS = {
    "timeZone": "UTC",
    "maxActiveTasks": 3,
    "runTimeout": "1h",
    "resultProtection": "Finalizer",
    "podRetention": "1d",
    "params": {},
    "taskDefaults": {"image": "alpine"},
    "podTemplate": {"spec": {"nodeSelector": {"disk": "ssd"}}},
    "groups": [{"name": "load"}],
    "failFast": True,
    "maxMapLength": 10,
    "tasks": [{"name": "a", "image": "alpine"}],
}
OTHER_FIELDS = {
    "description": "Changed",
    "docs": "# Sales",
    "owner": "ops",
    "tags": ["x"],
    "schedule": "0 7 * * *",
    "startDate": "2026-01-01T00:00:00Z",
    "endDate": "2027-01-01T00:00:00Z",
    "catchup": True,
    "startingDeadline": "1h",
    "suspend": True,
    "maxActiveRuns": 1,
    "maxConsecutiveFailedRuns": 3,
    "successfulRunsHistoryLimit": 1,
    "failedRunsHistoryLimit": 1,
}


def hash_of(spec: dict[str, Any]) -> str:
    return content_hash("5f0c", spec)


@pytest.mark.parametrize("field", RUN_FIELDS)
def test_what_runs_depend_on_makes_a_revision(field: str) -> None:
    changed = {**SPEC, field: RUN_FIELDS[field]}
    assert hash_of(changed) != hash_of(SPEC)
    assert field in run_fields(changed)


@pytest.mark.parametrize("field", OTHER_FIELDS)
def test_what_runs_do_not_depend_on_makes_none(field: str) -> None:
    assert hash_of({**SPEC, field: OTHER_FIELDS[field]}) == hash_of(SPEC)


def test_the_order_of_keys_does_not_matter_and_that_of_tasks_does() -> None:
    shuffled = json.loads(json.dumps(SPEC, sort_keys=True))
    assert hash_of(shuffled) == hash_of(SPEC)
    assert hash_of({**SPEC, "tasks": SPEC["tasks"][::-1]}) != hash_of(SPEC)


def test_a_dag_that_is_made_again_has_revisions_of_its_own() -> None:
    """Those of the Dag before are deleted with it, at any time later."""
    assert content_hash("5f0c", SPEC) != content_hash("7a31", SPEC)


def test_the_hash_is_the_same_in_every_version() -> None:
    """It is in the names of stored objects: a change here makes a new revision of every Dag at the next upgrade."""
    assert hash_of(SPEC)[:10] == "aadf9bfe8a"


def test_what_is_kept_is_a_spec_that_can_be_run() -> None:
    assert DagSpec.model_validate(run_fields(SPEC)).tasks[0].name == "a"


async def test_of_runs_that_begin_together_one_stores_what_they_share(cluster: MemoryCluster) -> None:
    made: list[str] = []

    def note(method: str, plural: str, name: str, body: Json) -> None:
        if (method, plural) == ("POST", "controllerrevisions"):
            made.append(body["metadata"]["name"])

    cluster.before_write = note
    cluster.dag("daily", tasks=[{"name": "load", "noop": True}], maxActiveRuns=20)
    for number in range(20):
        cluster.run("daily", f"run{number}")
    for number in range(20):
        await cluster.wait_phase(f"run{number}", "Succeeded")
    assert len(made) == 1


@pytest.mark.parametrize(
    "spec",
    [
        {"schedule": "61 * * * *"},
        {"tasks": [{"name": f"t{n}", "image": "busybox", "script": "x" * 90_000} for n in range(11)]},
    ],
    ids=["a schedule that cannot be", "too large"],
)
async def test_a_run_waits_for_all_of_its_dag_to_be_accepted(cluster: MemoryCluster, spec: Json) -> None:
    """Also where what is wrong with it is nothing that the run depends on, or that shows in no field."""
    cluster.dag("daily", **spec)
    cluster.run("daily", "early")
    await cluster.eventually(lambda: cluster.status("dagruns", "early").get("reason") == "DagNotAccepted", "it waits")
    cluster.patch("dags", "daily", spec={"schedule": None, "tasks": [{"name": "load", "noop": True}]})
    await cluster.wait_phase("early", "Succeeded")


async def test_a_run_goes_by_revisions_of_its_own_dag_only(cluster: MemoryCluster) -> None:
    """Whoever may start runs of one Dag need not be allowed to start those of another."""
    for dag in ("harmless", "deploy"):
        cluster.dag(dag, tasks=[{"name": dag, "noop": True}])
    cluster.run("deploy", "first")
    revision = (await cluster.wait_phase("first", "Succeeded"))["revision"]
    cluster.run("harmless", "borrowed", revision=revision)
    cluster.run("deploy", "again", revision=revision)
    await cluster.wait_phase("again", "Succeeded")
    await cluster.eventually(
        lambda: cluster.status("dagruns", "borrowed").get("reason") == "RevisionUnusable", "it is reported"
    )
    assert "belongs to another Dag than 'harmless'" in cluster.status("dagruns", "borrowed")["message"]


async def test_the_spec_is_read_and_hashed_once_for_all_runs(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.dag("sales")
    cluster.run("sales", "first")
    revision = (await cluster.wait_phase("first", "Succeeded"))["revision"]
    hashed: list[str] = []
    monkeypatch.setattr(checks, "content_hash", lambda uid, spec: hashed.append(uid) or content_hash(uid, spec))
    monkeypatch.setattr(revisions, "run_fields", lambda spec: hashed.append("fields") or run_fields(spec))
    for name in ("second", "third"):
        cluster.run("sales", name)
        assert (await cluster.wait_phase(name, "Succeeded"))["revision"] == revision
    assert hashed == []
    cluster.patch("dags", "sales", spec={"timeZone": "Europe/Berlin"})
    cluster.run("sales", "fourth")
    assert (await cluster.wait_phase("fourth", "Succeeded"))["revision"] != revision
    assert len(cluster.names("controllerrevisions")) == 2
