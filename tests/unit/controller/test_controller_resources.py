"""Objects in the informers: only the fields that are needed, in a form that can be parsed."""

from __future__ import annotations

import pytest

from tradewind.cache.resources import DagObject, DagRunObject
from tradewind.kube.decoding import decoder_for

pytestmark = pytest.mark.unit


def page(*items: str) -> bytes:
    return b'{"metadata": {"resourceVersion": "7"}, "items": [%s]}' % ",".join(items).encode()


def item(name: str, rest: str) -> str:
    return f'{{"metadata": {{"namespace": "ns", "name": "{name}", "uid": "u-{name}", "resourceVersion": "5"}}, {rest}}}'


def test_a_dag_is_kept_without_the_list_that_it_came_with() -> None:
    spec = '{"suspend": true, "maxActiveRuns": 3, "tasks": [{"name": "a", "noop": true}]}'
    [found] = decoder_for(DagObject).page(page(item("daily", f'"spec": {spec}'))).items
    dag = found.object
    assert dag is not None
    assert dag.raw_spec.copy() is dag.raw_spec, "it is a view of something larger"
    assert dag.spec == {"suspend": True, "maxActiveRuns": 3, "tasks": [{"name": "a", "noop": True}]}
    assert (dag.facts.suspend, dag.facts.max_active_runs, dag.facts.pod_retention) == (True, 3, None)


def test_a_run_is_kept_without_the_list_that_it_came_with() -> None:
    [found] = decoder_for(DagRunObject).page(page(item("one", '"status": {"phase": "Running"}'))).items
    assert found.object is not None
    assert found.object.status.copy() is found.object.status, "it is a view of something larger"
    assert found.object.decoded_status() == {"phase": "Running"}


@pytest.mark.parametrize("spec", ["[]", "7", '"text"', "null", "[" * 5000 + "]" * 5000])
def test_a_dag_whose_spec_cannot_be_read_is_one_that_others_do_not_suffer_from(spec: str) -> None:
    bad, good = decoder_for(DagObject).page(page(item("bad", f'"spec": {spec}'), item("good", '"spec": {}'))).items
    assert (bad.object, bad.key) == (None, ("ns", "bad"))
    assert good.object is not None


def test_a_dag_without_a_spec() -> None:
    [found] = decoder_for(DagObject).page(page(item("empty", '"status": {}'))).items
    assert found.object is not None
    assert found.object.spec == {}
    assert found.object.facts.suspend is None
