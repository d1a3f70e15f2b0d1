"""The rights of each account, rule by rule: an unlisted right fails here."""

from typing import Any

import pytest
import yaml

from tests.chart.helm_chart import NAMESPACE, REPOSITORY, Helm, Manifest, Rendered

pytestmark = pytest.mark.chart

NAMESPACES = {"scope": "namespaces", "namespaces": ["team-a", "team-b"]}

WORK = """
- {apiGroups: [tradewind.dev], resources: [pools], verbs: [list, watch]}
- {apiGroups: [tradewind.dev], resources: [dags], verbs: [get, list, watch, patch]}
- {apiGroups: [tradewind.dev], resources: [backfills], verbs: [get, list, watch, patch, delete]}
- {apiGroups: [tradewind.dev], resources: [dagruns], verbs: [get, list, watch, create, patch, delete]}
- {apiGroups: [tradewind.dev], resources: [dags/status, dagruns/status, pools/status, backfills/status], verbs: [patch]}
- {apiGroups: [""], resources: [pods], verbs: [get, list, watch, create, patch, delete, deletecollection]}
- {apiGroups: [""], resources: [configmaps], verbs: [list, watch]}
- {apiGroups: [apps], resources: [controllerrevisions], verbs: [get, list, create, delete]}
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}
"""
AUTHORIZE = """
- {apiGroups: [authorization.k8s.io], resources: [localsubjectaccessreviews], verbs: [create]}
"""
WAIT_FOR = """
- {apiGroups: [batch], resources: [jobs], verbs: [list, watch]}
- {apiGroups: [""], resources: [pods], verbs: [list, watch]}
- {apiGroups: [apps], resources: [deployments], verbs: [list, watch]}
"""
CLUSTER_ONLY = """
- {apiGroups: [apiextensions.k8s.io], resources: [customresourcedefinitions], verbs: [get],
   resourceNames: [dags.tradewind.dev, dagruns.tradewind.dev, pools.tradewind.dev, backfills.tradewind.dev]}
"""
CLUSTER = WORK + AUTHORIZE + WAIT_FOR + CLUSTER_ONLY
NO_WEBHOOK = WORK + WAIT_FOR
INJECT_CA = f"""
- {{apiGroups: [admissionregistration.k8s.io], resources: [validatingwebhookconfigurations],
   resourceNames: [tradewind.{NAMESPACE}], verbs: [get, patch]}}
"""
LEASE = """
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create, list]}
- {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [tradewind-controller],
   verbs: [get, update]}
"""
SECRET = """
- {apiGroups: [""], resources: [secrets], resourceNames: [tradewind-webhook-tls], verbs: [get, update]}
"""
HOOK_WORK = """
- {apiGroups: [""], resources: [pods], verbs: [list, patch]}
"""
HOOK_OWN = """
- {apiGroups: [apps], resources: [deployments/scale], resourceNames: [tradewind], verbs: [patch]}
- {apiGroups: [""], resources: [pods], verbs: [list]}
- {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [tradewind-controller],
   verbs: [get]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [list, delete]}
"""

Rules = list[dict[str, Any]]


def rights(rendered: Rendered, account: str) -> dict[str | None, Rules]:
    """The rules that bindings give a ServiceAccount, by namespace; None is the whole cluster."""
    roles: dict[tuple[str, str | None, str], Rules] = {
        (found["kind"], found["metadata"].get("namespace"), found["metadata"]["name"]): found["rules"]
        for found in rendered.objects
        if found["kind"] in ("Role", "ClusterRole")
    }
    given: dict[str | None, Rules] = {}
    for binding in rendered.of_kind("RoleBinding") + rendered.of_kind("ClusterRoleBinding"):
        namespace = binding["metadata"].get("namespace")
        if {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE} in binding["subjects"]:
            reference = binding["roleRef"]
            role = (reference["kind"], namespace if reference["kind"] == "Role" else None, reference["name"])
            given.setdefault(namespace, []).extend(roles[role])
    return given


def rules(*texts: str) -> Rules:
    found: Rules = yaml.safe_load("".join(texts))
    return found


