"""Checks that a user who writes a Dag may create Pods, since the controller creates Pods for the Dag.

The controller creates Pods with its own rights. Without this check, a user who may write Dags but may not create Pods
would gain that right, as with a Job; unlike a Job, a Dag can be refused when it is written. A user who may create Pods
in a namespace may use all its Secrets, volumes and service accounts; that is so in Kubernetes, and not limited here.
"""

from collections.abc import Mapping
from typing import Any

from tradewind.kube.client import ApiClient
from tradewind.kube.errors import KubeError
from tradewind.kube.resources import LOCALSUBJECTACCESSREVIEWS

UserInfo = Mapping[str, Any]
"""As in an AdmissionReview: username, uid, groups, extra."""


async def why_no_pods(client: ApiClient, namespace: str, user: UserInfo) -> str | None:
    """Return why a user may not create Pods in a namespace; None if they may.

    A failed request to the API server is a reason, too."""
    resource = {"namespace": namespace, "verb": "create", "resource": "pods"}
    who: dict[str, Any] = {"uid": user.get("uid") or "", "groups": list(user.get("groups") or ())}
    if user.get("extra"):
        who["extra"] = {key: list(values) for key, values in user["extra"].items()}
    review = {
        "apiVersion": LOCALSUBJECTACCESSREVIEWS.api_version,
        "kind": "LocalSubjectAccessReview",
        "metadata": {"namespace": namespace},
        "spec": {"user": str(user.get("username", "")), **who, "resourceAttributes": resource},
    }
    try:
        answer = await client.request("POST", LOCALSUBJECTACCESSREVIEWS.path(namespace), body=review)
    except KubeError as error:
        return f"cannot check whether user {user.get('username')!r} may create Pods in namespace {namespace!r}: {error}"
    if answer.get("status", {}).get("allowed") is True:
        return None
    return (
        f"user {user.get('username')!r} may not create Pods in namespace {namespace!r}, and so may not write Dags "
        "there; ask for the right to create pods in it"
    )
