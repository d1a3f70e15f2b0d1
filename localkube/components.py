"""The components of a cluster: their commands and health endpoints."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localkube import certificates, configs, packages, tools
from localkube.certificates import KeyPair
from localkube.layout import Layout, Profile
from localkube.leftovers import CgroupTree
from localkube.network import Network
from localkube.progress import Progress

# In the order in which they start.
NAMES: dict[Profile, tuple[str, ...]] = {
    "real": (
        "containerd", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet",
        "kube-proxy",
    ),
    "kwok": ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"),
}  # fmt: skip

_USERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "kube-controller-manager": ("system:kube-controller-manager", ()),
    "kube-scheduler": ("system:kube-scheduler", ()),
    "kube-proxy": ("system:kube-proxy", ()),
    "kwok": ("kwok", ("system:masters",)),
}


@dataclass(frozen=True)
class Credentials:
    """The certificates that are used by more than one component."""

    authority: KeyPair
    administrator: KeyPair
    api_server: KeyPair
    api_server_as_client: KeyPair
    service_accounts: KeyPair
    front_authority: KeyPair
    front_client: KeyPair

    @classmethod
    def at(cls, folder: Path) -> "Credentials":
        """Those in a cluster's `pki` folder, made by `write_configuration`."""

        def pair(name: str) -> KeyPair:
            return KeyPair(folder / f"{name}.crt", folder / f"{name}.key")

        service_accounts = KeyPair(folder / "service-account.pub", folder / "service-account.key")
        return cls(
            pair("ca"), pair("admin"), pair("kube-apiserver"), pair("kube-apiserver-client"),
            service_accounts, pair("front-proxy-ca"), pair("front-proxy-client"),
        )  # fmt: skip


def write_configuration(layout: Layout, profile: Profile, network: Network) -> None:
    """Write all certificates, kubeconfigs and configuration files of a cluster."""
    authority = certificates.Authority(layout.pki)
    certificates.service_account_keys(layout.pki)
    front = certificates.Authority(layout.pki, "front-proxy-ca")
    front.client("front-proxy-client", "front-proxy-client")
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"]
    names.append("kubernetes.default.svc.cluster.local")
    addresses = dict.fromkeys(["127.0.0.1", network.address, network.api_service_address])
    authority.server("kube-apiserver", list(addresses), names)
    authority.client("kube-apiserver-client", "kube-apiserver", ["system:masters"])
    for component in ("kube-controller-manager", "kube-scheduler"):
        authority.server(f"{component}-server", [network.address])
    serving = authority.server("kubelet-server", [network.address], [layout.name])

    def kubeconfig(path: Path, pair: KeyPair) -> None:
        configs.kubeconfig(
            path,
            cluster=layout.name,
            server=network.server,
            authority=authority.pair.certificate,
            pair=pair,
        )

    kubeconfig(layout.kubeconfig, authority.client("admin", "admin", ["system:masters"]))
    users = {**_USERS, "kubelet": (f"system:node:{layout.name}", ("system:nodes",))}
    for component in NAMES[profile]:
        if component in users:
            user, groups = users[component]
            kubeconfig(layout.component_kubeconfig(component), authority.client(component, user, groups))
    configs.scheduler(layout)
    configs.audit_policy(layout)
    if profile == "real":
        cgroup = CgroupTree(layout.name).path
        configs.kubelet(layout, network, serving=serving, authority=authority.pair.certificate, cgroup_root=cgroup)
        configs.kube_proxy(layout, network)
        configs.containerd(layout, network)


def command(component: str, layout: Layout, network: Network, progress: Progress) -> list[str | Path]:
    """The command of a component; builds its program if necessary."""
    return _COMMANDS[component](layout, network, progress)


def health_url(component: str, network: Network) -> str | None:
    """The URL that answers 200 while a component is healthy; None for containerd, which has none."""
    port = {"etcd": "etcd-metrics", "kubelet": "kubelet-health"}.get(component, component)
    host = network.address
    if component == "containerd":
        return None
    if component in ("etcd", "kubelet", "kube-proxy", "kwok"):
        path = "health" if component == "etcd" else "healthz"
        return f"http://{host}:{network.port(port)}/{path}"
    path = "readyz" if component == "kube-apiserver" else "healthz"
    return f"https://{host}:{network.port(port)}/{path}"


def _etcd(layout: Layout, network: Network, progress: Progress) -> list[str | Path]:
    """Only on loopback: it is not protected. No fsync: a local cluster's data may be lost."""
    client, peer = (f"http://127.0.0.1:{network.port(name)}" for name in ("etcd", "etcd-peer"))
    return [
        tools.ensure("etcd", progress),
        f"--name={layout.name}",
        f"--data-dir={layout.folder / 'etcd-data'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster={layout.name}={peer}",
        f"--listen-metrics-urls=http://{network.address}:{network.port('etcd-metrics')}",
        "--unsafe-no-fsync",
        "--quota-backend-bytes=8589934592",
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=5m",
        "--log-level=warn",
    ]


