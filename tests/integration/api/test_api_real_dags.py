"""The CRD of a Dag on a real API server: what it takes, keeps and refuses without our validation."""

from __future__ import annotations

import kubernetes
import pytest
import yaml

from tests.cluster import REPOSITORY, Manifest, Witness
from tradewind.api.validation import summary, validate_dag

BAD_DAGS: list[Manifest] = yaml.safe_load((REPOSITORY / "tests" / "bad_dags.yaml").read_text())

EVERYTHING = """
failFast: true
maxConsecutiveFailedRuns: 3
maxMapLength: 5000
params: {stores: {type: array, default: [north, south]}}
taskDefaults:
  image: busybox:1.36
  connections: [warehouse, my.other.secret]
  priorityWeight: 5
  weightRule: Absolute
groups:
- {name: outer, description: All of it, dependsOn: [choose]}
- name: inner
  group: outer
  forEach: [{name: store, param: stores}, {name: day, items: [1, {date: '{{ ds }}'}, [x], null, true, 1.5]}]
  combine: Zip
tasks:
- {name: gate, script: 'true', shortCircuit: {respectTriggerRules: true}, dependsOnPast: true}
- {name: choose, script: 'true', branch: true, dependsOn: [gate], shortCircuit: false}
- {name: make, script: 'true', setup: true, group: outer}
- {name: load, args: ['{{ item.store }} {{ index }}'], group: inner, dependsOn: [make], maxActivePerRun: 3}
- {name: drop, script: 'true', dependsOn: [load], teardown: {setups: [make], onFailureFailRun: true}, group: outer}
- {name: each, script: 'true', forEach: {output: gate.stores}, maxActivePerDag: 2, waitForDownstream: true}
- name: landed
  script: 'true'
  sensor: {mode: Reschedule, interval: 5s, timeout: 1h, softFail: true, retryExitCode: 3}
- {name: evening, waitFor: {time: '{{ ds }}T18:00:00Z'}, sensor: {timeout: 1d, softFail: true}}
- {name: later, waitFor: {duration: 2h}}
- name: other
  waitFor: {dagRun: {dag: sales, task: load, logicalDate: '{{ ts }}', offset: -1h, window: 1d, states: [Skipped]}}
- {name: job, waitFor: {object: {apiVersion: batch/v1, kind: Job, name: import, condition: {type: Complete}}}}
- name: pod
  triggerRule: AllDoneSetupSuccess
  waitFor: {object: {apiVersion: v1, kind: Pod, name: import, jsonPath: '{.status.phase}', value: Running}}
"""


def dag(spec: Manifest, name: str = "d") -> Manifest:
    return {"apiVersion": "tradewind.dev/v1alpha1", "kind": "Dag", "metadata": {"name": name}, "spec": spec}


def test_everything_a_dag_may_say_is_kept(resources: Witness, namespace: str) -> None:
    """Nothing is pruned, least of all where the schema leaves the type open."""
    spec = yaml.safe_load(EVERYTHING)
    _, problems = validate_dag(dag(spec))
    assert not problems, summary(problems)
    made = resources.create(namespace, "dags", dag(spec), field_validation="Strict")
    assert made["spec"] == spec


def test_the_largest_dag_is_taken(resources: Witness, namespace: str) -> None:
    """The rules of CEL stay within their budget at run time too."""
    groups = [{"name": f"g{i}", "dependsOn": [f"t{j}" for j in range(50)]} for i in range(500)]
    groups = [{**group, **({"group": f"g{i - 1}"} if i % 5 else {})} for i, group in enumerate(groups)]
    tasks = [
        {"name": f"t{i}", "noop": True, "dependsOn": [f"t{j}" for j in range(max(0, i - 40), i)]} for i in range(2000)
    ]
    spec = {"groups": groups, "tasks": tasks}
    assert resources.create(namespace, "dags", dag(spec), field_validation="Strict")["spec"] == spec


@pytest.mark.parametrize(
    "case", [case for case in BAD_DAGS if case["rejectedBy"] == "schema"], ids=lambda case: str(case["name"])
)
def test_refused_by_the_schema(resources: Witness, case: Manifest) -> None:
    with pytest.raises(kubernetes.client.ApiException) as refusal:
        resources.create("default", "dags", case["dag"], field_validation="Strict", dry_run="All")
    assert refusal.value.status in (400, 422), refusal.value.body  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "case", [case for case in BAD_DAGS if case["rejectedBy"] == "validation"], ids=lambda case: str(case["name"])
)
def test_taken_by_the_schema(resources: Witness, case: Manifest) -> None:
    """Problems that only our own validation finds, so that the table is right about both."""
    resources.create("default", "dags", case["dag"], field_validation="Strict", dry_run="All")
