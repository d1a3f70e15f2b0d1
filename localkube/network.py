"""A network of its own for each cluster.

A real cluster lives in a network namespace: its iptables rules (kube-proxy's
chains are global to a namespace), its Pods' interfaces and its ports are
private to it, so several clusters run side by side and the machine's own
network is not touched. One veth pair joins it to the machine; over it the
machine reaches the API server, and each Pod and Service address too.

A cluster of fake nodes needs no packets: it listens on free loopback ports.
"""

import ipaddress
import json
import socket
from dataclasses import dataclass
from pathlib import Path

from localkube import packages
from localkube.errors import LocalkubeError
from localkube.shell import run

_LIMIT_SECONDS = 30.0
_FIRST_NET, _LAST_NET = 128, 223
_FIRST_PORT, _LAST_PORT = 20000, 29999


@dataclass(frozen=True)
class Network:
    """Addresses and ports of one cluster; as it is stored in the cluster's folder."""

    number: int
    """Of a real cluster: everything is in 10.NUMBER.0.0/16. Of a fake one: its first port."""
    private: bool
    """True if it has a network namespace of its own."""

    @property
    def address(self) -> str:
        """The address on which the components listen."""
        return f"10.{self.number}.0.2" if self.private else "127.0.0.1"

    @property
    def host_address(self) -> str:
        """The machine's address as the cluster's components and Pods see it."""
        return f"10.{self.number}.0.1" if self.private else "127.0.0.1"

    @property
    def pod_cidr(self) -> str:
        return f"10.{self.number}.4.0/22" if self.private else "10.244.0.0/16"

    @property
    def service_cidr(self) -> str:
        return f"10.{self.number}.16.0/20" if self.private else "10.96.0.0/16"

    @property
    def api_service_address(self) -> str:
        """The address of the Service `default/kubernetes`."""
        return str(ipaddress.ip_network(self.service_cidr)[1])

    @property
    def whole(self) -> str:
        """All addresses behind the cluster's end of the veth pair."""
        return f"10.{self.number}.0.0/16"

    @property
    def interface(self) -> str:
        """The machine's end of the veth pair (an interface name has at most 15 letters)."""
        return f"localkube{self.number}"

    def port(self, component: str) -> int:
        """The component's port: the usual one if it is private, else one of a free range."""
        usual = _USUAL_PORTS[component]
        return usual if self.private else self.number + list(_USUAL_PORTS).index(component)

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://{self.address}:{self.port('kube-apiserver')}"


_USUAL_PORTS = {
    "kube-apiserver": 6443,
    "etcd": 2379,
    "etcd-peer": 2380,
    "etcd-metrics": 2381,
    "kube-controller-manager": 10257,
    "kube-scheduler": 10259,
    "kwok": 10247,
    "kubelet": 10250,
    "kubelet-health": 10248,
    "kube-proxy": 10256,
}


def allot_private(taken: set[int]) -> Network:
    """A /16 that neither another cluster (`taken`) nor a route of this machine uses.

    Raises LocalkubeError if there is none.
    """
    routes = _routes()
    for number in range(_FIRST_NET, _LAST_NET + 1):
        network = Network(number, private=True)
        mine = ipaddress.ip_network(network.whole)
        if number not in taken and not any(mine.overlaps(route) for route in routes):
            return network
    raise LocalkubeError(f"no free network in 10.{_FIRST_NET}.0.0 … 10.{_LAST_NET}.0.0")


def allot_ports(taken: set[int]) -> Network:
    """A range of loopback ports that are free now and in no other cluster's range."""
    for first in range(_FIRST_PORT, _LAST_PORT - 10, 10):
        if first not in taken and all(_is_free(first + i) for i in range(len(_USUAL_PORTS))):
            return Network(first, private=False)
    raise LocalkubeError(f"no free range of ports in {_FIRST_PORT} … {_LAST_PORT}")


def namespace(cluster: str) -> str:
    """The name of a cluster's network namespace, as `ip netns` shows it."""
    return f"localkube-{cluster}"


def enter(cluster: str) -> list[str | Path]:
    """The prefix that runs a command in the cluster's network.

    Not `ip netns exec`, which also replaces /sys and so hides the cgroups.
    """
    return [packages.program("nsenter"), f"--net=/run/netns/{namespace(cluster)}", "--"]


def create(cluster: str, network: Network) -> None:
    """Create the namespace and the veth pair."""
    name, device = namespace(cluster), network.interface
    _ip("netns", "add", name)
    _ip("link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", name)
    _ip("addr", "add", f"{network.host_address}/30", "dev", device)
    _ip("link", "set", device, "up")
    _ip("-n", name, "addr", "add", f"{network.address}/30", "dev", "eth0")
    for inner in ("lo", "eth0"):
        _ip("-n", name, "link", "set", inner, "up")
    # Packets without a route fail at once instead of timing out; a Service's address needs a
    # route only so that kube-proxy's rules see the packet.
    _ip("-n", name, "route", "add", "unreachable", "default")
    _ip("-n", name, "route", "add", network.service_cidr, "via", network.host_address)
    _ip("route", "add", network.whole, "via", network.address)
    # Forward between Pods, and reject every packet without a route, not one a second.
    settings = "cd /proc/sys/net/ipv4 && echo 1 >ip_forward && echo 0 >icmp_ratelimit"
    run([*enter(cluster), "sh", "-c", settings], limit=_LIMIT_SECONDS)


def exists(cluster: str) -> bool:
    """True if a namespace with this cluster's name exists."""
    return Path("/run/netns", namespace(cluster)).exists()


def remove(cluster: str, network: Network | None) -> None:
    """Remove both, with the routes and rules in them, as far as they exist.

    Without `network` the kernel removes the machine's end of the pair with the
    namespace, a moment later.
    """
    if network is not None and Path("/sys/class/net", network.interface).exists():
        _ip("link", "delete", network.interface)
    if exists(cluster):
        _ip("netns", "delete", namespace(cluster))


def _ip(*words: str) -> str:
    return run([packages.program("ip"), *words], limit=_LIMIT_SECONDS)


def _routes() -> list[ipaddress.IPv4Network]:
    found = [route["dst"] for route in json.loads(_ip("-4", "-json", "route"))]
    return [ipaddress.IPv4Network(dst) for dst in found if dst != "default"]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
