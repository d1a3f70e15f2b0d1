"""The connection to the API server, from a kubeconfig or the service account of a Pod.

Reads files and the environment, and returns a `Connection`; opens no connection itself. A `Connection` can be reloaded
after its files were replaced.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from tradewind.kube.credentials import Credentials, ExecCredentials, FileCredentials, StaticCredentials
from tradewind.kube.errors import ConfigurationError
from tradewind.kube.tls import client_context

log = logging.getLogger(__name__)

SERVICE_ACCOUNT_DIRECTORY = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Connection:
    """The settings of a client. `server` has no trailing slash; `tls` is None for plain HTTP."""

    server: str
    tls: ssl.SSLContext | None
    credentials: Credentials
    namespace: str = "default"
    tls_server_name: str | None = None
    proxy: str | None = None
    origin: Origin | None = field(default=None, compare=False, repr=False)
    """The files it was read from; None if there are none."""

    def renewed(self) -> Connection | None:
        """Return the connection reloaded from its files, or None if they are unchanged or unusable."""
        if self.origin is None or not self.origin.has_changed():
            return None
        try:
            found = self.origin.read()
        except ConfigurationError as error:
            log.warning("keeping the connection to %s: its files cannot be used: %s", self.server, error)
            return None
        if found.server != self.server:
            log.warning("keeping the connection to %s; restart to connect to %s", self.server, found.server)
            return None
        log.info("reloaded the changed files of the connection to %s", self.server)
        return found


class Origin:
    """The files of a connection, with their contents when it was read."""

    def __init__(self, files: Sequence[Path], read: Callable[[], Connection]) -> None:
        self.read = read
        self._files = files
        self._contents = self._digest()

    def has_changed(self) -> bool:
        """True if any of the files has changed."""
        return self._digest() != self._contents

    def _digest(self) -> list[bytes | None]:
        return [_digest(file) for file in self._files]


def _digest(file: Path) -> bytes | None:
    try:
        return hashlib.sha256(file.read_bytes()).digest()
    except OSError:
        return None


def find_connection(
    kubeconfig: Path | None = None,
    context: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    service_account: Path = SERVICE_ACCOUNT_DIRECTORY,
) -> Connection:
    """Return the first connection found: `kubeconfig`, `$KUBECONFIG`, the Pod's service account, `~/.kube/config`."""
    environ = os.environ if environ is None else environ
    if kubeconfig is not None:
        return load_kubeconfig([kubeconfig], context)
    if environ.get("KUBECONFIG"):
        paths = [Path(part) for part in environ["KUBECONFIG"].split(os.pathsep) if part]
        # Like kubectl, accept missing files in the list as long as one exists.
        return load_kubeconfig([path for path in paths if path.exists()] or paths[:1], context)
    if environ.get("KUBERNETES_SERVICE_HOST") and (service_account / "token").exists():
        return in_cluster(environ, service_account)
    home = Path(environ.get("HOME") or Path.home()) / ".kube" / "config"
    if home.exists():
        return load_kubeconfig([home], context)
    raise ConfigurationError(f"no cluster found: no $KUBECONFIG, no service account in {service_account}, no {home}")


def in_cluster(environ: Mapping[str, str], directory: Path = SERVICE_ACCOUNT_DIRECTORY) -> Connection:
    """Return the connection of a Pod with a mounted service account token."""
    host = environ["KUBERNETES_SERVICE_HOST"]
    port = environ.get("KUBERNETES_SERVICE_PORT_HTTPS") or environ.get("KUBERNETES_SERVICE_PORT") or "443"
    if ":" in host:
        host = f"[{host}]"
    namespace = directory / "namespace"
    origin = Origin([directory / "ca.crt"], partial(in_cluster, environ, directory))
    return Connection(
        server=f"https://{host}:{port}",
        tls=_tls_context(ca_file=directory / "ca.crt"),
        credentials=FileCredentials(directory / "token"),
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
        origin=origin,
    )


