"""Values with which users install the chart."""

from typing import Any

DIGEST = "sha256:" + "0123456789abcdef" * 4
NAMESPACES = {"scope": "namespaces", "namespaces": ["team-a", "team-b"]}
CERT_MANAGER = {"webhook": {"certificates": "certManager"}}
VALUE_SETS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "namespaces": NAMESPACES,
    "namespaces with a webhook": NAMESPACES | {"webhook": {"enabled": True, "certificates": "certManager"}},
    "no webhook": {"webhook": {"enabled": False}},
    "cert-manager": CERT_MANAGER,
    "cert-manager with an issuer": {
        "webhook": {
            "certificates": "certManager",
            "certManager": {"issuerRef": {"kind": "ClusterIssuer", "name": "ca"}},
        }
    },
    "provided certificate": {"webhook": {"certificates": "provided", "provided": {"secretName": "tls"}}},
    "digest": {"image": {"repository": "registry.example.com/tradewind", "tag": "1.2.3", "digest": DIGEST}},
    "no CRDs": {"crds": {"install": False}},
    "no NetworkPolicy": {"networkPolicy": {"enabled": False}},
    "one replica": {"replicas": 1},
    "three shards": {"shards": 3},
    "nothing optional": {
        "crds": {"install": False},
        "webhook": {"enabled": False},
        "serviceAccount": {"create": False},
        "rbac": {"create": False},
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "uninstallHook": {"enabled": False},
        "topologySpreadConstraints": [],
    },
    "everything": {
        "nameOverride": "wind",
        "fullnameOverride": "my-wind",
        "commonLabels": {"team": "data", "app.kubernetes.io/name": "not-this"},
        "imagePullSecrets": [{"name": "registry"}],
        "controller": {"parallelism": 5000000, "logLevel": "debug", "extraEnv": [{"name": "TZ", "value": "UTC"}]},
        "crds": {"annotations": {"a": "b"}},
        "webhook": {"annotations": {"a": "b"}, "failurePolicy": "Fail", "port": 10250},
        "serviceAccount": {"name": "sailor", "annotations": {"a": "b"}},
        "metrics": {"serviceMonitor": {"enabled": True, "interval": "30s", "labels": {"release": "prometheus"}}},
        "networkPolicy": {
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "apiServer": {"ports": [6443], "cidrs": ["10.0.0.1/32"]},
            "extraEgress": [{"ports": [{"port": 4317}]}],
        },
        "podDisruptionBudget": {"maxUnavailable": "50%"},
        "podAnnotations": {"a": "b"},
        "podLabels": {"app.kubernetes.io/component": "not-this", "c": "d"},
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
        ],
        "global": {"anything": 1},
        "enabled": True,
    },
}
