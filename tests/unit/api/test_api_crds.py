"""The CRDs are structural schemas that explain themselves, and the files of the repository are up to date."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tradewind.api.crd import KINDS, SCHEMA_REVISION, SCHEMA_REVISION_ANNOTATION, crd, crd_files, main

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
ALL = [pytest.param(crd(model, facts), id=facts["kind"]) for model, facts in KINDS]


def schema_of(definition: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in a schema, with its path."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from walk(field, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from walk(schema[key], f"{path}[]")


@pytest.mark.parametrize("definition", ALL)
def test_is_structural(definition: dict[str, Any]) -> None:
    for path, schema in walk(schema_of(definition)):
        forbidden = {"$ref", "$defs", "anyOf", "oneOf", "allOf", "title", "const", "definitions"} & schema.keys()
        assert not forbidden, f"{path}: {forbidden}"
        typed = "type" in schema or schema.get("x-kubernetes-int-or-string")
        assert typed or schema.get("x-kubernetes-preserve-unknown-fields"), f"{path} has no type"


@pytest.mark.parametrize("definition", ALL)
def test_every_field_is_described(definition: dict[str, Any]) -> None:
    for path, schema in walk(schema_of(definition)):
        if path.endswith("[]") or path in ("", ".metadata"):
            continue
        assert len(schema.get("description", "")) > 5, f"{path} is not described"
        assert "\n" not in schema["description"]


@pytest.mark.parametrize("definition", ALL)
def test_lists_are_bounded_and_typed(definition: dict[str, Any]) -> None:
    spec = schema_of(definition)["properties"]["spec"]
    for path, schema in walk(spec):
        if schema.get("type") == "array":
            assert "maxItems" in schema, f"{path}: CEL needs a bound to estimate its cost"
            assert schema.get("x-kubernetes-list-type") in ("map", "set", "atomic"), path


@pytest.mark.parametrize("definition", ALL)
def test_keys_of_list_maps_are_required(definition: dict[str, Any]) -> None:
    for path, schema in walk(schema_of(definition)):
        for key in schema.get("x-kubernetes-list-map-keys", ()):
            assert key in schema["items"]["required"], f"{path}: {key}"


@pytest.mark.parametrize("definition", ALL)
def test_status_is_a_subresource_and_columns_point_at_fields(definition: dict[str, Any]) -> None:
    version = definition["spec"]["versions"][0]
    assert version["subresources"] == {"status": {}}
    known = {path for path, _ in walk(schema_of(definition))} | {".metadata.creationTimestamp"}
    for column in version["additionalPrinterColumns"]:
        assert column["jsonPath"].split("[")[0] in known, column
        assert column["description"]
    for selectable in version.get("selectableFields", ()):
        assert selectable["jsonPath"] in known


def test_runs_can_be_selected_by_dag_and_phase_and_request() -> None:
    runs = next(crd(model, facts) for model, facts in KINDS if facts["kind"] == "DagRun")
    paths = [field["jsonPath"] for field in runs["spec"]["versions"][0]["selectableFields"]]
    assert paths == [".spec.dag", ".spec.request.id", ".status.phase"]


def test_the_schema_revision_is_written_down() -> None:
    for model, facts in KINDS:
        assert crd(model, facts)["metadata"]["annotations"] == {SCHEMA_REVISION_ANNOTATION: str(SCHEMA_REVISION)}


def test_the_files_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(ROOT / "crds"), str(ROOT / "helm/tradewind/files/crds"), "--check"]) == 0, capsys.readouterr().err


def test_what_is_written_is_what_is_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--check"]) == 1
    assert "make generate" in capsys.readouterr().err
    assert main([str(tmp_path)]) == main([str(tmp_path), "--check"]) == 0
    for path, (model, facts) in zip(map(tmp_path.joinpath, crd_files()), KINDS, strict=True):
        assert yaml.safe_load(path.read_text()) == crd(model, facts)
