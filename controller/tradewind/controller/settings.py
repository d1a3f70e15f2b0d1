"""What the controller is told from outside: options of `tradewind controller`, each also an environment variable."""

import os
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one controller process. `namespaces` empty: the whole cluster."""

    namespaces: tuple[str, ...] = ()
    pod_namespace: str = "default"
    identity: str = ""
    lease_name: str = "tradewind-controller"
    lease_duration: float = 15.0
    parallelism: int = 0
    check_crds: bool = True
    metrics_port: int = 8080
    probe_port: int = 8081
    webhook_port: int = 0
    webhook_secret: str = "tradewind-webhook"
    webhook_service: str = "tradewind-webhook"
    webhook_configuration: str = ""
    webhook_certificates: str = "self"
    log_format: str = "text"
    log_level: str = "info"

    @property
    def scopes(self) -> tuple[str | None, ...]:
        """Namespaces to watch, None for all at once."""
        return self.namespaces or (None,)


def default_identity() -> str:
    """Who this process is among replicas: a container that restarts is somebody else."""
    host = os.environ.get("TRADEWIND_POD_NAME") or socket.gethostname()
    return f"{ended_identities() or f'{host}_{os.getpid()}_'}{os.urandom(4).hex()}"


def ended_identities() -> str:
    """What the identities of earlier containers of this very Pod begin with. They have ended: the kubelet starts a
    container once the one before it is gone. Empty outside a Pod."""
    name, uid = os.environ.get("TRADEWIND_POD_NAME"), os.environ.get("TRADEWIND_POD_UID")
    return f"{name}_{uid}_" if name and uid else ""
