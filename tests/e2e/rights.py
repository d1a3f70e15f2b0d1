"""The rights of the chart's service accounts, by the roles in the cluster, and their requests, by its audit log."""

import json
from collections.abc import Iterator
from pathlib import Path

from tests.cluster import Kubectl, Manifest

Right = tuple[str, str, str]
"""(API group, resource or resource/subresource, verb)"""


def granted(kubectl: Kubectl, namespace: str, account: str) -> set[Right]:
    """Return the rights that the roles of a service account give it, anywhere."""
    found = json.loads(kubectl.run("get", "clusterroles,clusterrolebindings,roles,rolebindings", "-A", "-o", "json"))
    roles = {_name(item["kind"], item["metadata"]): item.get("rules") or [] for item in found["items"]}
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    rights: set[Right] = set()
    for binding in found["items"]:
        if subject not in (binding.get("subjects") or ()):
            continue
        reference = binding["roleRef"]
        for rule in roles[_name(reference["kind"], {**binding["metadata"], "name": reference["name"]})]:
            rights |= {
                (group, resource, verb)
                for group in rule.get("apiGroups", ())
                for resource in rule.get("resources", ())
                for verb in rule["verbs"]
            }
    return rights


def asked(log: Path, namespace: str, account: str) -> tuple[set[Right], set[Right]]:
    """Return the requests of a service account, and those that were forbidden."""
    rights: set[Right] = set()
    forbidden: set[Right] = set()
    for event in _events(log):
        target = event.get("objectRef")
        if event["user"]["username"] != f"system:serviceaccount:{namespace}:{account}" or target is None:
            continue
        resource = "/".join(filter(None, (target.get("resource"), target.get("subresource"))))
        right = target.get("apiGroup", ""), resource, event["verb"]
        rights.add(right)
        if event["annotations"].get("authorization.k8s.io/decision") == "forbid":
            forbidden.add(right)
    return rights, forbidden


def _events(log: Path) -> Iterator[Manifest]:
    with log.open() as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)


def _name(kind: str, metadata: Manifest) -> tuple[str, str, str]:
    return kind, metadata.get("namespace", "") if kind in ("Role", "RoleBinding") else "", metadata["name"]
