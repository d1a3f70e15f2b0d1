"""The Pod of one try of a task: restricted, without a token, and with a name that only one Pod can have."""

import math
from typing import Any

from tradewind.api import names
from tradewind.api.connections import connection_prefix
from tradewind.api.ownership import owner_reference
from tradewind.api.resolve import ResolvedDag, ResolvedTask
from tradewind.api.shards import bucket_of
from tradewind.controller.pods.strategic_merge import strategic_merge
from tradewind.engine.rules.rendering import RenderedTask, facts_of_try
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.tries import TryKey

USER = 65532
"""The user and group of tasks unless their podTemplate sets others; it has no special meaning."""
DEADLINE_MARGIN = 60
"""Seconds after all time limits at which the kubelet stops a Pod, in case no controller runs."""
OUTPUT_PATH = "/dev/termination-log"


def pod_manifest(
    info: RunInfo, dag: ResolvedDag, task: ResolvedTask, key: TryKey, rendered: RenderedTask
) -> dict[str, Any]:
    """Return the Pod of a try. Raises ValueError if the podTemplate cannot be merged."""
    pod = _base(info, dag, task, key, rendered)
    for template in (dag.pod_template, task.pod_template):
        pod = strategic_merge(pod, template)
    _add_connections(pod, task)
    _drop_unneeded_group(pod["spec"])
    # Templates cannot change what identifies the try.
    pod["metadata"] = {
        **pod["metadata"],
        "name": pod_name(info, key),
        "namespace": info.namespace,
        "labels": {**pod["metadata"].get("labels", {}), **_labels(info, key)},
        "ownerReferences": [owner_reference("DagRun", info.name, info.uid)],
    }
    (pod["metadata"].get("annotations") or {}).pop(names.ANNOTATION_ENDED, None)
    pod["spec"]["restartPolicy"] = "Never"
    if pod["spec"].get("initContainers"):
        # If the task cannot start, the last lines of their logs say why.
        policy = {"terminationMessagePolicy": "FallbackToLogsOnError"}
        pod["spec"]["initContainers"] = [{**policy, **container} for container in pod["spec"]["initContainers"]]
    return pod


def pod_name(info: RunInfo, key: TryKey) -> str:
    """Return the name of the Pod of a try."""
    return names.pod_name(info.name, info.uid, key.task, key.index, key.number, key.poke)


def _base(info: RunInfo, dag: ResolvedDag, task: ResolvedTask, key: TryKey, rendered: RenderedTask) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "annotations": {
            "kubectl.kubernetes.io/default-container": names.TASK_CONTAINER,
            names.ANNOTATION_REVISION: info.revision or "",
        },
    }
    if dag.protect_results:
        metadata["finalizers"] = [names.FINALIZER_RESULT]
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            # Otherwise each try would change the owner of all files in its volumes.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(info, task, key, rendered)],
    }
    if task.timeout is not None:
        limit = task.timeout.total_seconds() + task.queued_timeout.total_seconds()
        spec["activeDeadlineSeconds"] = math.ceil(limit) + DEADLINE_MARGIN
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _container(info: RunInfo, task: ResolvedTask, key: TryKey, rendered: RenderedTask) -> dict[str, Any]:
    facts = {**facts_of_try(info, key), "TRADEWIND_OUTPUT": OUTPUT_PATH}
    container: dict[str, Any] = {
        "name": names.TASK_CONTAINER,
        "image": task.image,
        "args": [_literal(text) for text in rendered.args],
        "env": [{"name": name, "value": value} for name, value in facts.items()] + _literal_env(rendered.env),
        "terminationMessagePath": OUTPUT_PATH,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    if rendered.command is not None:
        container["command"] = [_literal(text) for text in rendered.command]
    if task.env_from:
        container["envFrom"] = list(task.env_from)
    if task.working_dir:
        container["workingDir"] = task.working_dir
    if task.resources:
        container["resources"] = task.resources
    return container


def _drop_unneeded_group(spec: dict[str, Any]) -> None:
    """Remove fsGroup from a Pod without volumes, where it has no effect."""
    security = spec.get("securityContext") or {}
    if "fsGroup" not in security or (not spec.get("volumes") and security["fsGroup"] == USER):
        for field in ("fsGroup", "fsGroupChangePolicy"):
            security.pop(field, None)


def _add_connections(pod: dict[str, Any], task: ResolvedTask) -> None:
    """Add connections before the entries of envFrom, which take precedence, and after podTemplates are merged, whose
    envFrom replaces the task's."""
    sources = [{"prefix": connection_prefix(name), "secretRef": {"name": name}} for name in task.connections]
    for container in pod["spec"]["containers"]:
        if sources and container["name"] == names.TASK_CONTAINER:
            container["envFrom"] = [*sources, *container.get("envFrom", ())]


def _literal(text: str) -> str:
    """Escape `text` so that the kubelet passes it on unchanged: `$(NAME)` would be a variable, `$$` a single dollar."""
    return text.replace("$", "$$")


def _literal_env(env: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**variable, "value": _literal(variable["value"])} if "value" in variable else variable for variable in env]


def _labels(info: RunInfo, key: TryKey) -> dict[str, str]:
    labels = {
        names.LABEL_DAG: info.dag,
        names.LABEL_RUN: info.name,
        names.LABEL_TASK: key.task,
        names.LABEL_TRY: str(key.number),
        names.LABEL_BUCKET: str(bucket_of(info.namespace)),
        "app.kubernetes.io/managed-by": "tradewind",
    }
    if key.index is not None:
        labels[names.LABEL_INDEX] = str(key.index)
    if key.poke:
        labels[names.LABEL_POKE] = str(key.poke)
    return labels
