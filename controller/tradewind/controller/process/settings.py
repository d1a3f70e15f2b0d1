"""What the controller is told from outside: options of `tradewind controller`, each also an environment variable."""

import os
import socket
from dataclasses import dataclass

from tradewind.api.shards import Shard, shard_of_lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one controller process. `namespaces` empty: the whole cluster."""

    namespaces: tuple[str, ...] = ()
    pod_namespace: str = "default"
    identity: str = ""
    ended_identities: str = ""
    """What the identities of processes begin with that have ended for certain."""
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
        """Namespaces to watch, None for all at once. Of namespaces that are listed, those of this shard."""
        if not self.namespaces:
            return (None,)
        return tuple(namespace for namespace in self.namespaces if self.part.owns(namespace))

    @property
    def part(self) -> Shard:
        """Which part of all work is this controller's. ValueError if there is no such part."""
        return Shard(self.shard, self.shards)

    def excludes(self, lease: str) -> bool:
        """Whether who holds that Lease looks after a namespace that is this controller's too: it is one of the same
        release with another number of shards."""
        other = shard_of_lease(self.lease_name, lease)
        return other is not None and other != self.part and other.overlaps(self.part)


def default_identity() -> str:
    """Who this process is among replicas: a container that restarts is somebody else."""
    host = os.environ.get("TRADEWIND_POD_NAME") or socket.gethostname()
    return f"{ended_identities() or f'{host}_{os.getpid()}_'}{os.urandom(4).hex()}"


def ended_identities() -> str:
    """What the identities of earlier containers of this very Pod begin with. They have ended: the kubelet starts a
    container once the one before it is gone. Empty outside a Pod."""
    name, uid = os.environ.get("TRADEWIND_POD_NAME"), os.environ.get("TRADEWIND_POD_UID")
    return f"{name}_{uid}_" if name and uid else ""
