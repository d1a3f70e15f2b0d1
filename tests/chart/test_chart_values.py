"""values.yaml, values.schema.json and the README's table agree, and the schema catches mistakes."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.chart.helm_chart import CHART, REPOSITORY, Helm, HelmError

pytestmark = pytest.mark.chart


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """helm/values.py, which is a script outside of any package."""
    spec = importlib.util.spec_from_file_location("chart_values", CHART.parent / "values.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class TestGenerated:
    def test_up_to_date(self, generator: ModuleType) -> None:
        for path, text in generator.generated().items():
            assert path.read_text() == text, f"{path} is out of date: run python3 helm/values.py"

    def test_every_value_is_in_the_schema_and_the_table(self) -> None:
        schema = json.loads((CHART / "values.schema.json").read_text())
        table = (CHART / "README.md").read_text()

        def check(values: dict[str, Any], schema: dict[str, Any], path: str) -> None:
            for key, value in values.items():
                found = schema["properties"][key]
                if "properties" in found and "default" not in found:
                    check(value, found, f"{path}{key}.")
                else:
                    assert found["default"] == value
                    assert f"| `{path}{key}` |" in table

        check(yaml.safe_load((CHART / "values.yaml").read_text()), schema, "")

    def test_every_section_is_strict(self) -> None:
        def check(schema: dict[str, Any], path: str) -> None:
            assert schema["additionalProperties"] is False, path
            for key, found in schema["properties"].items():
                if "properties" in found:
                    check(found, f"{path}.{key}")

        check(json.loads((CHART / "values.schema.json").read_text()), "")

    def test_a_value_without_a_comment_is_rejected(self, generator: ModuleType) -> None:
        with pytest.raises(ValueError, match=r"a\.b has no comment"):
            generator.read_values("a:\n  b: 1\n")

    def test_a_list_of_anything_is_rejected(self, generator: ModuleType) -> None:
        with pytest.raises(ValueError, match="a list needs"):
            generator.make_schema(generator.read_values("# Things.\na: []\n"))


def test_the_documentation_names_values_that_exist() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    text = (REPOSITORY / "docs" / "installing.md").read_text()
    named = {found for found in re.findall(r"(?:`|--set |,)([a-z][A-Za-z.]+)", text) if found.split(".")[0] in values}
    assert {"image.repository", "crds.keep", "podSecurityContext.fsGroup"} <= named
    for name in named:
        found = values
        for key in name.split("."):
            assert found == {} or key in found, name
            found = found.get(key, {})


class TestSchema:
    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"replica": 3}, "replica"),
            ({"image": {"repo": "x"}}, "repo"),
            ({"webhook": {"certManager": {"issuerRef": {"nmae": "x"}}}}, "nmae"),
            ({"imagePullSecrets": ["registry"]}, "imagePullSecrets"),
            ({"imagePullSecrets": [{"nam": "registry"}]}, "nam"),
            ({"replicas": "three"}, "replicas"),
            ({"replicas": -1}, "replicas"),
            ({"scope": "Cluster"}, "scope"),
            ({"scope": "namespaces", "namespaces": ["Team_A"]}, "namespaces"),
            ({"scope": "namespaces", "namespaces": ["a", "a"]}, "namespaces"),
            ({"image": {"digest": "sha256:abc"}}, "digest"),
            ({"image": {"tag": 1.2}}, "tag"),
            ({"webhook": {"enabled": "yes"}}, "enabled"),
            ({"webhook": {"failurePolicy": "ignore"}}, "failurePolicy"),
            ({"podLabels": {"a": 1}}, "podLabels"),
            ({"topologySpreadConstraints": [{"topologyKey": "zone"}]}, "topologySpreadConstraints"),
            ({"waitFor": {"resources": [{"apiGroups": [""], "resources": ["secrets"]}]}}, "resources"),
            ({"waitFor": {"resources": [{"apiGroups": [""], "resources": ["*"]}]}}, "resources"),
            ({"waitFor": {"resources": [{"apiGroups": ["*"], "resources": ["jobs"]}]}}, "apiGroups"),
            ({"waitFor": {"resources": [{"resources": ["jobs"]}]}}, "apiGroups"),
        ],
        ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
    )
    def test_mistakes_are_named(self, helm: Helm, values: dict[str, Any], message: str) -> None:
        with pytest.raises(HelmError, match="values don't meet the specifications of the schema") as refused:
            helm.template(values)
        assert message in str(refused.value)

    def test_null_takes_a_key_out_of_a_free_form_map(self, helm: Helm) -> None:
        rendered = helm.template({"podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}})
        assert rendered.one("Deployment")["spec"]["template"]["spec"]["securityContext"] == {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }

    def test_takes_the_values_of_a_chart_that_depends_on_this_one(
        self, helm_program: Path, helm: Helm, tmp_path: Path
    ) -> None:
        parent = tmp_path / "platform"
        (parent / "charts").mkdir(parents=True)
        (parent / "charts" / "tradewind").symlink_to(helm.chart)
        dependency = {"name": "tradewind", "version": "*", "condition": "tradewind.enabled"}
        chart = {"apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": [dependency]}
        (parent / "Chart.yaml").write_text(json.dumps(chart))
        platform = Helm(helm_program, parent)
        values = {"global": {"region": "eu"}, "tradewind": {"enabled": True, "replicas": 1}}
        assert platform.template(values).one("Deployment")["spec"]["replicas"] == 1
        assert not platform.template({"tradewind": {"enabled": False}}).objects
