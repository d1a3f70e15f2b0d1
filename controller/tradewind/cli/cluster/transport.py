"""Connects to a cluster with the TLS settings and credentials of the kubeconfig.

pykube-ng would write certificates and keys to world-readable files with predictable names in the temp folder, and leave
them there. Here they stay in memory.
"""

import json
import os
import ssl
import subprocess
from collections.abc import Callable
from typing import Any

import pykube  # type: ignore[import-untyped]
import requests
import urllib3
from pykube.http import KubernetesHTTPAdapter  # type: ignore[import-untyped]

from tradewind.cli.errors import CliError
from tradewind.kube.tls import client_context, load_pair


class Transport(KubernetesHTTPAdapter):  # type: ignore[misc]
    """Sends the requests of one context of a kubeconfig."""

    def __init__(self, config: "pykube.KubeConfig") -> None:
        cluster, user = config.cluster, config.user
        self._verify = not cluster.get("insecure-skip-tls-verify")
        self._server_name = cluster.get("tls-server-name")
        self._from_plugin: str | None = None
        try:
            self._tls = client_context(
                ca_data=_content(cluster, "certificate-authority"),
                certificate=_content(user, "client-certificate"),
                key=_content(user, "client-key"),
                verify=self._verify,
            )
        except (OSError, ValueError) as error:
            raise CliError(f"the certificates of the kubeconfig cannot be used: {error}") from error
        super().__init__(config)

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the key and settings of the connection for a request."""
        host, _ = super().build_connection_pool_key_attributes(request, True)
        settings: dict[str, Any] = {"ssl_context": self._tls}
        if not self._verify:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
            settings |= {"cert_reqs": ssl.CERT_NONE, "assert_hostname": False}
        elif self._server_name:
            settings |= {"server_hostname": self._server_name, "assert_hostname": self._server_name}
        return host, settings

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the TLS context has all settings."""

    def _setup_request_certificates(self, config: Any, request: Any, kwargs: Any) -> None:
        """Do nothing: the TLS context has the certificates."""

    def _setup_request_auth(self, config: Any, request: Any, kwargs: Any) -> Callable[..., Any] | None:
        plugin = config.user.get("exec")
        if not plugin or config.user.get("token") or "Authorization" in request.headers:
            retry: Callable[..., Any] | None = super()._setup_request_auth(config, request, kwargs)
            return retry
        if self._from_plugin is None:
            self._from_plugin = self._run_plugin(plugin)
        if self._from_plugin:
            request.headers["Authorization"] = self._from_plugin
        return None

    def _run_plugin(self, plugin: dict[str, Any]) -> str:
        """Run a credential plugin: load its certificate, and return the header with its token."""
        about = {"apiVersion": plugin.get("apiVersion"), "kind": "ExecCredential", "spec": {"interactive": False}}
        environment = dict(os.environ) | {"KUBERNETES_EXEC_INFO": json.dumps(about)}
        environment |= {str(each["name"]): str(each["value"]) for each in plugin.get("env") or ()}
        output = subprocess.check_output([plugin["command"], *(plugin.get("args") or ())], env=environment)
        try:
            status = json.loads(output)["status"]
            certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
            if certificate and key:
                load_pair(self._tls, certificate.encode(), key.encode())
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise CliError(f"the credential plugin {plugin['command']} printed no ExecCredential: {error}") from error
        if status.get("token"):
            return f"Bearer {status['token']}"
        if certificate and key:
            return ""
        raise CliError(f"the credential plugin {plugin['command']} returned neither a token nor a certificate")


def _content(section: Any, field: str) -> bytes | None:
    if field not in section:
        return None
    content: bytes = section[field].bytes()
    return content
