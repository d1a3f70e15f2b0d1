"""Users who may write only where a shard has to: whatever is written elsewhere, that shard cannot have done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes
import yaml

from tests.cluster import GROUP, Witness
from tradewind.api.shards import Shard

SYSTEM = "tradewind-system"
READS = [
    {"apiGroups": [GROUP], "resources": ["*"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["apps"], "resources": ["controllerrevisions"], "verbs": ["get", "list"]},
    {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["get"]},
]
WRITES = [
    {"apiGroups": [GROUP], "resources": ["*"], "verbs": ["*"]},
    {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["*"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["*"]},
    {"apiGroups": ["apps"], "resources": ["controllerrevisions"], "verbs": ["*"]},
]
LEADS = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]}]


class ShardUsers:
    """A ServiceAccount for each shard, with a kubeconfig."""

    def __init__(self, kubeconfig: Path, witness: Witness, namespaces: list[str], folder: Path) -> None:
        self._admin: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())
        self._witness, self._namespaces, self._folder = witness, namespaces, folder
        witness.core.create_namespace({"metadata": {"name": SYSTEM}})
        for name, rules in (("reads", READS), ("writes", WRITES), ("leads", LEADS)):
            witness.rbac.create_cluster_role({"metadata": {"name": name}, "rules": rules})

    def kubeconfig(self, part: Shard) -> Path:
        """For a controller of that shard."""
        name = f"shard-{part.index}-of-{part.count}"
        path = self._folder / f"{name}.kubeconfig"
        if path.exists():
            return path
        self._witness.core.create_namespaced_service_account(SYSTEM, {"metadata": {"name": name}})
        rbac = self._witness.rbac
        rbac.create_cluster_role_binding(_binding("reads", name))
        rbac.create_namespaced_role_binding(SYSTEM, _binding("leads", name))
        for namespace in self._namespaces:
            if part.owns(namespace):
                rbac.create_namespaced_role_binding(namespace, _binding("writes", name))
        asked = kubernetes.client.AuthenticationV1TokenRequest(  # type: ignore[attr-defined]
            spec=kubernetes.client.V1TokenRequestSpec(audiences=[], expiration_seconds=3600)  # type: ignore[attr-defined]
        )
        token = self._witness.core.create_namespaced_service_account_token(name, SYSTEM, asked).status.token
        users = [{**user, "user": {"token": token}} for user in self._admin["users"]]
        path.write_text(yaml.safe_dump({**self._admin, "users": users}))
        return path


def _binding(role: str, account: str) -> dict[str, Any]:
    return {
        "metadata": {"name": f"{account}-{role}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": SYSTEM}],
    }
