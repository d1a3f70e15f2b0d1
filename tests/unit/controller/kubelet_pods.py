"""Pods as a kubelet and the control plane leave them, shortened to what matters."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import yaml

from tradewind.cache.resources import PodObject

METADATA = """
name: sales-20260301t060000-extract-1-0123456789
namespace: analytics
uid: 6f1d2b1e-0000-4000-8000-000000000001
labels: {tradewind.dev/run: sales-20260301t060000, tradewind.dev/task: extract, tradewind.dev/try: "1"}
ownerReferences:
- {apiVersion: tradewind.dev/v1alpha1, kind: DagRun, name: sales-20260301t060000, uid: run-uid, controller: true}
"""


def pod(status: str = "", *, node: str | None = "node-1", **metadata: Any) -> PodObject:
    """A Pod of ours with a status given as YAML, decoded as the informer does."""
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**yaml.safe_load(METADATA), **metadata},
        "spec": {"containers": [{"name": "task", "image": "busybox"}], **({"nodeName": node} if node else {})},
        # msgspec, unlike PyYAML, takes times as text.
        "status": yaml.load(status, yaml.BaseLoader) or {},
    }
    return msgspec.convert(document, PodObject, strict=False)


DELETED: dict[str, Any] = {"deletionTimestamp": "2026-03-01T06:01:30Z", "deletionGracePeriodSeconds": 30}
"""Deletion was asked for at 06:01:00."""

PENDING = """
phase: Pending
conditions: [{type: PodScheduled, status: "True"}]
startTime: "2026-03-01T06:00:00Z"
containerStatuses:
- {name: task, ready: false, restartCount: 0, state: {waiting: {reason: ContainerCreating}}}
"""

RUNNING = """
phase: Running
startTime: "2026-03-01T06:00:00Z"
containerStatuses:
- {name: task, ready: true, restartCount: 0, state: {running: {startedAt: "2026-03-01T06:00:05Z"}}}
"""


def terminated(
    exit_code: int, reason: str, *, message: str = "", finished: str = "06:00:50", phase: str = "Failed", more: str = ""
) -> str:
    """A status whose task container has terminated."""
    return f"""
phase: {phase}
startTime: "2026-03-01T06:00:00Z"
{more}
containerStatuses:
- name: task
  ready: false
  restartCount: 0
  state:
    terminated:
      exitCode: {exit_code}
      reason: {reason}
      message: {json.dumps(message)}
      startedAt: "2026-03-01T06:00:05Z"
      finishedAt: "2026-03-01T{finished}Z"
"""
