"""Pod templates in Kubernetes' words: what a Pod may say is known offline, from the official client."""

from typing import Any

import pytest

from tradewind.api import pod_fields
from tradewind.api.validation.pod_template import check_pod_template

pytestmark = pytest.mark.unit


def found(**spec: Any) -> list[str]:
    return [str(problem) for problem in check_pod_template({"spec": spec}, "t")]


def test_the_file_is_that_of_the_client() -> None:
    assert pod_fields.FILE.read_text() == pod_fields.generated_text(), "run `make generate`"


def test_what_people_write() -> None:
    task = {
        "name": "task",
        "resources": {"limits": {"cpu": 1, "memory": "1Gi", "nvidia.com/gpu": 1}},
        "ports": [{"containerPort": 80}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"mountPath": "/x", "$patch": "delete"}],
        "livenessProbe": {"httpGet": {"port": "web", "path": "/"}, "periodSeconds": 5.0},
        "securityContext": {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"]}},
        "env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": 1}}}],
    }
    assert not found(
        containers=[task],
        volumes=[{"name": "data", "emptyDir": {"sizeLimit": "1Gi", "medium": "Memory"}}, {"name": "x", "emptyDir": {}}],
        tolerations=[{"key": "gpu", "operator": "Exists", "tolerationSeconds": 30}],
        nodeSelector={"a": "b"},
        affinity=None,
        hostAliases=[{"ip": "10.0.0.1", "hostnames": ["a"]}],
        terminationGracePeriodSeconds=30,
    )


def test_a_field_of_a_newer_cluster_is_for_the_cluster_to_judge() -> None:
    assert not found(quantumEntanglement={"with": "another Pod"})


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"nodeSelecter": {}}, "t.spec.nodeSelecter: unknown field of a Pod; did you mean nodeSelector?"),
        ({"hostNetwork": "true"}, "t.spec.hostNetwork: must be true or false, not the string 'true'"),
        ({"volumes": {"name": "x"}}, "t.spec.volumes: must be a list of objects"),
        ({"volumes": [{"emptyDir": {}}]}, "t.spec.volumes[0].name: is required"),
        ({"tolerations": [{"tolerationSeconds": "30"}]}, "t.spec.tolerations[0].tolerationSeconds: must be a whole"),
        ({"affinity": {"nodeAffinty": {}}}, "did you mean nodeAffinity?"),
        ({"priority": 2**63}, "t.spec.priority: must be a whole number"),
        ({"priority": float("inf")}, "t.spec.priority: must be a whole number"),
        ({"priority": True}, "t.spec.priority: must be a whole number, not true"),
        ({"activeDeadlineSeconds": 1.5}, "t.spec.activeDeadlineSeconds: must be a whole number"),
        ({"dnsConfig": {"nameservers": "1.1.1.1"}}, "t.spec.dnsConfig.nameservers: must be a list"),
    ],
)
def test_what_is_wrong(spec: dict[str, Any], says: str) -> None:
    [problem] = found(**spec)
    assert says in problem


def test_many_problems_of_one_template() -> None:
    assert len(found(nodeSelector={f"a{i}": i for i in range(10_000)})) == 20
