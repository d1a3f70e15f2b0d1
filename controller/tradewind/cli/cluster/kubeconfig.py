"""The user's kubeconfig in the form that pykube takes: one document, with absolute paths and the tokens of token files.

As in kubectl: `--kubeconfig`, else the files of $KUBECONFIG (merged, the first one wins), else the service account of
the Pod, else ~/.kube/config.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pykube  # type: ignore[import-untyped]
import yaml
from pykube.exceptions import PyKubeError  # type: ignore[import-untyped]

from tradewind.cli.errors import CliError

_FILE_FIELDS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def load_config(kubeconfig: str | None, context: str | None) -> "pykube.KubeConfig":
    """Return the configuration of one context. Raises CliError if a part of it is missing."""
    explicit = kubeconfig or os.environ.get("KUBECONFIG")
    if not explicit and "KUBERNETES_SERVICE_HOST" in os.environ:
        try:
            return pykube.KubeConfig.from_service_account()
        except OSError:
            pass
    names = [kubeconfig] if kubeconfig else (explicit or "~/.kube/config").split(os.pathsep)
    paths = [Path(name).expanduser() for name in names if name]
    found = [path for path in paths if path.is_file()]
    if not found:
        listed = ", ".join(map(str, paths))
        raise CliError(f"no kubeconfig found at {listed}; set KUBECONFIG or use --kubeconfig")
    document = _merged(found)
    chosen = context or document.get("current-context")
    if not chosen:
        raise CliError(f"the kubeconfig {found[0]} has no current-context: choose one with --context")
    if chosen not in {entry.get("name") for entry in document["contexts"]}:
        names = sorted(str(entry.get("name")) for entry in document["contexts"])
        raise CliError(f"the kubeconfig has no context {chosen!r}; it has {', '.join(names) or 'none'}")
    try:
        config = pykube.KubeConfig(document, current_context=chosen)
        # These properties read files and look up names: fail now, not during a request.
        _ = config.cluster, config.user
    except KeyError as error:
        raise CliError(
            f"context {chosen!r} of the kubeconfig refers to a cluster or user that it does not define: {error}"
        ) from error
    except PyKubeError as error:
        raise CliError(f"the kubeconfig cannot be used: {error}") from error
    return config


def _merged(paths: list[Path]) -> dict[str, Any]:
    merged: dict[str, Any] = {"clusters": [], "users": [], "contexts": []}
    for path in paths:
        document = _read(path)
        if document.get("current-context"):
            merged.setdefault("current-context", document["current-context"])
        for section in ("clusters", "users", "contexts"):
            known = {entry.get("name") for entry in merged[section]}
            merged[section] += [entry for entry in _entries(document, section) if entry.get("name") not in known]
    return merged


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CliError(f"cannot read the kubeconfig {path}: {error}") from error
    if not isinstance(document, dict):
        raise CliError(f"the kubeconfig {path} is not a YAML mapping")
    for section, key in (("clusters", "cluster"), ("users", "user")):
        for entry in _entries(document, section):
            _prepare(entry.get(key) or {}, path.resolve().parent)
    return document


def _entries(document: dict[str, Any], section: str) -> Iterator[dict[str, Any]]:
    yield from document.get(section) or ()


def _prepare(entry: dict[str, Any], folder: Path) -> None:
    """Make paths of an entry absolute, and replace fields that pykube does not support."""
    for field in _FILE_FIELDS:
        if entry.get(field):
            entry[field] = str(folder / entry[field])
    if entry.get("tokenFile"):
        try:
            entry["token"] = Path(entry["tokenFile"]).read_text().strip()
        except OSError as error:
            raise CliError(f"cannot read the token file of the kubeconfig: {error}") from error
    plugin = entry.get("exec")
    if isinstance(plugin, dict) and "/" in str(plugin.get("command", "")):
        plugin["command"] = str(folder / plugin["command"])
