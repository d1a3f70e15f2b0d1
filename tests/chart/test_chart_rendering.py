"""The objects that the chart renders from its values."""

from typing import Any

import pytest
import yaml

from tests.chart.helm_chart import CHART, NAMESPACE, RELEASE, REPOSITORY, Helm, HelmError, Manifest, Rendered
from tests.chart.value_sets import CERT_MANAGER, DIGEST, NAMESPACES, VALUE_SETS

pytestmark = pytest.mark.chart


@pytest.fixture(params=VALUE_SETS.values(), ids=list(VALUE_SETS))
def values(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each set of values in turn."""
    found: dict[str, Any] = request.param
    return found


@pytest.fixture
def rendered(helm: Helm, values: dict[str, Any]) -> Rendered:
    """The chart rendered with each set of values in turn."""
    return helm.template(values)


def pod_specs(rendered: Rendered) -> list[Manifest]:
    return [found["spec"]["template"]["spec"] for found in rendered.objects if found["kind"] in ("Deployment", "Job")]


class TestEveryRendering:
    def test_helm_lint_finds_nothing(self, helm: Helm, values: dict[str, Any]) -> None:
        printed = helm.run("lint", "--strict", str(helm.chart), values=values)
        assert "[WARNING]" not in printed
        assert "[ERROR]" not in printed

    def test_same_values_give_the_same_bytes(self, helm: Helm, values: dict[str, Any], rendered: Rendered) -> None:
        assert helm.render(RELEASE, (), values) == rendered.text

    def test_no_object_is_rendered_twice(self, rendered: Rendered) -> None:
        keys = [
            (found["apiVersion"], found["kind"], found["metadata"].get("namespace"), found["metadata"]["name"])
            for found in rendered.objects
        ]
        assert len(keys) == len(set(keys))

    def test_every_namespaced_object_names_its_namespace(self, rendered: Rendered) -> None:
        cluster_wide = {
            "ClusterRole",
            "ClusterRoleBinding",
            "CustomResourceDefinition",
            "ValidatingWebhookConfiguration",
        }
        for found in rendered.objects:
            assert ("namespace" in found["metadata"]) == (found["kind"] not in cluster_wide), found["metadata"]

    def test_every_object_says_whose_it_is(self, rendered: Rendered) -> None:
        for found in rendered.objects:
            assert found["metadata"]["labels"]["app.kubernetes.io/instance"] == "tradewind"
            assert found["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"

    def test_pods_are_restricted(self, rendered: Rendered) -> None:
        assert pod_specs(rendered)
        for pod in pod_specs(rendered):
            assert pod["securityContext"] == {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            }
            assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys()
            for container in pod["containers"]:
                assert container["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "privileged": False,
                    "readOnlyRootFilesystem": True,
                }
                assert container["resources"]["requests"].keys() == {"cpu", "memory"}

    def test_only_tmp_is_writable(self, rendered: Rendered) -> None:
        for pod in pod_specs(rendered):
            for container in pod["containers"]:
                writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
                assert writable == ["/tmp"]
            assert all("emptyDir" in volume or "secret" in volume for volume in pod["volumes"])

    def test_ca_bundle_is_never_rendered(self, rendered: Rendered) -> None:
        assert "caBundle" not in rendered.text

    def test_no_secret_data_is_rendered(self, rendered: Rendered) -> None:
        for secret in rendered.of_kind("Secret"):
            assert secret.keys() == {"apiVersion", "kind", "metadata", "type"}

    def test_selectors_find_the_controller_and_not_the_hook(self, rendered: Rendered) -> None:
        deployments = rendered.of_kind("Deployment")
        labels = [deployment["spec"]["template"]["metadata"]["labels"] for deployment in deployments]
        selectors = [
            *(deployment["spec"]["selector"]["matchLabels"] for deployment in deployments),
            *(found["spec"]["selector"]["matchLabels"] for found in rendered.of_kind("PodDisruptionBudget")),
            *(found["spec"]["selector"] for found in rendered.of_kind("Service")),
            *(
                found["spec"]["podSelector"]["matchLabels"]
                for found in rendered.of_kind("NetworkPolicy")
                if found["metadata"]["labels"].get("app.kubernetes.io/component") != "uninstall"
            ),
        ]
        hooks = [job["spec"]["template"]["metadata"]["labels"] for job in rendered.of_kind("Job")]
        for selector in selectors:
            assert any(selector.items() <= found.items() for found in labels)
            assert not any(selector.items() <= hook.items() for hook in hooks)

    def test_ports_that_services_and_policies_name_exist(self, rendered: Rendered) -> None:
        ports = {port["name"] for port in rendered.container["ports"]}
        named = {port["targetPort"] for found in rendered.of_kind("Service") for port in found["spec"]["ports"]}
        named |= {
            port["port"]
            for policy in rendered.of_kind("NetworkPolicy")
            for rule in policy["spec"].get("ingress", [])
            for port in rule["ports"]
        }
        assert named <= ports
        if rendered.of_kind("NetworkPolicy"):
            assert named == ports


class TestImage:
    def test_tag_defaults_to_the_app_version(self, helm: Helm) -> None:
        version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
        assert helm.template().container["image"] == f"tradewind:{version}"

    def test_digest_wins_over_tag(self, helm: Helm) -> None:
        rendered = helm.template(VALUE_SETS["digest"])
        assert {container["image"] for pod in pod_specs(rendered) for container in pod["containers"]} == {
            f"registry.example.com/tradewind@{DIGEST}"
        }

    def test_app_version_is_the_projects(self) -> None:
        project = (REPOSITORY / "pyproject.toml").read_text()
        version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
        assert f'\nversion = "{version}"\n' in project


class TestEnvironment:
    def test_defaults(self, helm: Helm) -> None:
        assert helm.template().environment == {
            "TRADEWIND_NAMESPACES": "",
            "TRADEWIND_LEASE_NAME": "tradewind-controller",
            "TRADEWIND_SHARDS": "1",
            "TRADEWIND_SHARD": "0",
            "TRADEWIND_LOG_FORMAT": "json",
            "TRADEWIND_LOG_LEVEL": "info",
            "TRADEWIND_PARALLELISM": "0",
            "TRADEWIND_METRICS_PORT": "8080",
            "TRADEWIND_PROBE_PORT": "8081",
            "TRADEWIND_CHECK_CRDS": "true",
            "TRADEWIND_WEBHOOK_PORT": "9443",
            "TRADEWIND_WEBHOOK_CERTIFICATES": "self",
            "TRADEWIND_WEBHOOK_AUTHORIZE": "true",
            "TRADEWIND_WEBHOOK_SERVICE": "tradewind-webhook",
            "TRADEWIND_WEBHOOK_SECRET": "tradewind-webhook-tls",
            "TRADEWIND_WEBHOOK_CONFIGURATION": f"tradewind.{NAMESPACE}",
        }

    def test_identity_comes_from_the_downward_api(self, helm: Helm) -> None:
        fields = {
            entry["name"]: entry["valueFrom"]["fieldRef"]["fieldPath"]
            for entry in helm.template().container["env"]
            if "valueFrom" in entry
        }
        assert fields == {
            "TRADEWIND_POD_NAMESPACE": "metadata.namespace",
            "TRADEWIND_POD_NAME": "metadata.name",
            "TRADEWIND_POD_UID": "metadata.uid",
        }

    def test_namespaces_are_listed_and_no_cluster_wide_right_is_granted(self, helm: Helm) -> None:
        environment = helm.template(NAMESPACES).environment
        assert environment["TRADEWIND_NAMESPACES"] == "team-a,team-b"
        assert environment["TRADEWIND_CHECK_CRDS"] == "false"
        assert environment["TRADEWIND_WEBHOOK_PORT"] == "0"
        assert "TRADEWIND_WEBHOOK_SECRET" not in environment

    def test_large_numbers_stay_integers(self, helm: Helm) -> None:
        assert helm.template(VALUE_SETS["everything"]).environment["TRADEWIND_PARALLELISM"] == "5000000"

    def test_the_hook_knows_the_controllers_scope_and_lease(self, helm: Helm) -> None:
        for values in ({}, NAMESPACES):
            rendered = helm.template(values)
            [hook] = rendered.one("Job")["spec"]["template"]["spec"]["containers"]
            shared = [entry for entry in hook["env"] if entry["name"] != "TRADEWIND_DEPLOYMENT"]
            assert shared == rendered.container["env"][: len(shared)]
            assert {"TRADEWIND_NAMESPACES", "TRADEWIND_LEASE_NAME"} <= {entry["name"] for entry in shared}


class TestCrds:
    def test_template_syntax_in_descriptions_survives(self, helm: Helm) -> None:
        source = yaml.safe_load((helm.chart / "files/crds/tradewind.dev_dags.yaml").read_text())
        assert "{{ item }}" in str(source["spec"])
        assert helm.template().one("CustomResourceDefinition")["spec"] == source["spec"]

    def test_kept_by_default_with_their_own_labels_and_annotations(self, helm: Helm) -> None:
        metadata = helm.template({"crds": {"annotations": {"a": "b"}}}).one("CustomResourceDefinition")["metadata"]
        assert metadata["annotations"] == {
            "helm.sh/resource-policy": "keep",
            "tradewind.dev/own": "annotation",
            "a": "b",
        }
        assert metadata["labels"]["tradewind.dev/own"] == "label"

    def test_not_kept(self, helm: Helm) -> None:
        metadata = helm.template({"crds": {"keep": False}}).one("CustomResourceDefinition")["metadata"]
        assert metadata["annotations"] == {"tradewind.dev/own": "annotation"}

    def test_not_installed(self, helm: Helm) -> None:
        assert not helm.template({"crds": {"install": False}}).of_kind("CustomResourceDefinition")

    def test_the_charts_crds_are_the_generated_ones(self, helm_program: Any) -> None:
        def files(folder: Any) -> dict[str, str]:
            return {path.name: path.read_text() for path in folder.glob("*.yaml")}

        generated = files(REPOSITORY / "crds")
        assert files(CHART / "files" / "crds") == generated
        rendered = Helm(helm_program, CHART).template().of_kind("CustomResourceDefinition")
        sources = [yaml.safe_load(text) for text in generated.values()]
        assert {crd["metadata"]["name"]: crd["spec"] for crd in rendered} == {
            crd["metadata"]["name"]: crd["spec"] for crd in sources
        }


class TestAvailability:
    def test_two_replicas_that_a_drain_and_an_update_leave_one_of(self, helm: Helm) -> None:
        rendered = helm.template()
        deployment = rendered.one("Deployment")["spec"]
        assert deployment["replicas"] == 2
        assert deployment["strategy"] == {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
        }
        assert rendered.one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1

    def test_a_budget_never_blocks_the_drain_of_a_single_replica(self, helm: Helm) -> None:
        assert not helm.template({"replicas": 1}).of_kind("PodDisruptionBudget")

    def test_copies_of_one_version_spread(self, helm: Helm) -> None:
        [pod] = [found["spec"]["template"]["spec"] for found in helm.template().of_kind("Deployment")]
        assert [c["topologyKey"] for c in pod["topologySpreadConstraints"]] == [
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
        ]
        for constraint in pod["topologySpreadConstraints"]:
            assert constraint["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "controller"
            assert constraint["matchLabelKeys"] == ["pod-template-hash"]

    def test_a_constraints_own_selector_is_left_alone(self, helm: Helm) -> None:
        pod = helm.template(VALUE_SETS["everything"]).one("Deployment")["spec"]["template"]["spec"]
        assert pod["topologySpreadConstraints"][0] == {
            "maxSkew": 1,
            "topologyKey": "rack",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {},
        }

    def test_the_kubelet_waits_longer_than_the_controller_takes_to_stop(self, helm: Helm) -> None:
        pod = helm.template().one("Deployment")["spec"]["template"]["spec"]
        assert pod["terminationGracePeriodSeconds"] > 30

    def test_probes(self, helm: Helm) -> None:
        container = helm.template().container
        assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "probes"}
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "probes"}


class TestWebhook:
    def test_covers_objects_that_users_write(self, helm: Helm) -> None:
        [webhook] = helm.template().one("ValidatingWebhookConfiguration")["webhooks"]
        assert webhook["failurePolicy"] == "Ignore"
        assert webhook["rules"] == [
            {
                "apiGroups": ["tradewind.dev"],
                "apiVersions": ["v1alpha1"],
                "resources": ["dags", "dagruns", "pools", "backfills"],
                "operations": ["CREATE", "UPDATE"],
                "scope": "Namespaced",
            }
        ]
        assert webhook["clientConfig"] == {
            "service": {"name": "tradewind-webhook", "namespace": NAMESPACE, "port": 443, "path": "/validate"}
        }
        assert "namespaceSelector" not in webhook

    def test_does_not_cover_writes_of_the_controller(self, helm: Helm) -> None:
        rendered = helm.template({"serviceAccount": {"name": "sailor"}})
        [webhook] = rendered.one("ValidatingWebhookConfiguration")["webhooks"]
        own = f'request.userInfo.username != "system:serviceaccount:{NAMESPACE}:sailor"'
        assert own in [condition["expression"] for condition in webhook["matchConditions"]]

    def test_limited_to_the_namespaces_that_are_watched(self, helm: Helm) -> None:
        rendered = helm.template(VALUE_SETS["namespaces with a webhook"])
        [webhook] = rendered.one("ValidatingWebhookConfiguration")["webhooks"]
        [expression] = webhook["namespaceSelector"]["matchExpressions"]
        assert expression["values"] == ["team-a", "team-b"]

    @pytest.mark.parametrize("values", [{"webhook": {"enabled": False}}, NAMESPACES], ids=["off", "namespaces"])
    def test_off_leaves_nothing_of_it(self, helm: Helm, values: dict[str, Any]) -> None:
        rendered = helm.template(values)
        assert not rendered.of_kind("ValidatingWebhookConfiguration")
        assert not rendered.of_kind("Secret")
        assert [found["metadata"]["name"] for found in rendered.of_kind("Service")] == ["tradewind-metrics"]
        assert rendered.environment["TRADEWIND_WEBHOOK_PORT"] == "0"

    def test_cert_manager_makes_and_injects_the_certificate(self, helm: Helm) -> None:
        rendered = helm.template(CERT_MANAGER)
        certificate = rendered.one("Certificate")
        assert certificate["spec"]["dnsNames"] == [f"tradewind-webhook.{NAMESPACE}.svc"]
        assert certificate["spec"]["issuerRef"] == {
            "kind": "Issuer",
            "name": rendered.one("Issuer")["metadata"]["name"],
        }
        configuration = rendered.one("ValidatingWebhookConfiguration")
        assert configuration["metadata"]["annotations"] == {
            "cert-manager.io/inject-ca-from": f"{NAMESPACE}/{certificate['metadata']['name']}"
        }
        assert mounted_secret(rendered) == certificate["spec"]["secretName"]
        assert rendered.environment["TRADEWIND_WEBHOOK_CERTIFICATES"] == "provided"
        assert not rendered.of_kind("Secret")

    def test_an_issuer_of_the_users_own(self, helm: Helm) -> None:
        rendered = helm.template(VALUE_SETS["cert-manager with an issuer"])
        assert rendered.one("Certificate")["spec"]["issuerRef"] == {"kind": "ClusterIssuer", "name": "ca"}
        assert not rendered.of_kind("Issuer")

    def test_a_provided_certificate_is_mounted(self, helm: Helm) -> None:
        rendered = helm.template(VALUE_SETS["provided certificate"])
        assert mounted_secret(rendered) == "tls"
        assert not rendered.of_kind("Certificate")

    def test_the_controller_fills_an_empty_secret_of_the_charts(self, helm: Helm) -> None:
        rendered = helm.template()
        assert rendered.one("Secret")["metadata"]["name"] == rendered.environment["TRADEWIND_WEBHOOK_SECRET"]
        assert mounted_secret(rendered) is None


def mounted_secret(rendered: Rendered) -> str | None:
    """The Secret mounted at the path where the controller looks for its certificate."""
    mounts = {mount["mountPath"]: mount["name"] for mount in rendered.container["volumeMounts"]}
    if (volume := mounts.get("/etc/tradewind/webhook")) is None:
        return None
    pod = rendered.one("Deployment")["spec"]["template"]["spec"]
    [secret] = [found["secret"]["secretName"] for found in pod["volumes"] if found["name"] == volume]
    return str(secret)


class TestNetworkPolicy:
    def test_lets_in_its_ports_and_out_to_dns_and_the_api_server(self, helm: Helm) -> None:
        spec = helm.template().one("NetworkPolicy", "tradewind")["spec"]
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        assert spec["ingress"] == [
            {"ports": [{"protocol": "TCP", "port": "metrics"}]},
            {"ports": [{"protocol": "TCP", "port": "probes"}, {"protocol": "TCP", "port": "webhook"}]},
        ]
        assert spec["egress"] == [
            {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]},
            {"ports": [{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 6443}]},
        ]

    def test_narrowed_and_widened(self, helm: Helm) -> None:
        values = VALUE_SETS["everything"]["networkPolicy"]
        spec = helm.template({"networkPolicy": values}).one("NetworkPolicy", "tradewind")["spec"]
        assert spec["ingress"][0]["from"] == values["metricsFrom"]
        assert spec["egress"][1] == {
            "ports": [{"protocol": "TCP", "port": 6443}],
            "to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}],
        }
        assert spec["egress"][2:] == values["extraEgress"]

    def test_off(self, helm: Helm) -> None:
        assert not helm.template({"networkPolicy": {"enabled": False}}).of_kind("NetworkPolicy")


class TestServiceMonitor:
    CAPABLE = ("--api-versions", "monitoring.coreos.com/v1/ServiceMonitor")

    def test_auto_follows_the_cluster(self, helm: Helm) -> None:
        assert not helm.template().of_kind("ServiceMonitor")
        assert helm.template(arguments=self.CAPABLE).of_kind("ServiceMonitor")

    def test_switched(self, helm: Helm) -> None:
        off = {"metrics": {"serviceMonitor": {"enabled": False}}}
        assert not helm.template(off, arguments=self.CAPABLE).of_kind("ServiceMonitor")
        assert helm.template({"metrics": {"serviceMonitor": {"enabled": True}}}).of_kind("ServiceMonitor")

    def test_selects_the_metrics_service_only(self, helm: Helm) -> None:
        rendered = helm.template(arguments=self.CAPABLE)
        selector = rendered.one("ServiceMonitor")["spec"]["selector"]["matchLabels"]
        selected = [s for s in rendered.of_kind("Service") if selector.items() <= s["metadata"]["labels"].items()]
        assert [found["metadata"]["name"] for found in selected] == ["tradewind-metrics"]


def hook_labels(job: Manifest) -> dict[str, str]:
    """The labels of the hook's Pod."""
    labels: dict[str, str] = job["spec"]["template"]["metadata"]["labels"]
    return labels


class TestUninstallHook:
    def test_only_its_job_is_a_hook(self, helm: Helm) -> None:
        """The Job's needs exist from the start: a Role cannot be created in a namespace that is deleted by then."""
        for values in ({}, NAMESPACES):
            rendered = helm.template(values)
            [hook] = [found for found in rendered.objects if "helm.sh/hook" in found["metadata"].get("annotations", {})]
            assert hook["kind"] == "Job"
            assert hook["metadata"]["annotations"] == {
                "helm.sh/hook": "pre-delete",
                "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
                "helm.sh/hook-output-log-policy": "hook-succeeded,hook-failed",
            }
            pod = hook["spec"]["template"]["spec"]
            assert rendered.one("ServiceAccount", pod["serviceAccountName"])
            policy = rendered.one("NetworkPolicy", hook["metadata"]["name"])
            assert policy["spec"]["podSelector"]["matchLabels"].items() <= hook_labels(hook).items()

    def test_it_stops_the_controllers_of_its_release(self, helm: Helm) -> None:
        for release in ("tradewind", "blue"):
            rendered = helm.template(release=release)
            [container] = rendered.one("Job")["spec"]["template"]["spec"]["containers"]
            environment = {entry["name"]: entry.get("value") for entry in container["env"]}
            deployment = rendered.one("Deployment")
            assert environment["TRADEWIND_DEPLOYMENT"] == deployment["metadata"]["name"]
            assert environment["TRADEWIND_LEASE_NAME"] == rendered.environment["TRADEWIND_LEASE_NAME"]
            selector = deployment["spec"]["selector"]["matchLabels"]
            assert not selector.items() <= hook_labels(rendered.one("Job")).items(), "it would wait for itself"

    @pytest.mark.parametrize("create", [True, False])
    def test_a_forbidden_namespace_counts_as_deleted_only_if_the_chart_creates_the_roles(
        self, helm: Helm, create: bool
    ) -> None:
        job = helm.template(NAMESPACES | {"rbac": {"create": create}}).one("Job")
        [container] = job["spec"]["template"]["spec"]["containers"]
        assert container["args"] == ["release-finalizers", *(["--skip-forbidden"] if create else [])]

    def test_off(self, helm: Helm) -> None:
        assert "helm.sh/hook" not in helm.template({"uninstallHook": {"enabled": False}}).text


class TestNames:
    def test_release_of_another_name(self, helm: Helm) -> None:
        rendered = helm.template(release="blue")
        assert rendered.one("Deployment")["metadata"]["name"] == "blue-tradewind"
        assert rendered.environment["TRADEWIND_LEASE_NAME"] == "blue-tradewind-controller"

    def test_the_longest_release_name_fits(self, helm: Helm) -> None:
        rendered = helm.template(release="r" * 53)
        assert max(len(found["metadata"]["name"].split(".")[0]) for found in rendered.objects) <= 63


class TestContradictions:
    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"scope": "namespaces"}, "scope: namespaces needs at least one entry in namespaces"),
            ({"namespaces": ["a"]}, "namespaces is only used with scope: namespaces"),
            (NAMESPACES | {"webhook": {"enabled": True}}, "Set webhook.certificates to certManager or provided"),
            ({"webhook": {"certificates": "provided"}}, "needs webhook.provided.secretName"),
            (
                {"webhook": {"certificates": "certManager", "certManager": {"issuerRef": {"kind": "Issuer"}}}},
                "issuerRef needs a name",
            ),
        ],
    )
    def test_are_rejected_with_advice(self, helm: Helm, values: dict[str, Any], message: str) -> None:
        with pytest.raises(HelmError, match=message):
            helm.template(values)

    def test_old_kubernetes_is_rejected(self, helm: Helm) -> None:
        with pytest.raises(HelmError, match=r">=1\.30"):
            helm.template(arguments=("--kube-version", "1.29.9"))
        assert helm.template(arguments=("--kube-version", "v1.30.0-gke.1")).objects
