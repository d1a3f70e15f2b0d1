"""Fields that cannot be set at all: another namespace, the controller's environment, unlimited labels of metrics."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tradewind.api.crd import KINDS
from tradewind.api.templates import TemplateError, render
from tradewind.api.validation import validate_dag
from tradewind.controller.metrics.instrumentation import Metrics
from tradewind.kube.working_on import working_on

pytestmark = pytest.mark.unit


def properties(schema: dict[str, Any]) -> Iterator[str]:
    for name, below in schema.get("properties", {}).items():
        yield name
        yield from properties(below)
    for below in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(below, dict):
            yield from properties(below)


@pytest.mark.parametrize("model", [model for model, _ in KINDS], ids=lambda model: str(model.__name__))
def test_no_field_names_a_namespace(model: Any) -> None:
    """Whatever an object refers to is in its own."""
    parts = model.model_json_schema(by_alias=True)["$defs"]
    fields = {name for part in parts if part != "ObjectMeta" for name in properties(parts[part])}
    assert "spec" in model.model_fields
    assert fields
    assert not [name for name in fields if "namespace" in name.lower()]


def test_a_pod_template_names_none_either() -> None:
    template = {"metadata": {"namespace": "kube-system", "ownerReferences": [], "finalizers": ["a/b"], "name": "x"}}
    spec = {"tasks": [{"name": "t", "image": "x"}], "podTemplate": template}
    manifest = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "Dag", "metadata": {"name": "d"}, "spec": spec}
    fields = {problem.field for problem in validate_dag(manifest)[1]}
    assert fields == {f"spec.podTemplate.metadata.{each}" for each in template["metadata"]}


@pytest.mark.parametrize(
    "text",
    [
        "{{ env.SECRET_OF_THE_CONTROLLER }}",
        "{{ environ }}",
        "{{ params.__class__.__init__.__globals__ }}",
        "{{ params['__class__'] }}",
        "{{ params | attr('__class__') }}",
        "{% include '/proc/self/environ' %}",
        "{{ open('/etc/passwd') }}",
        "{{ vars.__class__.__init__ }}",
        "{{ vars['../x']['/etc/passwd'] }}",
        "{{ self }}",
        "{{ debug() }}",
    ],
)
def test_a_template_reaches_nothing_of_the_controller(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tradewind.api.variables import Variables

    monkeypatch.setitem(os.environ, "SECRET_OF_THE_CONTROLLER", "hidden")
    with pytest.raises(TemplateError) as caught:
        render(text, {"params": {"a": 1}, "vars": Variables({"settings": {"a": "b"}}), "tasks": {}})
    assert "hidden" not in str(caught.value)


def test_metrics_have_no_labels_without_bound() -> None:
    """No run, task, Pod, user or message: whoever makes thousands of those would fill Prometheus."""
    allowed = {"namespace", "dag", "state", "pool", "reason", "shard", "shards"}
    metrics = Metrics()
    # The last stall names its object, but there is only one of it.
    collectors = set(metrics.registry._collector_to_names) - {metrics.stall}
    labels = {label for collector in collectors for label in getattr(collector, "_labelnames", ())}
    assert labels
    assert labels <= allowed
    for number in range(3):
        metrics.show_stall(working_on("DagRun", ("ns", f"run-{number}")), number)
    [family] = metrics.stall.collect()
    assert [sample.labels["name"] for sample in family.samples] == ["run-2"]