def load_kubeconfig(paths: Sequence[Path], context: str | None = None) -> Connection:
    """Return the connection of one context. Several files are merged as in kubectl: the first value wins."""
    merged = _Merged(paths)
    context_name = context or merged.current_context
    if not context_name:
        raise ConfigurationError(f"no current-context in {_names(paths)}, and no --context was given")
    chosen, _ = merged.entry("contexts", "context", context_name)
    cluster, cluster_base = merged.entry("clusters", "cluster", chosen.get("cluster", ""))
    user: dict[str, Any] = {}
    user_base = cluster_base
    if chosen.get("user"):
        user, user_base = merged.entry("users", "user", chosen["user"])
    server = str(cluster.get("server") or "").rstrip("/")
    if not server:
        raise ConfigurationError(f"cluster {chosen.get('cluster')!r} in {_names(paths)} has no server")
    files = [
        *paths,
        *_named(cluster, cluster_base, "certificate-authority"),
        *_named(user, user_base, "client-certificate", "client-key"),
    ]
    # Reload the same context, even if another one becomes the current context.
    origin = Origin(files, partial(load_kubeconfig, paths, context_name))
    return Connection(
        server=server,
        tls=_cluster_tls(cluster, cluster_base, user, user_base) if server.startswith("https") else None,
        credentials=_credentials(user, user_base),
        namespace=chosen.get("namespace") or "default",
        tls_server_name=cluster.get("tls-server-name"),
        proxy=cluster.get("proxy-url"),
        origin=origin,
    )


def _named(section: Mapping[str, Any], base: Path, *fields: str) -> list[Path]:
    return [base / section[field] for field in fields if section.get(field)]


class _Merged:
    """Several kubeconfig files merged into one; relative paths are relative to their own file."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._documents = [(_read_yaml(path), path.resolve().parent) for path in paths]

    @property
    def current_context(self) -> str | None:
        return next((doc["current-context"] for doc, _ in self._documents if doc.get("current-context")), None)

    def entry(self, section: str, key: str, name: str) -> tuple[dict[str, Any], Path]:
        for document, base in self._documents:
            for item in document.get(section) or ():
                if item.get("name") == name:
                    return item.get(key) or {}, base
        raise ConfigurationError(f"no {key} named {name!r} in {_names(self._paths)}")


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"cannot read kubeconfig {path}: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"kubeconfig {path} is not a mapping")
    return document


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))


def _credentials(user: Mapping[str, Any], base: Path) -> Credentials:
    # The order is kubectl's: a token file takes precedence over a token, and both over a plugin.
    if user.get("tokenFile"):
        return FileCredentials(base / user["tokenFile"])
    if user.get("token"):
        return StaticCredentials(user["token"])
    if plugin := user.get("exec"):
        command = str(plugin.get("command") or "")
        return ExecCredentials(
            # A bare name is looked up in $PATH; one with a slash is relative to the kubeconfig.
            str(base / command) if "/" in command else command,
            [str(arg) for arg in plugin.get("args") or ()],
            {str(item["name"]): str(item["value"]) for item in plugin.get("env") or ()},
            api_version=plugin.get("apiVersion") or "client.authentication.k8s.io/v1",
        )
    return StaticCredentials()


def _cluster_tls(
    cluster: Mapping[str, Any], cluster_base: Path, user: Mapping[str, Any], user_base: Path
) -> ssl.SSLContext:
    ca_data = _decoded(cluster, "certificate-authority-data")
    ca_file = cluster.get("certificate-authority")
    certificate = _decoded(user, "client-certificate-data")
    key = _decoded(user, "client-key-data")
    if certificate is None and user.get("client-certificate"):
        certificate = _read_file(user_base / user["client-certificate"])
    if key is None and user.get("client-key"):
        key = _read_file(user_base / user["client-key"])
    return _tls_context(
        ca_data=ca_data,
        ca_file=cluster_base / ca_file if ca_file and ca_data is None else None,
        certificate=certificate,
        key=key,
        verify=not cluster.get("insecure-skip-tls-verify"),
    )


def _tls_context(**settings: Any) -> ssl.SSLContext:
    try:
        return client_context(**settings)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigurationError(f"cannot use the TLS settings: {error}") from error


def _decoded(section: Mapping[str, Any], field: str) -> bytes | None:
    if not section.get(field):
        return None
    try:
        return base64.b64decode(section[field], validate=True)
    except binascii.Error as error:
        raise ConfigurationError(f"{field} in the kubeconfig is not base64") from error


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path} of the kubeconfig: {error}") from error
