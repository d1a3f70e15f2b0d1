"""Figures, their goals and their file."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from bench.harness import chart, raw
from bench.harness.dags import dag, mapped, parallel
from bench.harness.requests import of_controller, parse
from bench.harness.results import THRESHOLDS, Result, keep, records, table, thresholds
from bench.workloads import NAMES

pytestmark = pytest.mark.unit

METRICS = """
# TYPE apiserver_request_total counter
apiserver_request_total{code="201",group="",resource="pods",scope="resource",subresource="",verb="POST"} 7
apiserver_request_total{code="409",group="",resource="pods",scope="resource",subresource="",verb="POST"} 1
apiserver_request_total{code="200",group="",resource="pods",scope="resource",subresource="status",verb="PATCH"} 14
apiserver_request_total{code="200",group="",resource="pods",scope="resource",subresource="",verb="GET"} 99
apiserver_request_total{code="200",group="tradewind.dev",resource="dagruns",subresource="status",verb="PATCH"} 3
apiserver_request_total{code="201",group="tradewind.dev",resource="dagruns",subresource="",verb="POST"} 1
apiserver_request_total{code="201",group="events.k8s.io",resource="events",subresource="",verb="POST"} 9
"""


def test_writes_are_counted_whatever_their_answer_was() -> None:
    assert parse(METRICS) == {
        ("POST", "pods"): 8,
        ("PATCH", "pods/status"): 14,
        ("PATCH", "dagruns/status"): 3,
        ("POST", "dagruns"): 1,
        ("POST", "events"): 9,
    }


def test_what_others_write_is_not_the_controllers() -> None:
    ours = of_controller(parse(METRICS), events=2, by_bench=1)
    assert ours == {("POST", "pods"): 8, ("PATCH", "dagruns/status"): 3, ("POST", "events"): 2}


def test_the_value_of_a_result_is_the_median_and_is_held_against_the_threshold() -> None:
    good, bad = records([Result("fan", "x", [0.7, 0.9, 0.8]), Result("hop-p50", "ms", [30])], "tiny")
    assert (good["value"], good["reach"], good["met"]) == (0.8, "≥ 0.8", True)
    assert (bad["value"], bad["reach"], bad["met"]) == (30, "≤ 25", False)


def test_results_of_other_workloads_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    keep(path, records([Result("hop-p50", "ms", [20]), Result("fan", "x", [1])], "tiny"))
    kept = keep(path, records([Result("fan", "x", [2])], "full"))
    assert kept == json.loads(path.read_text())
    assert [(one["workload"], one["value"]) for one in kept] == [("fan", 2), ("hop-p50", 20)]
    assert "MISSED" not in table(kept)


def test_the_chart_is_an_svg_of_what_has_a_threshold() -> None:
    kept = records([Result("fan", "x & y", [1]), Result("no goal", "x", [1])], "tiny")
    root = ElementTree.fromstring(chart.svg(kept))
    texts = [element.text for element in root.iter() if element.text]
    assert "fan" in texts
    assert "no goal" not in texts


def test_every_threshold_has_a_limit_and_a_reason() -> None:
    for name, entry in yaml.safe_load(THRESHOLDS.read_text()).items():
        assert entry["reason"], name
        assert ("atLeast" in entry) != ("atMost" in entry), name
    assert {name.partition("-")[0] for name in thresholds()} >= set(NAMES) - {"restart"}


def test_the_raw_path_makes_a_pod_of_each_task_instance() -> None:
    runs = [{"metadata": {"name": f"r{number}", "uid": str(number)}} for number in range(2)]
    made = dag("d", [*parallel(2), *mapped(3)], resultProtection="Finalizer")
    pods = [json.loads(body) for body in raw.pods(made, "ns", runs)]
    assert len({pod["metadata"]["name"] for pod in pods}) == 10
    assert all("finalizers" not in pod["metadata"] for pod in pods)
    assert {pod["metadata"]["ownerReferences"][0]["uid"] for pod in pods} == {"0", "1"}
