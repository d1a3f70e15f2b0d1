"""Calls to the API server, with every failure as one clear line."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

import click
import pykube  # type: ignore[import-untyped]
import requests
from pykube.exceptions import KubernetesError  # type: ignore[import-untyped]

from tradewind.api import API_VERSION
from tradewind.cli.cluster.kubeconfig import load_config
from tradewind.cli.cluster.transport import Transport
from tradewind.cli.errors import CliError

F = TypeVar("F", bound=Callable[..., Any])
_CONNECT_SECONDS = 10
_READ_SECONDS = 30
_MANAGED = {"fieldManager": "tradewind"}
"""The field manager of all writes, shown by `kubectl get --show-managed-fields`."""


class NotFoundError(CliError):
    """The object does not exist."""


class ConflictError(CliError):
    """The object was changed by another client, or recreated."""


class Cluster:
    """One namespace of the cluster in the kubeconfig. Every method raises CliError on failure."""

    def __init__(
        self, kubeconfig: str | None, context: str | None, namespace: str | None, *, seconds: float = _READ_SECONDS
    ) -> None:
        """`seconds` is the timeout of a request."""
        config = load_config(kubeconfig, context)
        self.context = config.current_context
        self.namespace = namespace or config.namespace
        timeouts = (min(seconds, _CONNECT_SECONDS), seconds)
        self._api = pykube.HTTPClient(config, timeout=timeouts, http_adapter=Transport(config))
        if config.cluster.get("proxy-url"):
            self._api.session.proxies = {"http": config.cluster["proxy-url"], "https": config.cluster["proxy-url"]}

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object of one of our kinds."""
        return self._object("get", kind, name, url=f"{_plural(kind)}/{name}")

    def list_all(self, kind: str, *, everywhere: bool = False, fields: str | None = None) -> list[dict[str, Any]]:
        """Return all objects of a kind in the namespace, or in all namespaces."""
        parameters = {"fieldSelector": fields} if fields else {}
        found = self._object("get", kind, "", url=_plural(kind), everywhere=everywhere, params=parameters)
        if not found["items"] and not everywhere:
            self._check_namespace()
        items: list[dict[str, Any]] = found["items"]
        return items

    def names(self, kind: str) -> list[str]:
        """Return the names of all objects of a kind in the namespace."""
        only_metadata = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
        found = self._object("get", kind, "", url=_plural(kind), headers=only_metadata)
        return [item["metadata"]["name"] for item in found["items"]]

    def revision(self, name: str) -> dict[str, Any] | None:
        """Return the Dag in a ControllerRevision; None if it does not exist or is forbidden."""
        with self._explained("ControllerRevision", name):
            response = self._api.get(url=f"controllerrevisions/{name}", version="apps/v1", namespace=self.namespace)
            if response.status_code in (requests.codes.not_found, requests.codes.forbidden):
                return None
            data = self._json(response).get("data")
            return data if isinstance(data, dict) else None

    def create(self, kind: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Create an object, and return it."""
        return self._object("post", kind, "", url=_plural(kind), json=manifest, params=_MANAGED)

    def patch(self, kind: str, name: str, patch: dict[str, Any]) -> dict[str, Any]:
        """Apply a merge patch to an object, and return it."""
        headers = {"Content-Type": "application/merge-patch+json"}
        url, data = f"{_plural(kind)}/{name}", json.dumps(patch)
        return self._object("patch", kind, name, url=url, data=data, headers=headers, params=_MANAGED)

    def delete(self, kind: str, name: str) -> None:
        """Delete an object."""
        self._object("delete", kind, name, url=f"{_plural(kind)}/{name}")

    def user(self) -> str | None:
        """Return the name of the current user; None if the API server does not provide it."""
        version = "authentication.k8s.io/v1"
        body = {"apiVersion": version, "kind": "SelfSubjectReview"}
        with self._explained("SelfSubjectReview", ""):
            response = self._api.post(url="selfsubjectreviews", version=version, json=body)
            if response.status_code in (requests.codes.not_found, requests.codes.forbidden):
                return None
            found = self._json(response).get("status", {}).get("userInfo", {}).get("username")
            return str(found) if found else None

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """Return the Pods that match a label selector."""
        with self._explained("Pod", ""):
            response = self._api.get(url="pods", namespace=self.namespace, params={"labelSelector": selector})
            return list(self._json(response)["items"])

    def log(
        self, pod: str, container: str, *, follow: bool = False, since: int | None = None, tail: int | None = None
    ) -> Iterator[bytes]:
        """Yield the log of a container, in pieces: the last `since` seconds, at most the last `tail` lines.

        Raises CliError if the container has not started.
        """
        timeout = (_CONNECT_SECONDS, None if follow else _READ_SECONDS)
        parameters = {"container": container, "follow": "true" if follow else "false"}
        limits = {"sinceSeconds": since, "tailLines": tail}
        parameters |= {name: str(limit) for name, limit in limits.items() if limit is not None}
        with self._explained("Pod", pod):
            response = self._api.get(
                url=f"pods/{pod}/log", namespace=self.namespace, params=parameters, stream=True, timeout=timeout
            )
            if not response.ok:
                self._json(response)
            yield from response.iter_content(chunk_size=None)

    def _object(self, verb: str, kind: str, name: str, *, everywhere: bool = False, **arguments: Any) -> dict[str, Any]:
        if not everywhere:
            arguments["namespace"] = self.namespace
        with self._explained(kind, name):
            response = getattr(self._api, verb)(version=API_VERSION, **arguments)
            if response.status_code == requests.codes.not_found:
                self._explain_not_found(kind, name, response)
            return self._json(response)

    def _json(self, response: requests.Response) -> dict[str, Any]:
        if response.ok:
            answer: dict[str, Any] = response.json()
            return answer
        message = _message_of(response)
        if response.status_code == requests.codes.unauthorized:
            raise CliError(
                f"the cluster rejected the credentials of context {self.context!r}: they may have expired; log in again"
            )
        if response.status_code == requests.codes.forbidden and " is forbidden: User " in message:
            raise CliError(f"permission denied: {message}")
        if response.status_code == requests.codes.conflict and _reason_of(response) == "Conflict":
            raise ConflictError(message)
        raise CliError(message)

    def _explain_not_found(self, kind: str, name: str, response: requests.Response) -> None:
        message = _message_of(response)
        if name and f'"{name}" not found' in message:
            self._check_namespace()
            raise NotFoundError(f"no {kind} named {name!r} in namespace {self.namespace!r}")
        if message.startswith("namespaces "):
            raise CliError(f"namespace {self.namespace!r} does not exist")
        raise CliError(f"the cluster of context {self.context!r} has no resource {kind}: is Tradewind installed?")

    def _check_namespace(self) -> None:
        """Raise CliError if the namespace does not exist. Does nothing if the user may not read namespaces."""
        response = self._api.get(url=f"namespaces/{self.namespace}")
        if response.status_code == requests.codes.not_found:
            raise CliError(f"namespace {self.namespace!r} does not exist")

    @contextmanager
    def _explained(self, kind: str, name: str) -> Iterator[None]:
        server = self._api.url
        try:
            yield
        except requests.exceptions.SSLError as error:
            raise CliError(f"the certificate of the cluster at {server} is not trusted: {_root(error)}") from error
        except requests.exceptions.Timeout as error:
            raise CliError(f"the cluster at {server} (context {self.context!r}) did not respond in time") from error
        except requests.exceptions.ConnectionError as error:
            raise CliError(
                f"cannot reach the cluster at {server} (context {self.context!r}): {_root(error)}"
            ) from error
        except requests.exceptions.RequestException as error:
            raise CliError(f"the request for {kind} {name} failed: {error}") from error
        # pykube raises NotImplementedError for credential plugins with an unsupported API version or output.
        except (subprocess.CalledProcessError, NotImplementedError, FileNotFoundError) as error:
            raise CliError(f"cannot get credentials for context {self.context!r}: {error}") from error
        except KubernetesError as error:
            raise CliError(str(error)) from error


def cluster_options(command: F) -> F:
    """The options of every cluster command. The command gets a `Cluster` as its argument `cluster`."""

    @lazy_cluster_options
    @wraps(command)
    def with_cluster(*args: Any, connect: Callable[[], Cluster], **rest: Any) -> Any:
        return command(*args, cluster=connect(), **rest)

    return with_cluster  # type: ignore[return-value]


def lazy_cluster_options(command: F) -> F:
    """The same options for a command that may not need a cluster: its argument `connect` returns one."""

    @click.option("-n", "--namespace", metavar="NAME", help="Namespace. Default: the context's namespace.")
    @click.option(
        "--context", "context_name", metavar="NAME", help="Context in the kubeconfig. Default: the current context."
    )
    @click.option(
        "--kubeconfig",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help="The kubeconfig. Default: $KUBECONFIG, or ~/.kube/config.",
    )
    @wraps(command)
    def with_connect(
        *args: Any, namespace: str | None, context_name: str | None, kubeconfig: str | None, **rest: Any
    ) -> Any:
        return command(*args, connect=lambda: Cluster(kubeconfig, context_name, namespace), **rest)

    return with_connect  # type: ignore[return-value]


def _plural(kind: str) -> str:
    return kind.lower() + "s"


def _message_of(response: requests.Response) -> str:
    """Return the error message of the API server."""
    try:
        message = response.json()["message"]
    except (ValueError, KeyError, TypeError):
        message = response.text.strip()
    return str(message) or f"the cluster answered {response.status_code} {response.reason}"


def _reason_of(response: requests.Response) -> str:
    try:
        return str(response.json()["reason"])
    except (ValueError, KeyError, TypeError):
        return ""


def _root(error: BaseException) -> str:
    """Return the innermost reason: `Connection refused` without the layers around it."""
    while error.__context__ is not None or (error.args and isinstance(error.args[0], BaseException)):
        error = error.args[0] if error.args and isinstance(error.args[0], BaseException) else error.__context__  # type: ignore[assignment]
    return getattr(error, "strerror", None) or str(error)
