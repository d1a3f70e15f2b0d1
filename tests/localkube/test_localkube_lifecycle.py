"""Clusters start and stop: side by side, after kills, and without leaving anything behind."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from localkube import Cluster, LocalkubeError, layout, leftovers, processes, waiting
from tests.localkube.local_clusters import Kubectl, kubectl_for, unique_name

pytestmark = pytest.mark.e2e


def traces_of(name: str) -> dict[str, list[str]]:
    """Everything on this machine that bears a cluster's name."""
    words = [
        f"{file.parent.name} {words}"
        for file in Path("/proc").glob("[0-9]*/cmdline")
        if f"/{name}/" in (words := read(file)) and "pytest" not in words
    ]
    return {
        "processes": words,
        "processes in its cgroup": [str(process.pid) for process in leftovers.CgroupTree(name).processes()],
        "cgroups": [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/localkube/{name}")],
        "mounts": [line for line in read(Path("/proc/self/mounts")).splitlines() if f"/{name}/" in line],
        "network namespaces": [line for line in run("ip", "netns").splitlines() if name in line],
        "container log links": [
            str(link) for link in Path("/var/log/containers").glob("*") if f"/{name}/" in str(link.readlink())
        ],
        "folder": [str(folder)] if (folder := layout.Layout(name).folder).exists() else [],
    }


def interfaces() -> set[tuple[str, int]]:
    """Of the machine: names and indexes, since a name is given again once it is free."""
    return {(link["ifname"], link["ifindex"]) for link in json.loads(run("ip", "-json", "link"))}


def interface_of(name: str) -> set[tuple[str, int]]:
    """The machine's end of a cluster's network."""
    record = layout.Layout(name).read()
    assert record is not None
    return {each for each in interfaces() if each[0] == record.network.interface}


def read(file: Path) -> str:
    try:
        return file.read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def run(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout


def run_pod(kubectl: Kubectl, name: str, *command: str) -> None:
    image = ["--image=busybox", "--image-pull-policy=Never", "--restart=Never"]
    kubectl("run", name, *image, "--command", "--", *command)


def answers(kubectl: Kubectl, pod: str) -> bool:
    try:
        return kubectl("exec", pod, "--", "echo", "alive") == "alive"
    except AssertionError:
        return False


def test_up_is_idempotent_and_knows_its_profile(cluster: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    before = [component.pid for component in cluster.status()]
    Cluster(cluster.name).up()
    assert "is up" in capfd.readouterr().err
    assert [component.pid for component in cluster.status()] == before
    with pytest.raises(LocalkubeError, match="profile real"):
        Cluster(cluster.name, profile="kwok").up()


def test_clusters_side_by_side_and_nothing_left_after_down(cluster: Cluster, kubectl: Kubectl) -> None:
    twin = unique_name()
    other = Cluster(unique_name())
    try:
        with ThreadPoolExecutor(1) as thread:  # components outlive the thread that started them
            thread.submit(other.up).result()
        other_kubectl = kubectl_for(other)
        for each in (kubectl, other_kubectl):
            run_pod(each, twin, "sleep", "1000")
        for each in (kubectl, other_kubectl):
            each("wait", f"pod/{twin}", "--for=condition=Ready", "--timeout=180s")
        assert all(component.healthy for component in [*cluster.status(), *other.status()])
        assert any(traces_of(other.name).values())
        assert len(interface := interface_of(other.name)) == 1
    finally:
        other.down()
    assert traces_of(other.name) == {kind: [] for kind in traces_of(other.name)}
    assert not interface & interfaces()
    assert kubectl("exec", twin, "--", "echo", "unharmed") == "unharmed"
    other.down()


def test_a_component_is_killed_and_started_again(cluster: Cluster, kubectl: Kubectl) -> None:
    # A name of its own each time: the test may be run again on the same cluster.
    pod = unique_name()
    run_pod(kubectl, pod, "sleep", "1000")
    kubectl("wait", f"pod/{pod}", "--for=condition=Ready", "--timeout=180s")
    for component in ("kube-apiserver", "etcd", "kubelet", "containerd"):
        cluster.kill_component(component)
        assert next(found for found in cluster.status() if found.name == component).pid is None
        cluster.start_component(component)
        with pytest.raises(LocalkubeError, match="runs already"):
            cluster.start_component(component)
    kubectl("wait", "node", "--all", "--for=condition=Ready", "--timeout=180s")
    # The kubelet needs a moment to find its containers again.
    kubectl("wait", f"pod/{pod}", "--for=condition=Ready", "--timeout=180s")
    healthy = lambda: all(component.healthy for component in cluster.status())  # noqa: E731
    waiting.until(healthy, "all components to be healthy", limit=120, log=cluster.folder / "logs" / "kubelet.log")
    # Ready may be what the API server last heard: a new kubelet takes a while to learn of its Pods again.
    reached = lambda: answers(kubectl, pod)  # noqa: E731
    waiting.until(reached, "the Pod to be reached again", limit=120, log=cluster.folder / "logs" / "kubelet.log")
    assert kubectl("get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].restartCount}") == "0"


def test_up_after_everything_was_killed(cluster: Cluster, kubectl: Kubectl) -> None:
    """Kills the module's cluster: keep this the last test."""
    pod = unique_name()
    run_pod(kubectl, pod, "sleep", "1000")
    kubectl("wait", f"pod/{pod}", "--for=condition=Ready", "--timeout=180s")
    members = leftovers.CgroupTree(cluster.name).processes()
    assert len(members) > len(cluster.status())
    processes.kill_all(members)
    assert not any(component.healthy for component in cluster.status())

    cluster.up()
    assert all(component.healthy for component in cluster.status())
    assert kubectl_for(cluster)("get", "pods") == ""

    cluster.down()
    assert traces_of(cluster.name) == {kind: [] for kind in traces_of(cluster.name)}


def test_fake_nodes_run_pods_to_their_end() -> None:
    with Cluster(unique_name(), profile="kwok", nodes=2) as cluster:
        kubectl = kubectl_for(cluster)
        assert sorted(cluster.nodes().values()) == [True, True]
        run_pod(kubectl, "short", "true")
        kubectl("run", "long", "--image=any")
        kubectl("wait", "pod/short", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=180s")
        kubectl("wait", "pod/long", "--for=condition=Ready", "--timeout=180s")
        kubectl("delete", "pod", "long", "--timeout=180s")
        name = cluster.name
    assert traces_of(name) == {kind: [] for kind in traces_of(name)}


def test_containers_take_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localkube.kind.is_preferred", lambda: False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    cluster = Cluster(unique_name())
    with pytest.raises(LocalkubeError, match="profile real runs containers, which needs root"):
        cluster.up()
    assert not cluster.folder.exists()
