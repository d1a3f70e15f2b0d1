"""The settings of the controller: options of `tradewind controller`, each also an environment variable."""

import os
import socket
from dataclasses import dataclass

from tradewind.api.shards import Shard, shard_of_lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one controller process. Empty `namespaces` means the whole cluster."""

    namespaces: tuple[str, ...] = ()
    pod_namespace: str = "default"
    identity: str = ""
    ended_identities: str = ""
    """The prefix of identities of processes that are certain to have exited."""
    lease_name: str = "tradewind-controller"
    lease_duration: float = 15.0
    parallelism: int = 0
    shards: int = 1
    shard: int = 0
    check_crds: bool = True
    metrics_port: int = 8080
    probe_port: int = 8081
    webhook_port: int = 0
    webhook_secret: str = "tradewind-webhook"
    webhook_service: str = "tradewind-webhook"
    webhook_configuration: str = ""
    webhook_certificates: str = "self"
    webhook_authorize: bool = True
    log_format: str = "text"
    log_level: str = "info"

    @property
    def scopes(self) -> tuple[str | None, ...]:
        """The namespaces to watch that belong to this shard; None stands for all namespaces."""
        if not self.namespaces:
            return (None,)
        return tuple(namespace for namespace in self.namespaces if self.part.owns(namespace))

    @property
    def part(self) -> Shard:
        """The shard of this controller. Raises ValueError if `shard` is out of range."""
        return Shard(self.shard, self.shards)

    def excludes(self, lease: str) -> bool:
        """True if the holder of that Lease shares a namespace with this controller: a controller of the same release
        with another number of shards."""
        other = shard_of_lease(self.lease_name, lease)
        return other is not None and other != self.part and other.overlaps(self.part)


def default_identity() -> str:
    """Return an identity that is unique among replicas; a restarted container has a different one."""
    host = os.environ.get("TRADEWIND_POD_NAME") or socket.gethostname()
    return f"{ended_identities() or f'{host}_{os.getpid()}_'}{os.urandom(4).hex()}"


def ended_identities() -> str:
    """Return the prefix of the identities of earlier containers of this Pod. They have exited: the kubelet starts a
    container only after the previous one has exited. Empty outside a Pod."""
    name, uid = os.environ.get("TRADEWIND_POD_NAME"), os.environ.get("TRADEWIND_POD_UID")
    return f"{name}_{uid}_" if name and uid else ""
