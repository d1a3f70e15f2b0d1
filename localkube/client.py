"""Just enough of a Kubernetes client to set a cluster up: JSON over HTTPS with a client certificate.

Not for tests or applications; they bring a client of their own and use the kubeconfig.
"""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from localkube.certificates import KeyPair

Json = dict[str, Any]


class ApiError(Exception):
    """The server answered with an error, or did not answer (`status` 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Client:
    """Talks to one API server as the user of a client certificate."""

    def __init__(self, server: str, authority: Path, pair: KeyPair) -> None:
        self._server = server
        self._tls = ssl.create_default_context(cafile=str(authority))
        self._tls.load_cert_chain(pair.certificate, pair.key)

    def get(self, path: str, *, limit: float = 5.0) -> Json:
        """GET a resource or list; raises ApiError."""
        return self._json("GET", path, None, limit)

    def create(self, path: str, body: Json, *, limit: float = 10.0) -> None:
        """POST an object to a collection; an existing one stays unchanged."""
        try:
            self._json("POST", path, body, limit)
        except ApiError as error:
            if error.status != 409:
                raise

    def delete(self, path: str, *, limit: float = 10.0) -> None:
        """DELETE an object; raises ApiError."""
        self._json("DELETE", path, None, limit)

    def healthy(self, url_or_path: str, *, limit: float = 2.0) -> bool:
        """True if a health endpoint, of this server or another one, answers 200."""
        url = url_or_path if "://" in url_or_path else self._server + url_or_path
        try:
            self._open("GET", url, None, limit)
        except ApiError:
            return False
        return True

    def _json(self, method: str, path: str, body: Json | None, limit: float) -> Json:
        answer: Json = json.loads(self._open(method, self._server + path, body, limit))
        return answer

    def _open(self, method: str, url: str, body: Json | None, limit: float) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            url, data, {"Content-Type": "application/json", "Accept": "application/json"}, method=method
        )
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._tls)
        )
        try:
            with opener.open(request, timeout=limit) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            with error:
                raise ApiError(error.code, error.read().decode(errors="replace")[:500]) from error
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(0, str(error)) from error
