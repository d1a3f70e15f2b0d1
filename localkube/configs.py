"""The configuration files of the components, written into the cluster's folder."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from localkube import files
from localkube.certificates import KeyPair
from localkube.layout import Layout
from localkube.network import Network

PAUSE_IMAGE = "localkube/pause:1"
_CNI_PROGRAMS = Path("/usr/lib/cni")
# Nothing listens there, so that pulling an image fails at once.
_NO_REGISTRY = """server = "http://127.0.0.1:1"
[host."http://127.0.0.1:1"]
capabilities = ["pull", "resolve"]
"""


def audit_policy(layout: Layout) -> Path:
    """The audit policy: all requests of service accounts, except those of Kubernetes."""
    rules = [
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ]
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules}
    path = layout.config / "audit-policy.yaml"
    files.write(path, yaml.safe_dump(policy))
    return path


def kubeconfig(path: Path, *, cluster: str, server: str, authority: Path, pair: KeyPair) -> None:
    """A kubeconfig with everything inline, so that the file can be copied anywhere."""
    name = f"localkube-{cluster}"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": _inline(authority)}}],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": _inline(pair.certificate),
                    "client-key-data": _inline(pair.key),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    _write_yaml(path, content, mode=0o600)


def scheduler(layout: Layout) -> Path:
    """No leader election (there is one scheduler) and no client throttling."""
    return _component(
        layout,
        "kube-scheduler",
        {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": {"leaderElect": False},
            "clientConnection": {
                "kubeconfig": str(layout.component_kubeconfig("kube-scheduler")),
                "qps": 2000,
                "burst": 4000,
            },
        },
    )


def kubelet(layout: Layout, network: Network, *, serving: KeyPair, authority: Path, cgroup_root: str) -> Path:
    """Tuned for tests: quick status, many small Pods, no eviction, no garbage collection of images."""
    # Nothing listens there, so a lookup fails at once instead of timing out.
    resolver = layout.config / "resolv.conf"
    files.write(resolver, f"nameserver {network.address}\n")
    return _component(
        layout,
        "kubelet",
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": network.address,
            "port": network.port("kubelet"),
            "healthzBindAddress": network.address,
            "healthzPort": network.port("kubelet-health"),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(serving.certificate),
            "tlsPrivateKeyFile": str(serving.key),
            "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
            "podLogsDir": str(layout.folder / "pod-logs"),
            "volumePluginDir": str(layout.folder / "volume-plugins"),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": cgroup_root,
            "cgroupsPerQOS": True,
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "clusterDomain": "cluster.local",
            "clusterDNS": [network.address],
            "resolvConf": str(resolver),
            "maxPods": 250,
            "serializeImagePulls": False,
            "registryPullQPS": 0,
            "eventRecordQPS": 100,
            "eventBurst": 200,
            "kubeAPIQPS": 200,
            "kubeAPIBurst": 400,
            "syncFrequency": "5s",
            "nodeStatusUpdateFrequency": "4s",
            "enableProfilingHandler": False,
        },
    )


def kube_proxy(layout: Layout, network: Network) -> Path:
    """iptables mode, without the sysctls that it may not write on a small machine."""
    return _component(
        layout,
        "kube-proxy",
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "bindAddress": "0.0.0.0",
            "clusterCIDR": network.pod_cidr,
            "clientConnection": {"kubeconfig": str(layout.component_kubeconfig("kube-proxy"))},
            "healthzBindAddress": f"{network.address}:{network.port('kube-proxy')}",
            "metricsBindAddress": "127.0.0.1:10249",
            "conntrack": {"maxPerCore": 0, "min": 0},
            "iptables": {"minSyncPeriod": "0s", "syncPeriod": "30s"},
        },
    )


def containerd(layout: Layout, network: Network) -> Path:
    """Everything of it, runc's and the sandboxes' state included, in the cluster's folder.

    `restrict_oom_score_adj`: without CAP_SYS_RESOURCE no sandbox starts otherwise.
    """
    cni = layout.config / "cni"
    _pod_network(cni / "10-localkube.conflist", layout, network)
    files.write(layout.config / "registries" / "_default" / "hosts.toml", _NO_REGISTRY)
    folder, cri = layout.folder / "containerd", 'plugins."io.containerd.grpc.v1.cri"'
    text = f"""
version = 2
root = "{folder}/root"
state = "{layout.containerd_state}"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "{layout.containerd_socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"
[{cri}]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[{cri}.cni]
bin_dir = "{_CNI_PROGRAMS}"
conf_dir = "{cni}"
[{cri}.registry]
config_path = "{layout.config}/registries"
[{cri}.containerd]
default_runtime_name = "runc"
[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
Root = "{folder}/runc"
SystemdCgroup = false
"""
    path = layout.config / "containerd.toml"
    files.write(path, text.lstrip())
    return path


def _pod_network(path: Path, layout: Layout, network: Network) -> None:
    """Point-to-point links, all routed: on a bridge, answers between two Pods would bypass
    the address translation of Services unless the kernel has br_netfilter."""
    content = {
        "cniVersion": "0.4.0",
        "name": "localkube",
        "plugins": [
            {
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(layout.folder / "cni-addresses"),
                    "ranges": [[{"subnet": network.pod_cidr}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
        ],
    }
    files.write(path, json.dumps(content, indent=2))


def _component(layout: Layout, component: str, content: Mapping[str, Any]) -> Path:
    path = layout.config / f"{component}.yaml"
    _write_yaml(path, content)
    return path


def _write_yaml(path: Path, content: Mapping[str, Any], *, mode: int = 0o644) -> None:
    files.write(path, yaml.safe_dump(dict(content), sort_keys=False), mode=mode)


def _inline(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
