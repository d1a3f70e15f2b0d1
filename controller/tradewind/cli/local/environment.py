"""The environment of a task's process: that of its container, as far as it is known without a cluster."""

import math
import os
import re
import socket
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tradewind.api.names import LABEL_BUCKET, LABEL_DAG, LABEL_INDEX, LABEL_RUN, LABEL_TASK, LABEL_TRY, pod_name
from tradewind.api.resolve import ResolvedTask
from tradewind.api.shards import bucket_of
from tradewind.api.validation.tasks import quantity
from tradewind.cli.connections import Connections, secret_data
from tradewind.cli.documents import Document
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.tries import TryKey

_LABEL_PATH = re.compile(r"^metadata\.labels\['(.+)'\]$")


class LocalRunError(ValueError):
    """A task uses something that only a cluster has; the message names it and the fix."""


@dataclass(frozen=True, slots=True)
class Sources:
    """ConfigMaps and Secrets in the files, by name."""

    config_maps: dict[str, dict[str, str]] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, documents: Iterable[Document]) -> "Sources":
        """Return those in the documents. Raises CliError for an invalid Secret."""
        sources = cls()
        for document in documents:
            if document.kind == "ConfigMap":
                sources.config_maps[document.name] = _strings(document.manifest.get("data"))
            elif document.kind == "Secret":
                sources.secrets[document.name] = secret_data(document)
        return sources


@dataclass(frozen=True, slots=True)
class Environment:
    """Creates the variables of each try. `dag_folder` is the folder of the Dag's file, for imports of its modules."""

    info: RunInfo
    sources: Sources
    dag_folder: Path | None
    connections: Connections = field(default_factory=Connections)
    user: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def variables(
        self, task: ResolvedTask, key: TryKey, env: Iterable[Mapping[str, Any]], facts: Mapping[str, str]
    ) -> dict[str, str]:
        """Return all variables of a try. `env` is rendered; `facts` are set by Tradewind.

        Raises LocalRunError for a value that only a cluster has.
        """
        own = self.connections.variables(task.connections)
        for source in task.env_from:
            own |= self._all_of(source)
        own |= facts
        for variable in env:
            value = self._value(task, key, variable)
            if value is not None:
                own[variable["name"]] = value
        for name, value in own.items():
            if "\0" in value:
                raise LocalRunError(f"variable {name} has a NUL byte, which is invalid in an environment")
        return {**self._inherited(), **own}

    def _inherited(self) -> dict[str, str]:
        """The user's own environment, with the Python that runs tradewind first."""
        inherited = {name: value for name, value in self.user.items() if not name.startswith("TRADEWIND_")}
        # Tasks start in another folder, so relative paths become absolute.
        found = inherited.get("PATH", os.defpath).split(os.pathsep)
        programs = [os.path.dirname(sys.executable), *(os.path.abspath(each) for each in found)]  # noqa: PTH100, PTH120
        inherited["PATH"] = os.pathsep.join(programs)
        modules = [os.path.abspath(each) for each in inherited.get("PYTHONPATH", "").split(os.pathsep) if each]  # noqa: PTH100
        if self.dag_folder is not None:
            modules.append(str(self.dag_folder))
        if modules:
            inherited["PYTHONPATH"] = os.pathsep.join(modules)
        return inherited

    def _all_of(self, source: Mapping[str, Any]) -> dict[str, str]:
        for key, kind, known in (
            ("configMapRef", "ConfigMap", self.sources.config_maps),
            ("secretRef", "Secret", self.sources.secrets),
        ):
            reference = source.get(key)
            if isinstance(reference, Mapping):
                name = str(reference.get("name", ""))
                if name in known:
                    return {f"{source.get('prefix', '')}{key}": value for key, value in known[name].items()}
                if reference.get("optional"):
                    return {}
                raise LocalRunError(f"envFrom: no {kind} named {name!r} in the files: add its file to `tradewind run`")
        return {}

    def _value(self, task: ResolvedTask, key: TryKey, variable: Mapping[str, Any]) -> str | None:
        if "valueFrom" not in variable:
            return str(variable.get("value") or "")
        name, source = str(variable["name"]), variable["valueFrom"]
        if "fieldRef" in source:
            return self._field(key, name, str(source["fieldRef"].get("fieldPath", "")))
        if "resourceFieldRef" in source:
            return _resource(task, name, source["resourceFieldRef"])
        for reference, kind, known in (
            ("configMapKeyRef", "ConfigMap", self.sources.config_maps),
            ("secretKeyRef", "Secret", self.sources.secrets),
        ):
            if reference in source:
                return self._key(name, kind, source[reference], known)
        raise LocalRunError(f"env[{name}].valueFrom: a local run does not support {', '.join(source)}")

    def _key(
        self, name: str, kind: str, reference: Mapping[str, Any], known: Mapping[str, Mapping[str, str]]
    ) -> str | None:
        value = known.get(str(reference.get("name")), {}).get(str(reference.get("key")))
        if value is None:
            value = self.user.get(name)
        if value is None and not reference.get("optional"):
            raise LocalRunError(
                f"env[{name}]: no {kind} {reference.get('name')!r} with key {reference.get('key')!r} in the files: set "
                f"variable {name} in the environment, or add the {kind}'s file to `tradewind run`"
            )
        return value

    def _field(self, key: TryKey, name: str, path: str) -> str:
        info = self.info
        labels = {LABEL_DAG: info.dag, LABEL_RUN: info.name, LABEL_TASK: key.task, LABEL_TRY: str(key.number)}
        labels[LABEL_BUCKET] = str(bucket_of(info.namespace))
        if key.index is not None:
            labels[LABEL_INDEX] = str(key.index)
        known = {
            "metadata.name": pod_name(info.name, info.uid, key.task, key.index, key.number, key.poke),
            "metadata.namespace": info.namespace,
            "metadata.uid": info.uid,
            "spec.nodeName": socket.gethostname(),
            "spec.serviceAccountName": "default",
            "status.hostIP": "127.0.0.1",
            "status.podIP": "127.0.0.1",
        }
        label = _LABEL_PATH.match(path)
        value = labels.get(label[1], "") if label else known.get(path)
        if value is None:
            raise LocalRunError(f"env[{name}]: a local run does not support the Pod field {path!r}")
        return value


def _resource(task: ResolvedTask, name: str, reference: Mapping[str, Any]) -> str:
    kind, _, resource = str(reference.get("resource", "")).partition(".")
    amounts = task.resources.get(kind) or (task.resources.get("limits") if kind == "requests" else None) or {}
    machine = {
        "cpu": float(os.cpu_count() or 1),
        "memory": float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
    }
    if kind not in ("limits", "requests") or (resource not in amounts and resource not in machine):
        raise LocalRunError(f"env[{name}]: a local run does not support the resource {reference.get('resource')!r}")
    amount = quantity(amounts[resource]) if resource in amounts else machine[resource]
    divisor = quantity(reference.get("divisor") or 1) or 1
    return str(math.ceil(round(amount / divisor, 9)))


def _strings(data: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in data.items()} if isinstance(data, Mapping) else {}
