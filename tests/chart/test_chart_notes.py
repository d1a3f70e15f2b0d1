"""What a user reads after `helm install`."""

import textwrap
from typing import Any

import pytest
import yaml
from helm_chart import CHART, NAMESPACE, Helm

pytestmark = pytest.mark.chart


def example_dag(notes: str) -> dict[str, Any]:
    """The Dag that the notes tell the user to apply."""
    text = notes.split("<<'DAG'\n")[1].split("     DAG\n")[0]
    found: dict[str, Any] = yaml.safe_load(textwrap.dedent(text))
    return found


def test_say_what_to_do_next(helm: Helm) -> None:
    notes = helm.notes()
    assert f"kubectl -n {NAMESPACE} rollout status deployment/tradewind" in notes
    assert "kubectl apply -n default -f -" in notes
    assert "kubectl get dagruns -n default" in notes
    assert "kubectl describe dag hello -n default" in notes
    assert "every namespace" in notes
    assert "\n\n\n" not in notes


def test_the_example_has_only_fields_that_the_crd_knows(helm: Helm) -> None:
    dag = example_dag(helm.notes())
    assert dag["kind"] == "Dag"
    assert [task["name"] for task in dag["spec"]["tasks"]] == ["greet", "done"]
    for path in (CHART / "files" / "crds").glob("*_dags.yaml"):
        [version] = yaml.safe_load(path.read_text())["spec"]["versions"]
        schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        assert dag["spec"].keys() <= schema["properties"].keys()
        for task in dag["spec"]["tasks"]:
            assert task.keys() <= schema["properties"]["tasks"]["items"]["properties"].keys()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "requests pass unchecked"),
        ({"webhook": {"enabled": False}}, "The admission webhook is off"),
        ({"webhook": {"failurePolicy": "Fail"}}, "are refused"),
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
