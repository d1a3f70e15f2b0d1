"""Runs of which something is asked, and what is looked at then."""

from typing import Any

from tests.unit.controller.memory_cluster import Json, MemoryCluster

TWO = [
    {"name": "load", "image": "busybox", "args": ["load"]},
    {"name": "report", "image": "busybox", "dependsOn": ["load"]},
]


def task(cluster: MemoryCluster, run: str, name: str) -> Json:
    """The entry of a task, {} before there is one."""
    entries: list[Json] = cluster.status("dagruns", run).get("tasks", [])
    return next((entry for entry in entries if entry["name"] == name), {})


def pods(cluster: MemoryCluster, run: str, name: str = "load") -> list[Json]:
    """The Pods of a task, first try first."""
    found = [pod for pod in cluster.all("pods") if pod["metadata"]["labels"]["tradewind.dev/run"] == run]
    of_task = [pod for pod in found if pod["metadata"]["labels"]["tradewind.dev/task"] == name]
    return sorted(of_task, key=lambda pod: int(pod["metadata"]["labels"]["tradewind.dev/try"]))


def reasons(cluster: MemoryCluster, run: str) -> list[str]:
    return [event["reason"] for event in cluster.events("DagRun", run)]


def counts(cluster: MemoryCluster) -> dict[str, int]:
    """Finished runs of the Dag by phase, as history has them."""
    leader: Any = cluster.controller.leader
    return {phase: leader.history.counts[("ns", "sales"), phase] for phase in ("Succeeded", "Failed")}


async def failed_run(cluster: MemoryCluster, name: str = "one", **spec: Any) -> None:
    """A run that has failed, and whose Pods would succeed from now on."""
    cluster.dag("sales", tasks=TWO, **spec)
    cluster.run("sales", name, fails=True)
    await cluster.wait_phase(name, "Failed")
    await cluster.eventually(lambda: counts(cluster)["Failed"] == 1, "its end is counted")
    cluster.repair(name)


async def running_run(cluster: MemoryCluster, name: str = "one", **spec: Any) -> Json:
    """A run whose first Pod runs: that Pod."""
    cluster.stays.add(name)
    cluster.dag("sales", tasks=TWO, **spec)
    cluster.run("sales", name)
    await cluster.eventually(lambda: task(cluster, name, "load").get("state") == "Running", "its first task runs")
    return pods(cluster, name)[0]


def end(cluster: MemoryCluster, pod: Json, run: str = "one") -> None:
    cluster.end(pod["metadata"]["name"], run)
