"""Which fields of a Dag its runs depend on."""

import pytest

from tradewind.api.dag import DagSpec
from tradewind.api.revision import DAG_FIELDS, RUN_FIELDS

pytestmark = pytest.mark.unit


def test_each_field_is_of_runs_or_of_the_dag_only() -> None:
    fields = [field.alias or name for name, field in DagSpec.model_fields.items()]
    assert sorted(fields) == sorted([*RUN_FIELDS, *DAG_FIELDS])
