"""Several controllers that share the work."""

import json

import pytest

from tests.chart.helm_chart import NAMESPACE, Helm, HelmError, Rendered
from tests.chart.test_chart_rbac import rights
from tradewind.api.shards import Shard

pytestmark = pytest.mark.chart

THREE = {"shards": 3}


def selectors(rendered: Rendered, kind: str) -> dict[str, dict[str, str]]:
    found = {}
    for one in rendered.of_kind(kind):
        selector = one["spec"]["selector"]
        found[one["metadata"]["name"]] = selector.get("matchLabels", selector)
    return found


def test_each_shard_has_a_deployment_and_a_budget_of_its_own(helm: Helm) -> None:
    rendered = helm.template(THREE)
    for kind in ("Deployment", "PodDisruptionBudget"):
        found = selectors(rendered, kind)
        assert sorted(found) == ["tradewind-0", "tradewind-1", "tradewind-2"]
        assert [found[name]["tradewind.dev/shard"] for name in sorted(found)] == ["0", "1", "2"]
    for index, deployment in enumerate(rendered.of_kind("Deployment")):
        template = deployment["spec"]["template"]
        assert deployment["spec"]["replicas"] == 2
        assert template["metadata"]["labels"].items() >= deployment["spec"]["selector"]["matchLabels"].items()
        [container] = template["spec"]["containers"]
        environment = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert (environment["TRADEWIND_SHARD"], environment["TRADEWIND_SHARDS"]) == (str(index), "3")
        for constraint in template["spec"]["topologySpreadConstraints"]:
            assert constraint["labelSelector"]["matchLabels"] == deployment["spec"]["selector"]["matchLabels"]


def test_the_only_shard_is_as_it_was_before_there_were_shards(helm: Helm) -> None:
    rendered = helm.template()
    labels = {
        "app.kubernetes.io/name": "tradewind",
        "app.kubernetes.io/instance": "tradewind",
        "app.kubernetes.io/component": "controller",
    }
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert selectors(rendered, kind) == {"tradewind": labels}
    assert "tradewind.dev/shard" not in json.dumps(rendered.of_kind("Deployment"))


def test_a_release_that_knew_of_no_shards_keeps_its_controller(helm: Helm) -> None:
    """`helm upgrade --reuse-values` renders without the values that are new."""
    assert helm.template({"shards": None}).objects == helm.template().objects


def test_services_lead_to_all_of_them(helm: Helm) -> None:
    services = selectors(helm.template(THREE), "Service")
    assert set(services) == {"tradewind-metrics", "tradewind-webhook"}
    assert services == selectors(helm.template(), "Service")


def test_the_rights_on_leases_are_those_on_the_ones_it_uses(helm: Helm) -> None:
    names = ["tradewind-controller", *(Shard(index, 3).lease_name("tradewind-controller") for index in range(3))]
    lease = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    rules = rights(helm.template(THREE), "tradewind")[NAMESPACE]
    assert [rule for rule in rules if rule["resources"] == ["leases"]] == [
        {**lease, "verbs": ["create", "list"]},
        {**lease, "resourceNames": names, "verbs": ["get", "update"]},
    ]


def test_the_uninstall_hook_stops_them_all(helm: Helm) -> None:
    rendered = helm.template(THREE)
    [container] = rendered.one("Job")["spec"]["template"]["spec"]["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert (environment["TRADEWIND_DEPLOYMENT"], environment["TRADEWIND_SHARDS"]) == ("tradewind", "3")
    named = {
        rule["resources"][0]: rule["resourceNames"]
        for rule in rights(rendered, "tradewind-uninstall")[NAMESPACE]
        if "resourceNames" in rule
    }
    assert named["deployments/scale"] == ["tradewind-0", "tradewind-1", "tradewind-2"]
    assert len(named["leases"]) == 4


def test_the_notes_wait_for_all_of_them(helm: Helm) -> None:
    assert "rollout status deployment/tradewind\n" in helm.notes()
    selected = (
        "rollout status deployment -l app.kubernetes.io/instance=tradewind,app.kubernetes.io/component=controller"
    )
    assert selected in helm.notes(THREE)


@pytest.mark.parametrize("shards", [0, 65, 1.5, "2"])
def test_an_invalid_number_is_rejected(helm: Helm, shards: object) -> None:
    with pytest.raises(HelmError, match="shards"):
        helm.template({"shards": shards})