class TestController:
    def test_cluster_scope(self, helm: Helm) -> None:
        assert rights(helm.template(), "tradewind") == {
            None: rules(CLUSTER, INJECT_CA),
            NAMESPACE: rules(LEASE, SECRET),
        }

    @pytest.mark.parametrize(
        "webhook",
        [
            {"enabled": False},
            {"certificates": "certManager"},
            {"certificates": "provided", "provided": {"secretName": "tls"}},
        ],
        ids=["off", "cert-manager", "provided"],
    )
    def test_without_certificates_of_its_own_no_right_on_secrets(self, helm: Helm, webhook: dict[str, Any]) -> None:
        assert rights(helm.template({"webhook": webhook}), "tradewind") == {
            None: rules(CLUSTER if webhook.get("enabled", True) else NO_WEBHOOK + CLUSTER_ONLY),
            NAMESPACE: rules(LEASE),
        }

    def test_the_right_to_write_dags_is_checked_only_if_enabled(self, helm: Helm) -> None:
        rendered = helm.template({"webhook": {"authorize": False}})
        assert rights(rendered, "tradewind")[None] == rules(NO_WEBHOOK, CLUSTER_ONLY, INJECT_CA)
        assert rendered.environment["TRADEWIND_WEBHOOK_AUTHORIZE"] == "false"

    def test_namespaces_scope_asks_in_its_namespaces(self, helm: Helm) -> None:
        webhook = {"webhook": {"enabled": True, "certificates": "certManager"}}
        assert rights(helm.template(NAMESPACES | webhook), "tradewind") == {
            "team-a": rules(WORK, AUTHORIZE, WAIT_FOR),
            "team-b": rules(WORK, AUTHORIZE, WAIT_FOR),
            NAMESPACE: rules(LEASE),
        }

    def test_namespaces_scope(self, helm: Helm) -> None:
        assert rights(helm.template(NAMESPACES), "tradewind") == {
            "team-a": rules(NO_WEBHOOK),
            "team-b": rules(NO_WEBHOOK),
            NAMESPACE: rules(LEASE),
        }

    def test_its_own_namespace_may_be_one_of_those_it_watches(self, helm: Helm) -> None:
        rendered = helm.template({"scope": "namespaces", "namespaces": [NAMESPACE]})
        assert rights(rendered, "tradewind") == {NAMESPACE: rules(NO_WEBHOOK, LEASE)}

    @pytest.mark.parametrize(
        "webhook",
        [{}, {"enabled": True, "certificates": "certManager"}],
        ids=["no webhook", "cert-manager"],
    )
    def test_namespaces_scope_has_not_one_cluster_role(self, helm: Helm, webhook: dict[str, Any]) -> None:
        rendered = helm.template(NAMESPACES | {"webhook": webhook})
        assert not rendered.of_kind("ClusterRole")
        assert not rendered.of_kind("ClusterRoleBinding")

    @pytest.mark.parametrize("values", [{}, NAMESPACES, {"webhook": {"enabled": False}}], ids=["", "namespaces", "off"])
    def test_it_reads_no_secret_but_its_own_and_writes_no_config_map(self, helm: Helm, values: dict[str, Any]) -> None:
        for given in rights(helm.template(values), "tradewind").values():
            for rule in given:
                if "secrets" in rule["resources"]:
                    assert rule["resourceNames"] == ["tradewind-webhook-tls"]
                if "configmaps" in rule["resources"]:
                    assert rule["verbs"] == ["list", "watch"]

    @pytest.mark.parametrize("scope", [{}, NAMESPACES], ids=["", "namespaces"])
    def test_what_tasks_may_wait_for(self, helm: Helm, scope: dict[str, Any]) -> None:
        resources = [{"apiGroups": ["example.com"], "resources": ["databases", "queues"]}]
        more = "- {apiGroups: [example.com], resources: [databases, queues], verbs: [list, watch]}"
        for kinds, expected in (([], ""), (resources, more)):
            given = rights(helm.template(scope | {"waitFor": {"resources": kinds}}), "tradewind")
            for namespace in scope.get("namespaces", [None]):
                wanted = rules(WORK, expected)
                assert [rule for rule in given[namespace] if rule in wanted] == wanted
                assert (rules(WAIT_FOR)[0] in given[namespace]) is False

    def test_none_are_made_if_not_wanted(self, helm: Helm) -> None:
        rendered = helm.template({"rbac": {"create": False, "aggregate": False}})
        assert not [found for found in rendered.objects if found["apiVersion"].startswith("rbac.")]


