"""`tradewind logs`: of a try, of a run, and what is said where there is no log."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import pytest

from tests.unit.cli.cluster_setup import Setup
from tests.unit.cli.commandline import PROGRAM

pytestmark = pytest.mark.unit

Json = dict[str, Any]
RUNNING: Json = {"running": {"startedAt": "2026-01-31T06:00:01Z"}}
ENDED: Json = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": "2026-01-31T06:00:01Z"}}
PULLING: Json = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
INITIALIZING: Json = {"waiting": {"reason": "PodInitializing"}}


def pod(
    task: str = "extract",
    number: int = 1,
    state: Json | None = ENDED,
    *,
    phase: str = "Succeeded",
    index: int | None = None,
    poke: int = 0,
    init: Json | None = None,
    sidecar: Json | None = None,
    **status: Any,
) -> Json:
    """A Pod of the run r. `init` and `sidecar` are the states of the containers fetch and proxy, if it has them."""
    labels = {"run": "r", "task": task, "try": str(number)}
    labels |= {"index": str(index)} if index is not None else {}
    labels |= {"poke": str(poke)} if poke else {}
    name = "-".join(["r", task, *(str(part) for part in (index, number, poke or None) if part is not None)])
    containers = {"task": state, **({"proxy": sidecar} if sidecar else {})}
    spec = {"containers": [{"name": each, "image": "busybox"} for each in containers]}
    containers_status = [{"name": each, "state": state} for each, state in containers.items() if state]
    status = {"phase": phase, "containerStatuses": containers_status, **status}
    if init:
        spec["initContainers"] = [{"name": "fetch"}]
        status["initContainerStatuses"] = [{"name": "fetch", "state": init}]
    metadata = {"name": name, "labels": {f"tradewind.dev/{key}": value for key, value in labels.items()}}
    return {"metadata": metadata, "spec": spec, "status": status}


def put(tradewind: Setup, *pods: Json) -> None:
    for each in pods:
        tradewind.fake.put("pods", each["metadata"]["name"], **each)


def run(tradewind: Setup, phase: str, *tasks: Json) -> None:
    status = {"phase": phase, "tasks": list(tasks)}
    tradewind.fake.put("dagruns", "r", spec={"dag": "sales"}, status=status)


def entry(state: str, **more: Any) -> Json:
    return {"name": "extract", "state": state, "try": 1, **more}


def refused(tradewind: Setup, *words: str) -> str:
    """Return the message on stderr if there is no log."""
    result = tradewind("logs", *words)
    assert (result.code, result.out) == (2, ""), result
    return result.err.removeprefix("error: ").strip()


def test_the_last_try_or_the_one_that_is_named(tradewind: Setup) -> None:
    put(tradewind, pod(number=2), pod(number=10), pod(number=1))
    assert tradewind("logs", "r", "extract").out == "the log of r-extract-10\n"
    assert tradewind("logs", "r", "extract", "--try", "2", "-f").out == "the log of r-extract-2\n"


@pytest.mark.parametrize("state", [RUNNING, ENDED])
def test_a_container_has_a_log_before_the_phase_of_its_pod_says_so(tradewind: Setup, state: Json) -> None:
    put(tradewind, pod(state=state, phase="Pending"))
    assert tradewind("logs", "r", "extract").out == "the log of r-extract-1\n"


def test_how_much_of_it(tradewind: Setup) -> None:
    put(tradewind, pod())
    tradewind.fake.logs["r-extract-1", "task"] = "1\n2\n3\n"
    assert tradewind("logs", "r", "extract", "--tail", "2").out == "2\n3\n"
    assert tradewind("logs", "r", "--tail", "1").out == "[extract] 3\n"
    assert tradewind("logs", "r", "extract", "--since", "5m").code == 0
    assert tradewind.fake.requests[-1].params["sinceSeconds"] == "300"
    assert "soon" in tradewind("logs", "r", "extract", "--since", "soon").err


def test_of_an_instance(tradewind: Setup) -> None:
    mapped = {
        "name": "load",
        "state": "Running",
        "count": 20,
        "indexes": {"Failed": "3,5", "Succeeded": "0-2,4,6-11"},
        "instances": [{"index": 3, "state": "Failed", "try": 2, "message": "no route to host"}],
    }
    run(tradewind, "Failed", entry("Succeeded"), mapped)
    instances = [(3, 2, 0), (3, 1, 0), (4, 1, 2), (4, 1, 10)]
    put(tradewind, *(pod("load", number, index=index, poke=poke) for index, number, poke in instances))
    assert tradewind("logs", "r", "load[3]").out == "the log of r-load-3-2\n"
    assert tradewind("logs", "r", "load[3]", "--try", "1").out == "the log of r-load-3-1\n"
    assert tradewind("logs", "r", "load[4]").out == "the log of r-load-4-1-10\n"
    for name, says in (
        ("load", "task 'load' is mapped: choose an instance, as in load[3]; there are Pods of 3-4"),
        ("load[20]", "task 'load' of run 'r' has 20 instances: 0 to 19"),
        ("load[11]", "the Pod of task 'load[11]' was deleted, and its log with it"),
        ("extract[0]", "task 'extract' of run 'r' is not mapped: omit the index"),
    ):
        assert says in refused(tradewind, "r", name)


def test_of_sidecars_and_init_containers(tradewind: Setup) -> None:
    put(tradewind, pod(init=ENDED, sidecar=RUNNING), pod("report"))
    tradewind.fake.logs["r-extract-1", "proxy"] = "ready\n"
    tradewind.fake.logs["r-extract-1", "fetch"] = "fetched\n"
    assert tradewind("logs", "r", "extract", "-c", "proxy").out == "ready\n"
    assert tradewind("logs", "r", "extract", "-c", "fetch").out == "fetched\n"
    assert tradewind("logs", "r", "-c", "fetch").out == "[extract] fetched\n"
    says = refused(tradewind, "r", "extract", "-c", "prox")
    assert (
        says == "task 'extract' has no container 'prox'; its containers are task, proxy; its init containers are fetch"
    )


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (pod(state=PULLING, phase="Pending"), "not started yet (ImagePullBackOff: no such image); wait for it with -f"),
        (
            pod(state=INITIALIZING, phase="Pending", init=PULLING),
            "not started yet (ImagePullBackOff: no such image); wait for it with -f",
        ),
        (
            pod(state=None, phase="Pending", conditions=[{"status": "False", "message": "0/1 nodes are available"}]),
            "not started yet (0/1 nodes are available); wait for it with -f",
        ),
        (
            pod(state=INITIALIZING, phase="Failed", init={"terminated": {"exitCode": 3, "reason": "Error"}}),
            "has not started (init container 'fetch' exited with code 3: see -c fetch)",
        ),
        (
            pod(state=None, phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
            "has not started (Evicted: The node was low on resource: memory.)",
        ),
    ],
)
def test_why_a_pod_has_none_yet(tradewind: Setup, found: Json, says: str) -> None:
    run(tradewind, "Running", entry("Queued"))
    put(tradewind, found)
    assert refused(tradewind, "r", "extract") == f"Pod r-extract-1 has {says}".replace("has has", "has")
    whole = tradewind("logs", "r")
    assert "no log of extract: has not started (" in whole.err
    if found["status"]["phase"] == "Failed":
        assert "has not started" in tradewind("logs", "r", "extract", "-f").err


def test_a_program_that_is_not_in_the_image(tradewind: Setup) -> None:
    message = 'exec: "pyton3": executable file not found in $PATH'
    said = f"failed to create containerd task: OCI runtime create failed: {message}: unknown"
    put(tradewind, pod(state={"terminated": {"exitCode": 128, "reason": "StartError", "message": said}}))
    tradewind.fake.logs["r-extract-1", "task"] = ""
    run(tradewind, "Failed", entry("Failed"))
    assert refused(tradewind, "r", "extract") == f"task 'extract' could not start: {message}"
    assert f"could not start: {message}" in tradewind("logs", "r").err
    assert f"could not start: {message}" in tradewind("logs", "r", "-f").err


@pytest.mark.parametrize(
    ("containers_status", "says"),
    [
        (
            entry("Failed", startedAt="2026-01-31T06:00:00Z", reason="Error", message="oh no"),
            "the Pod of task 'extract' was deleted, and its log with it; status: Failed: Error: oh no",
        ),
        (
            entry("Failed", reason="InvalidTemplate", message="`ket` is undefined"),
            "task 'extract' has no log, since it never started: Failed: InvalidTemplate: `ket` is undefined",
        ),
        (
            {"name": "extract", "state": "UpstreamFailed", "message": "load failed"},
            "task 'extract' did not run: UpstreamFailed: load failed",
        ),
        (entry("Succeeded"), "the Pod of task 'extract' was deleted, and its log with it; status: Succeeded"),
    ],
)
def test_what_is_said_without_a_pod(tradewind: Setup, containers_status: Json, says: str) -> None:
    run(tradewind, "Failed", containers_status)
    assert refused(tradewind, "r", "extract") == says


def test_an_earlier_try_without_a_pod(tradewind: Setup) -> None:
    earlier = [{"number": 1, "state": "Failed", "reason": "OOMKilled", "startedAt": "2026-01-31T06:00:00Z"}]
    run(tradewind, "Running", entry("Running", startedAt="2026-01-31T07:00:00Z", tries=earlier) | {"try": 2})
    put(tradewind, pod(number=2))
    says = refused(tradewind, "r", "extract", "--try", "1")
    assert says == "the Pod of task 'extract' of try 1 was deleted, and its log with it; status: Failed: OOMKilled"


def test_names_that_are_not_there(tradewind: Setup) -> None:
    run(tradewind, "Failed", entry("Failed"))
    assert "has no task 'load'; its tasks are extract" in refused(tradewind, "r", "load")
    for words in (("x", "extract"), ("x",), ("x", "-f")):
        assert "no DagRun named 'x'" in refused(tradewind, *words)
    assert "has no Pods" in refused(tradewind, "r")
    assert "has no Pods of try 7" in refused(tradewind, "r", "--try", "7")


def test_of_a_whole_run_the_last_try_of_each_task_in_the_order_of_their_starts(tradewind: Setup) -> None:
    def at(second: int) -> Json:
        return {"terminated": {"exitCode": 0, "startedAt": f"2026-01-31T06:00:0{second}Z"}}

    run(tradewind, "Succeeded", entry("Succeeded"))
    put(
        tradewind,
        pod("report", state=at(5)),
        pod("extract", 2, at(3)),
        pod("extract", 1, at(1)),
        pod("load", index=1, state=at(4)),
        pod("late", state=PULLING, phase="Pending"),
    )
    tradewind.fake.logs["r-extract-2", "task"] = "one\ntwo"
    tradewind.fake.logs["r-report-1", "task"] = ""
    result = tradewind("logs", "r")
    assert result.out == "[extract] one\n[extract] two\n[load[1]] the log of r-load-1-1\n"
    assert result.err == "no log of late: has not started (ImagePullBackOff: no such image)\n"
    assert result.code == 0
    assert tradewind("logs", "r", "--try", "1").out.splitlines()[0] == "[extract] the log of r-extract-1"


def test_a_pod_that_goes_meanwhile_keeps_nothing_else_back(tradewind: Setup) -> None:
    run(tradewind, "Succeeded", entry("Succeeded"))
    put(tradewind, pod(), pod("report"))
    tradewind.fake.logs["r-extract-1", "task"] = None
    result = tradewind("logs", "r")
    assert result.out == "[report] the log of r-report-1\n"
    assert 'no log of extract: pods "r-extract-1" not found' in result.err


def test_a_run_is_followed_to_its_end_with_each_try(tradewind: Setup) -> None:
    run(tradewind, "Running", entry("Running"))
    steps = [
        lambda: put(tradewind, pod("extract", 1)),
        lambda: put(tradewind, pod("extract", 2)),
        lambda: tradewind.fake.change("dagruns", "r", status={"phase": "Succeeded"}),
        lambda: put(tradewind, pod("report", 1)),
    ]
    tradewind.fake.when_listed = lambda: steps.pop(0)() if steps else None
    result = tradewind("logs", "r", "-f")
    assert sorted(result.out.splitlines()) == [
        "[extract try 2] the log of r-extract-2",
        "[extract] the log of r-extract-1",
        "[report] the log of r-report-1",
    ]
    assert (result.code, result.err) == (0, "")
    assert "omit --try" in tradewind("logs", "r", "-f", "--try", "1").err


def test_waiting_says_for_what(tradewind: Setup) -> None:
    run(tradewind, "Running", entry("Queued"))
    put(tradewind, pod(state=PULLING, phase="Pending"))

    def start() -> None:
        if len(tradewind.fake.requests) > 3:
            put(tradewind, pod())

    tradewind.fake.when_listed = start
    result = tradewind("logs", "r", "extract", "-f")
    assert result.out == "the log of r-extract-1\n"
    assert "waiting: Pod r-extract-1 has not started yet (ImagePullBackOff: no such image)\n" in result.err


def test_long_lines_are_written_as_they_come(tradewind: Setup) -> None:
    run(tradewind, "Succeeded", entry("Succeeded"))
    put(tradewind, pod())
    tradewind.fake.logs["r-extract-1", "task"] = "x" * 1_000_000
    out = tradewind("logs", "r").out
    assert out.replace("[extract] ", "").replace("\n", "") == "x" * 1_000_000


def test_no_one_reads_on(tradewind: Setup) -> None:
    run(tradewind, "Running", entry("Running"))
    # A pipe buffers a lot before a missing reader is detected, so more is printed with each attempt.
    tradewind.fake.when_listed = lambda: put(tradewind, pod("load", index=len(tradewind.fake.names("pods"))))
    began = time.monotonic()
    done = subprocess.run(
        f"{PROGRAM} logs r -f | head -1",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={**tradewind.cli.env, "KUBECONFIG": str(tradewind.cli.folder / "kubeconfig")},
    )
    assert (done.stdout, done.stderr) == ("[load[0]] the log of r-load-0-1\n", "")
    assert time.monotonic() - began < 30