def _api_server(layout: Layout, network: Network, progress: Progress) -> list[str | Path]:
    keys = Credentials.at(layout.pki)
    words: list[str | Path] = [
        tools.ensure("kube-apiserver", progress),
        f"--etcd-servers=http://127.0.0.1:{network.port('etcd')}",
        f"--secure-port={network.port('kube-apiserver')}",
        f"--tls-cert-file={keys.api_server.certificate}",
        f"--tls-private-key-file={keys.api_server.key}",
        f"--client-ca-file={keys.authority.certificate}",
        f"--service-cluster-ip-range={network.service_cidr}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={keys.service_accounts.certificate}",
        f"--service-account-signing-key-file={keys.service_accounts.key}",
        f"--requestheader-client-ca-file={keys.front_authority.certificate}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={keys.front_client.certificate}",
        f"--proxy-client-key-file={keys.front_client.key}",
        "--authorization-mode=Node,RBAC",
        # The second as on OpenShift: setting an owner needs rights on it.
        "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement",
        f"--audit-policy-file={layout.config / 'audit-policy.yaml'}",
        f"--audit-log-path={layout.audit_log}",
        "--audit-log-maxsize=1000",
        "--allow-privileged=true",
        "--profiling=false",
    ]
    if not network.private:
        # No Pod will ever look it up, and the Endpoints of a Service may not be loopback.
        return [*words, "--bind-address=127.0.0.1", "--endpoint-reconciler-type=none",
                "--advertise-address=198.51.100.1"]  # fmt: skip
    return [
        *words,
        "--bind-address=0.0.0.0",
        f"--advertise-address={network.address}",
        "--enable-aggregator-routing=true",
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={keys.authority.certificate}",
        f"--kubelet-client-certificate={keys.api_server_as_client.certificate}",
        f"--kubelet-client-key={keys.api_server_as_client.key}",
    ]


def _controller_manager(layout: Layout, network: Network, progress: Progress) -> list[str | Path]:
    keys, kubeconfig = Credentials.at(layout.pki), layout.component_kubeconfig("kube-controller-manager")
    return [
        tools.ensure("kube-controller-manager", progress),
        *_serving(layout, "kube-controller-manager"),
        f"--kubeconfig={kubeconfig}",
        f"--bind-address={network.address}",
        f"--secure-port={network.port('kube-controller-manager')}",
        f"--root-ca-file={keys.authority.certificate}",
        f"--cluster-signing-cert-file={keys.authority.certificate}",
        f"--cluster-signing-key-file={keys.authority.key}",
        f"--service-account-private-key-file={keys.service_accounts.key}",
        f"--service-cluster-ip-range={network.service_cidr}",
        f"--flex-volume-plugin-dir={layout.folder / 'volume-plugins'}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        "--profiling=false",
    ]


def _scheduler(layout: Layout, network: Network, progress: Progress) -> list[str | Path]:
    return [
        tools.ensure("kube-scheduler", progress),
        *_serving(layout, "kube-scheduler"),
        f"--config={layout.config / 'kube-scheduler.yaml'}",
        f"--bind-address={network.address}",
        f"--secure-port={network.port('kube-scheduler')}",
    ]


def _kubelet(layout: Layout, network: Network, progress: Progress) -> list[str | Path]:
    return [
        tools.ensure("kubelet", progress),
        f"--config={layout.config / 'kubelet.yaml'}",
        f"--kubeconfig={layout.component_kubeconfig('kubelet')}",
        f"--root-dir={layout.folder / 'kubelet'}",
        f"--cert-dir={layout.pki / 'kubelet'}",
        f"--hostname-override={layout.name}",
        f"--node-ip={network.address}",
    ]


def _kube_proxy(layout: Layout, network: Network, progress: Progress) -> list[str | Path]:
    return [
        tools.ensure("kube-proxy", progress),
        f"--config={layout.config / 'kube-proxy.yaml'}",
        f"--hostname-override={layout.name}",
    ]


def _containerd(layout: Layout, network: Network, progress: Progress) -> list[str | Path]:
    return [packages.program("containerd"), f"--config={layout.config / 'containerd.toml'}"]


def _kwok(layout: Layout, network: Network, progress: Progress) -> list[str | Path]:
    return [
        tools.ensure("kwok", progress),
        f"--kubeconfig={layout.component_kubeconfig('kwok')}",
        f"--config={Path(__file__).parent / 'kwok.yaml'}",
        "--manage-all-nodes=true",
        "--v=WARN",
        f"--cidr={network.pod_cidr}",
        f"--node-ip={network.address}",
        f"--server-address={network.address}:{network.port('kwok')}",
    ]


def _serving(layout: Layout, component: str) -> list[str]:
    """Certificate options of a component that serves only health and metrics."""
    kubeconfig, pair = layout.component_kubeconfig(component), layout.pki / f"{component}-server"
    return [
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--tls-cert-file={pair}.crt",
        f"--tls-private-key-file={pair}.key",
    ]


_COMMANDS: dict[str, Callable[[Layout, Network, Progress], list[str | Path]]] = {
    "containerd": _containerd,
    "etcd": _etcd,
    "kube-apiserver": _api_server,
    "kube-controller-manager": _controller_manager,
    "kube-scheduler": _scheduler,
    "kubelet": _kubelet,
    "kube-proxy": _kube_proxy,
    "kwok": _kwok,
}