class TestUninstallHook:
    def test_cluster_scope(self, helm: Helm) -> None:
        assert rights(helm.template(), "tradewind-uninstall") == {None: rules(HOOK_WORK), NAMESPACE: rules(HOOK_OWN)}

    def test_namespaces_scope(self, helm: Helm) -> None:
        assert rights(helm.template(NAMESPACES), "tradewind-uninstall") == {
            "team-a": rules(HOOK_WORK),
            "team-b": rules(HOOK_WORK),
            NAMESPACE: rules(HOOK_OWN),
        }


class TestUsers:
    def aggregated(self, rendered: Rendered, role: str) -> Manifest:
        label = f"rbac.authorization.k8s.io/aggregate-to-{role}"
        found = [r for r in rendered.of_kind("ClusterRole") if r["metadata"]["labels"].get(label) == "true"]
        assert len(found) == 1
        return found[0]

    def test_view_reads_edit_writes_dags_and_admin_writes_pools(self, helm: Helm) -> None:
        rendered = helm.template()
        assert self.aggregated(rendered, "view")["rules"] == rules("""
- {apiGroups: [tradewind.dev], resources: [dags, dagruns, pools, backfills], verbs: [get, list, watch]}
- {apiGroups: [tradewind.dev], resources: [dags/status, dagruns/status, pools/status, backfills/status], verbs: [get]}
""")
        assert self.aggregated(rendered, "edit")["rules"] == rules("""
- {apiGroups: [tradewind.dev], resources: [dags, dagruns, backfills], verbs: [create, update, patch, delete]}
""")
        assert self.aggregated(rendered, "admin")["rules"] == rules("""
- {apiGroups: [tradewind.dev], resources: [pools], verbs: [create, update, patch, delete]}
""")

    def test_off(self, helm: Helm) -> None:
        assert "aggregate-to" not in helm.template({"rbac": {"aggregate": False}}).text


def test_every_kind_is_readable_checked_and_validated(helm: Helm) -> None:
    """A CRD that is added to the project must be added to the chart's rules too."""
    crds = [yaml.safe_load(path.read_text()) for path in (REPOSITORY / "crds").glob("*.yaml")]
    assert crds
    rendered = helm.template()
    [check] = [r for r in rights(rendered, "tradewind")[None] if r["resources"] == ["customresourcedefinitions"]]
    assert set(check["resourceNames"]) == {crd["metadata"]["name"] for crd in crds}
    plurals = {crd["spec"]["names"]["plural"] for crd in crds}
    [view] = [r for r in rendered.of_kind("ClusterRole") if r["metadata"]["name"].endswith("-view")]
    assert set(view["rules"][0]["resources"]) == plurals
    [webhook] = rendered.one("ValidatingWebhookConfiguration")["webhooks"]
    assert set(webhook["rules"][0]["resources"]) == plurals


def test_every_right_is_explained(helm: Helm) -> None:
    """Each resource and verb of the controller and the hook is in the table of docs/installing.md."""
    table = [
        [cell.strip().replace("`", "") for cell in line.strip().strip("|").split("|")]
        for line in (REPOSITORY / "docs" / "installing.md").read_text().splitlines()
        if line.startswith("| `")
    ]
    documented = {
        (resource.strip(), verb.strip())
        for resources, verbs, *_ in table
        for resource in resources.split(",")
        for verb in verbs.split(",")
    }
    rendered = helm.template()
    granted = {
        (resource, verb)
        for account in ("tradewind", "tradewind-uninstall")
        for given in rights(rendered, account).values()
        for rule in given
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert documented == granted
