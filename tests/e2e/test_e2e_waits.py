"""waitFor on a cluster: runs of other Dags, Jobs and Deployments, whichever controller watches."""

from typing import Any

from tests.cluster import REPOSITORY, Manifest, moment
from tests.e2e.spaces import Space, stay, task
from tests.e2e.stage import Stage, side_by_side

DATE = "2026-03-02T06:00:00Z"
RESTRICTED_POD = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
}
RESTRICTED_CONTAINER = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def pod_spec(script: str, **fields: Any) -> Manifest:
    container = {
        "name": "main",
        "image": "busybox:1.36",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        "securityContext": RESTRICTED_CONTAINER,
    }
    return {**RESTRICTED_POD, "terminationGracePeriodSeconds": 1, "containers": [container], **fields}


def job(name: str, script: str) -> Manifest:
    template = {"spec": pod_spec(script, restartPolicy="Never")}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template}}


def deployment(name: str) -> Manifest:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod_spec("sleep 600")}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def wait(name: str, **wait_for: Any) -> Manifest:
    return {"name": name, "waitFor": wait_for}


def says(space: Space, run: str, name: str, message: str) -> None:
    space.eventually(lambda: space.task(run, name).get("message") == message, f"{run}/{name} says: {message}")
    assert space.task(run, name)["state"] == "UpForReschedule"


@side_by_side
def test_a_dag_waits_for_the_run_of_another_while_controllers_restart(stage: Stage) -> None:
    space, controller = stage.space_and_controller("wait-run")
    wanted: Manifest = {"dag": "sales"}
    space.dag(
        "report",
        wait("sold", dagRun=wanted),
        wait("loaded", dagRun={**wanted, "task": "load"}),
        task("report", "true", "sold"),
    )
    run = space.run("report", "report", logicalDate=DATE)
    says(space, run, "sold", "waiting for a run of Dag 'sales', which does not exist")
    space.dag("sales", task("load", "sleep 6"), task("check", "sleep 10", "load"))
    none = f"waiting for a run of Dag 'sales' with the logical date {DATE}: none exists yet"
    says(space, run, "sold", none)
    space.run("sales", "sales", logicalDate=DATE)
    says(space, run, "loaded", "waiting for task 'load' of run 'sales' of Dag 'sales': Running")

    controller.kill()
    second = stage.controllers.launch_for(space.name)
    space.wait_state(run, "loaded", "Succeeded")
    assert space.status("sales")["phase"] == "Running"
    says(space, run, "sold", "waiting for run 'sales' of Dag 'sales': Running")
    # It finishes while no controller is watching.
    second.wait_leading().kill()
    space.eventually(lambda: ended(space, "sales", "check"), "the last Pod of the run ends")
    stage.controllers.launch_for(space.name)

    status = space.wait_succeeded(run)
    assert all(entry["try"] == 1 for entry in status["tasks"])
    assert not space.pods_of(run, "sold")
    assert moment(space.task(run, "sold")["finishedAt"]) >= moment(space.status("sales")["finishedAt"])
    later = space.run("report", "later", logicalDate=DATE)
    space.wait_succeeded(later)


def ended(space: Space, run: str, name: str) -> bool:
    return any(pod.status.phase == "Succeeded" for pod in space.pods_of(run, name))


@side_by_side
def test_a_run_that_fails_fails_those_that_wait_for_it(stage: Stage) -> None:
    space, _ = stage.space_and_controller("wait-failed")
    space.dag("sales", task("load", "sleep 2; exit 1"))
    space.dag(
        "report",
        wait("sold", dagRun={"dag": "sales"}),
        wait("ended", dagRun={"dag": "sales", "states": ["Succeeded", "Failed"]}),
        wait("tried", dagRun={"dag": "sales", "task": "load", "states": ["Failed"]}),
    )
    for dag in ("report", "sales"):
        space.run(dag, dag, logicalDate=DATE)
    assert space.wait_finished("report")["phase"] == "Failed"
    sold = space.task("report", "sold")
    assert (sold["state"], sold["reason"]) == ("Failed", "WaitedForEnded")
    assert sold["message"] == "run 'sales' of Dag 'sales' finished as Failed"
    assert space.task("report", "ended")["state"] == space.task("report", "tried")["state"] == "Succeeded"


@side_by_side
def test_a_dag_waits_for_a_job_and_a_deployment_while_controllers_restart(stage: Stage) -> None:
    space, controller = stage.space_and_controller("wait-object")
    import_job: Manifest = {"apiVersion": "batch/v1", "kind": "Job", "name": "import-{{ ds }}"}
    server: Manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "server"}
    space.dag(
        "objects",
        wait("job", object={**import_job, "condition": {"type": "Complete"}}),
        wait("ready", object={**server, "jsonPath": ".status.readyReplicas", "value": "1"}),
        wait("available", object={**server, "condition": {"type": "Available"}}),
        wait("none", object={"apiVersion": "batch/v1", "kind": "Jib", "name": "x", "condition": {"type": "Complete"}}),
        {**wait("long", object={**server, "name": "no", "condition": {"type": "x"}}), "sensor": {"timeout": "5s"}},
    )
    run = space.run("objects", "objects", logicalDate=DATE)
    says(space, run, "job", "waiting for Job 'import-2026-03-02', which does not exist")
    none = space.wait_state(run, "none", "Failed")
    assert none["message"] == "waitFor.object: the cluster has no kind 'Jib' in 'batch/v1'"
    assert space.wait_state(run, "long", "Failed")["reason"] == "SensorTimeout"
    space.kubectl.apply(job("import-2026-03-02", "sleep 5"))
    says(space, run, "job", "waiting for Job 'import-2026-03-02': Complete is not set yet")

    controller.kill()
    space.kubectl.apply(deployment("server"))
    second = stage.controllers.launch_for(space.name)
    for name in ("job", "ready", "available"):
        space.wait_state(run, name, "Succeeded")
        assert "message" not in space.task(run, name)
    assert space.wait_finished(run)["phase"] == "Failed", "for the two that could not come"
    second.wait_leading()


@side_by_side
def test_the_example(stage: Stage) -> None:
    space, _ = stage.space_and_controller("wait-example")
    folder = REPOSITORY / "examples" / "wait-for"
    space.kubectl.run("apply", "-f", str(folder / "dags.yaml"))
    space.run("report", "report", logicalDate=DATE)
    says(space, "report", "imported", "waiting for Job 'import', which does not exist")
    space.run("orders", "orders", logicalDate=DATE)
    space.kubectl.run("apply", "-f", str(folder / "job.yaml"))
    space.wait_succeeded("report")
    assert {entry["state"] for entry in space.tasks("report").values()} == {"Succeeded"}


@side_by_side
def test_nothing_is_written_or_read_while_it_waits(stage: Stage) -> None:
    space, controller = stage.space_and_controller("wait-quiet")
    nothing: Manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "no", "condition": {"type": "x"}}
    space.dag("quiet", wait("run", dagRun={"dag": "quiet", "offset": "-1d"}), wait("object", object=nothing))
    run = space.run("quiet", "quiet", logicalDate=DATE)
    says(space, run, "object", "waiting for Deployment 'no', which does not exist")
    before = space.witness.get(space.name, "dagruns", run)["metadata"]["resourceVersion"]
    series = 'tradewind_api_writes_total{code="200",resource="dagruns",verb="patch"}'
    writes = space.eventually(lambda: controller.metric(series), "the write is counted once it is answered")
    stay(5, lambda: space.witness.get(space.name, "dagruns", run)["metadata"]["resourceVersion"] == before, "quiet")
    assert controller.metric(series) == writes
