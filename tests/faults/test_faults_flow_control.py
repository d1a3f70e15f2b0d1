"""An API server that throttles the controller returns 429: the controller sends less, and all runs finish."""

from pathlib import Path
from typing import Any

import kubernetes
import yaml

from localkube import Cluster
from tests.cluster import Manifest
from tests.e2e.controller_process import Controllers
from tests.e2e.spaces import NewSpace, Space
from tests.faults.audit import Audit
from tests.faults.load import Load, assert_sound
from tests.faults.sizes import Figure

NAME = "little-time"
USER = "controller"
SERVED, REFUSED = "apiserver_flowcontrol_dispatched_requests_total", "apiserver_flowcontrol_rejected_requests_total"


def service_account(space: Space, folder: Path) -> Path:
    """The kubeconfig of a service account that may do all: an administrator is exempt from flow control."""
    core, name = space.witness.core, f"{space.name}-{USER}"
    core.create_namespaced_service_account(space.name, {"metadata": {"name": USER}})
    space.witness.rbac.create_cluster_role_binding(
        {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": USER, "namespace": space.name}],
        }
    )
    body = {"spec": {"expirationSeconds": 3600}}
    token = core.create_namespaced_service_account_token(USER, space.name, body).status.token
    config: Manifest = yaml.safe_load(space.kubectl.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def give_little_time(space: Space) -> None:
    """Requests of the service account share one seat, without a queue: all others are answered 429."""
    flow: Any = kubernetes.client.FlowcontrolApiserverV1Api(space.witness.core.api_client)
    limited = {
        "nominalConcurrencyShares": 1,
        "lendablePercent": 0,
        "borrowingLimitPercent": 0,
        "limitResponse": {"type": "Reject"},
    }
    flow.create_priority_level_configuration(
        {"metadata": {"name": NAME}, "spec": {"type": "Limited", "limited": limited}}
    )
    account = {"kind": "ServiceAccount", "serviceAccount": {"name": USER, "namespace": space.name}}
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
    flow.create_flow_schema(
        {
            "metadata": {"name": NAME},
            "spec": {
                "priorityLevelConfiguration": {"name": NAME},
                "matchingPrecedence": 10,
                "rules": [{"subjects": [account], "resourceRules": [everything]}],
            },
        }
    )


def requests(space: Space, series: str) -> int:
    """A counter of the API server's own, summed over the series in which our FlowSchema is named."""
    lines = space.kubectl.run("get", "--raw", "/metrics").splitlines()
    found = [line for line in lines if line.startswith(f"{series}{{") and f'flow_schema="{NAME}"' in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in found)


def test_too_many_requests(kwok: Cluster, new_kwok_space: NewSpace, tmp_path: Path, figure: Figure) -> None:
    space = new_kwok_space("slow")
    controllers = Controllers(service_account(space, tmp_path), tmp_path)
    try:
        give_little_time(space)
        audit = Audit(space)
        load = Load(space, active=12)
        controllers.launch_for(space.name).wait_leading()
        space.eventually(lambda: requests(space, REFUSED) > 20, "429 is answered")
        space.eventually(lambda: load.ended() >= 12, "runs end all the same")
        load.end()
        rejected = requests(space, REFUSED)
        served = requests(space, SERVED)
        assert_sound(space, load, audit)
        figure("runs, Pods", (len(load.runs), len(audit.made)))
        figure("requests of the controller: served, refused with 429", (served, rejected))
        assert rejected < served, "it asks less often than it is served"
    finally:
        controllers.end()
