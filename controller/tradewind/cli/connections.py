"""Connections of a local run: from a file, from Secrets in the files, or from the environment.

Messages and `repr` never contain values of Secrets.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any

from tradewind.api.connections import connection_prefix
from tradewind.api.resolve import ResolvedDag
from tradewind.api.validation import Problem
from tradewind.cli.documents import Document, read_documents
from tradewind.cli.errors import CliError
from tradewind.cli.inputs import Finding


@dataclass(frozen=True, slots=True)
class Connections:
    """The variables of connections, by name. A connection that is not here may be in the environment."""

    given: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    def variables(self, names: Iterable[str]) -> dict[str, str]:
        """Return the environment variables of these connections, without those that the environment already has."""
        return {
            f"{connection_prefix(name)}{key}": value
            for name in names
            for key, value in self.given.get(name, {}).items()
        }

    def missing(self, document: Document, dag: ResolvedDag, environment: Iterable[str]) -> Iterator[Finding]:
        """A finding for each missing connection of a Dag. `environment` are the names of its variables."""
        present = tuple(environment)
        used = [(task.name, name) for task in dag.tasks if task.command or task.script for name in task.connections]
        for task, name in used:
            prefix = connection_prefix(name)
            if name in self.given or any(variable.startswith(prefix) for variable in present):
                continue
            message = (
                f"task {task!r} needs connection {name!r}, which is not defined: set its variables ({prefix}…) in the "
                f"environment, or use --connections with a file that has `{name}: {{KEY: value}}` or a Secret {name!r}"
            )
            yield Finding(document, Problem("MissingConnection", f"spec.tasks[{task}].connections", message))


def read_connections(file: str | None, secrets: Mapping[str, Mapping[str, str]]) -> Connections:
    """Return the connections in a file and, after those, in `secrets`. Raises CliError for invalid ones."""
    given = dict(secrets)
    if file is not None:
        documents, unreadable = read_documents([file])
        if unreadable:
            raise CliError("\n       ".join(unreadable))
        for document in documents:
            given |= _in_document(document)
    return Connections(given)


def secret_data(document: Document) -> dict[str, str]:
    """Return the decoded data of a Secret. Raises CliError, which contains no value, for an invalid Secret."""
    return _secret(document, document.manifest)


def _in_document(document: Document) -> dict[str, dict[str, str]]:
    manifest = document.manifest
    if not isinstance(manifest, dict):
        raise CliError(f"{document.file}:{document.line_of('')}: connections are Secrets, or {{name: {{KEY: value}}}}")
    if manifest.get("kind") == "List" and isinstance(manifest.get("items"), list):
        secrets = [item for item in manifest["items"] if isinstance(item, dict) and item.get("kind") == "Secret"]
        return {_name(document, secret): _secret(document, secret) for secret in secrets}
    if document.kind == "Secret":
        return {_name(document, manifest): _secret(document, manifest)}
    if document.kind and "apiVersion" in manifest:
        return {}  # an object of another kind
    return {str(name): _entries(document, str(name), entries, str | int) for name, entries in manifest.items()}


def _name(document: Document, secret: Mapping[str, Any]) -> str:
    metadata = secret.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name:
        raise CliError(f"{document.file}:{document.line_of('metadata')}: the Secret needs a metadata.name")
    return name


def _secret(document: Document, secret: Mapping[str, Any]) -> dict[str, str]:
    decoded, name = {}, (secret.get("metadata") or {}).get("name", "")
    for key, value in _entries(document, "data", secret.get("data") or {}).items():
        try:
            content = base64.b64decode(re.sub(r"[\r\n]", "", value), validate=True)
        except ValueError:
            where = f"{document.file}:{document.line_of(f'data.{key}')}: Secret {name}: data.{key}"
            raise CliError(f"{where}: is not base64; plain text goes into stringData") from None
        decoded[key] = content.decode(errors="surrogateescape")  # binary data reaches the process unchanged
    return decoded | _entries(document, "stringData", secret.get("stringData") or {})


def _entries(document: Document, name: str, entries: Any, kinds: UnionType | type = str) -> dict[str, str]:
    if not isinstance(entries, dict):
        raise CliError(f"{document.file}:{document.line_of(name)}: {name}: must be an object, as in {{KEY: value}}")
    for key, value in entries.items():
        if isinstance(value, bool) or not isinstance(value, kinds):
            where = f"{document.file}:{document.line_of(f'{name}.{key}')}: {name}.{key}"
            raise CliError(f"{where}: must be a string: put the value in quotes")
    return {str(key): str(value) for key, value in entries.items()}
