"""A podTemplate is merged as `kubectl patch --type=strategic` merges it."""

import copy
from typing import Any

import pytest
import yaml

from tradewind.controller.pods.strategic_merge import strategic_merge

pytestmark = pytest.mark.unit

CASES = """
- what: values are replaced, maps are merged
  base: {spec: {a: 1, nodeSelector: {disk: ssd}}}
  patch: {spec: {a: 2, nodeSelector: {zone: b}}}
  result: {spec: {a: 2, nodeSelector: {disk: ssd, zone: b}}}
- what: null removes
  base: {spec: {a: 1, securityContext: {runAsUser: 65532, fsGroup: 1}}}
  patch: {spec: {a: null, securityContext: {runAsUser: null}}}
  result: {spec: {securityContext: {fsGroup: 1}}}
- what: nulls in what is new are left out
  base: {spec: {}}
  patch: {spec: {affinity: {podAffinity: null, nodeAffinity: {x: 1}}}}
  result: {spec: {affinity: {nodeAffinity: {x: 1}}}}
- what: containers merge by name
  base: {containers: [{name: task, image: a, args: [x]}]}
  patch: {containers: [{name: task, image: b}, {name: proxy, image: p}]}
  result: {containers: [{name: task, image: b, args: [x]}, {name: proxy, image: p}]}
- what: env merges by name
  base: {containers: [{name: task, env: [{name: A, value: "1"}, {name: B, value: "2"}]}]}
  patch: {containers: [{name: task, env: [{name: B, value: "3"}, {name: C, value: "4"}]}]}
  result: {containers: [{name: task, env: [{name: A, value: "1"}, {name: B, value: "3"}, {name: C, value: "4"}]}]}
- what: volume mounts merge by path
  base: {volumeMounts: [{name: data, mountPath: /data}]}
  patch: {volumeMounts: [{name: other, mountPath: /data}, {name: data, mountPath: /more}]}
  result: {volumeMounts: [{name: other, mountPath: /data}, {name: data, mountPath: /more}]}
- what: ports merge by containerPort
  base: {ports: [{containerPort: 80, name: web}]}
  patch: {ports: [{containerPort: 80, protocol: TCP}, {containerPort: 81}]}
  result: {ports: [{containerPort: 80, name: web, protocol: TCP}, {containerPort: 81}]}
- what: a volume's source takes the place of the other
  base: {volumes: [{name: data, emptyDir: {}}, {name: more, emptyDir: {}}]}
  patch: {volumes: [{name: data, persistentVolumeClaim: {claimName: c}}]}
  result: {volumes: [{name: data, persistentVolumeClaim: {claimName: c}}, {name: more, emptyDir: {}}]}
- what: lists without a merge key are replaced
  base: {tolerations: [{key: a}], containers: [{name: task, args: [x, y], envFrom: [{secretRef: {name: s}}]}]}
  patch: {tolerations: [{key: b}], containers: [{name: task, args: [z], envFrom: []}]}
  result: {tolerations: [{key: b}], containers: [{name: task, args: [z], envFrom: []}]}
- what: an item can be deleted
  base: {containers: [{name: task, env: [{name: A, value: "1"}, {name: B, value: "2"}]}]}
  patch: {containers: [{name: task, env: [{name: A, $patch: delete}]}]}
  result: {containers: [{name: task, env: [{name: B, value: "2"}]}]}
- what: pull secrets and host aliases
  base: {imagePullSecrets: [{name: a}], hostAliases: [{ip: 10.0.0.1, hostnames: [a]}]}
  patch: {imagePullSecrets: [{name: b}], hostAliases: [{ip: 10.0.0.1, hostnames: [b]}]}
  result: {imagePullSecrets: [{name: a}, {name: b}], hostAliases: [{ip: 10.0.0.1, hostnames: [b]}]}
"""


@pytest.mark.parametrize("case", yaml.safe_load(CASES), ids=lambda case: case["what"])
def test_as_kubectl_does(case: dict[str, Any]) -> None:
    base, patch = copy.deepcopy(case["base"]), copy.deepcopy(case["patch"])
    assert strategic_merge(base, patch) == case["result"]
    assert (base, patch) == (case["base"], case["patch"]), "neither is changed"


def test_an_item_without_its_key_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"podTemplate\.containers: each item needs 'name'"):
        strategic_merge({"containers": [{"name": "task"}]}, {"containers": [{"image": "x"}]})


@pytest.mark.parametrize("bad", [{"name": "data"}, "data", {"mountPath": ["/data"]}, {"mountPath": None}])
def test_so_is_one_in_what_the_template_is_merged_into(bad: Any) -> None:
    base = {"containers": [{"name": "task", "volumeMounts": [bad]}]}
    patch = {"containers": [{"name": "task", "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}]}
    with pytest.raises(ValueError, match=r"podTemplate.containers\[task\].volumeMounts: each item needs 'mountPath'"):
        strategic_merge(base, patch)
    with pytest.raises(ValueError, match=r"volumeMounts: each item needs 'mountPath'"):
        strategic_merge(patch, base)
