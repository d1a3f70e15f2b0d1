"""The notes that a user reads after `helm install`."""

import textwrap
from typing import Any

import pytest
import yaml

from tests.chart.helm_chart import NAMESPACE, REPOSITORY, Helm, Manifest

pytestmark = pytest.mark.chart


def example(notes: str) -> list[Manifest]:
    """The objects that the notes tell the user to apply."""
    text = notes.split("<<'EOF'\n")[1].split("     EOF\n")[0]
    return list(yaml.safe_load_all(textwrap.dedent(text)))


def test_say_what_to_do_next(helm: Helm) -> None:
    notes = helm.notes()
    assert f"kubectl -n {NAMESPACE} rollout status deployment/tradewind" in notes
    assert "kubectl apply -n default -f -" in notes
    assert "kubectl get dagruns -n default" in notes
    assert "kubectl describe dag hello -n default" in notes
    assert "kubectl describe dagrun hello-1 -n default" in notes
    assert "every namespace" in notes
    assert "\n\n\n" not in notes


def test_the_example_is_a_dag_and_a_run_of_it(helm: Helm) -> None:
    dag, run = example(helm.notes())
    assert (dag["kind"], run["kind"]) == ("Dag", "DagRun")
    assert run["spec"]["dag"] == dag["metadata"]["name"]
    assert [task["name"] for task in dag["spec"]["tasks"]] == ["greet", "done"]


def test_the_example_has_only_fields_that_the_crds_know(helm: Helm) -> None:
    for found in example(helm.notes()):
        [path] = (REPOSITORY / "crds").glob(f"*_{found['kind'].lower()}s.yaml")
        [version] = yaml.safe_load(path.read_text())["spec"]["versions"]
        assert not unknown_fields(found["spec"], version["schema"]["openAPIV3Schema"]["properties"]["spec"])


def unknown_fields(value: Any, schema: dict[str, Any]) -> set[str]:
    """The names in the value that the structural schema does not have."""
    if isinstance(value, list):
        return set().union(*(unknown_fields(item, schema["items"]) for item in value))
    if not isinstance(value, dict):
        return set()
    known: dict[str, Any] = schema["properties"]
    return (value.keys() - known.keys()).union(
        *(unknown_fields(value[key], known[key]) for key in value.keys() & known.keys())
    )


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "requests pass unchecked"),
        ({"webhook": {"enabled": False}}, "The admission webhook is off"),
        ({}, "one named `default` of 128 slots"),
        ({}, "no DagRuns: one that a history limit has deleted would be"),
        ({"uninstallHook": {"timeoutSeconds": 7}}, "fails after 7 s: add --no-hooks"),
        ({"webhook": {"failurePolicy": "Fail"}}, "are rejected"),
        ({"scope": "namespaces", "namespaces": ["team-a", "team-b"]}, "these namespaces: team-a, team-b"),
        ({"scope": "namespaces", "namespaces": ["team-a"]}, "kubectl apply -n team-a"),
        ({"scope": "namespaces", "namespaces": ["team-a"]}, "Without a ClusterRole"),
        ({"scope": "namespaces", "namespaces": ["team-a"]}, "The admission webhook is off"),
        ({"crds": {"install": False}}, "The CRDs are not part of this release"),
        ({"crds": {"keep": False}}, "`helm uninstall` deletes the CRDs"),
        ({"replicas": 1}, "With 1 replica nothing takes over"),
    ],
)
def test_say_what_the_values_mean(helm: Helm, values: dict[str, Any], text: str) -> None:
    assert text in helm.notes(values)
