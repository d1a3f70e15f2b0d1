"""A file in a volume in which every try records its start, to prove that none ran twice."""

from collections import Counter
from typing import Any

from tests.cluster import Manifest
from tests.e2e.spaces import Space

CLAIM = "ledger"
MOUNT = {
    "spec": {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "task", "volumeMounts": [{"name": CLAIM, "mountPath": "/ledger"}]}],
        "volumes": [{"name": CLAIM, "persistentVolumeClaim": {"claimName": CLAIM}}],
    }
}
SIGN = 'echo "$TRADEWIND_TASK $TRADEWIND_TRY" >> /ledger/tries'


def sleeper(name: str, seconds: float, *after: str, fails: int = 0, **fields: Any) -> Manifest:
    """A task that signs, sleeps, and outputs its name; its first `fails` tries fail."""
    script = (
        f'{SIGN}; sleep {seconds}; [ "$TRADEWIND_TRY" -gt {fails} ] && echo "\\"$TRADEWIND_TASK\\"" >$TRADEWIND_OUTPUT'
    )
    retries = {"limit": fails, "delay": "1s"}
    return {"name": name, "script": script, "dependsOn": list(after), "retries": retries, **fields}


def read_ledger(space: Space) -> Counter[tuple[str, int]]:
    """Return the number of starts of each (task, try); reads them with a Pod of its own, which needs no controller."""
    name = "read-ledger"
    space.witness.core.create_namespaced_pod(space.name, _reader(name))
    space.eventually(lambda: _phase(space, name) == "Succeeded", "the ledger is read")
    lines = space.log(name).splitlines()
    space.witness.core.delete_namespaced_pod(name, space.name, grace_period_seconds=0)
    return Counter((task, int(number)) for task, number in map(str.split, lines))


def _phase(space: Space, pod: str) -> str:
    return str(space.witness.core.read_namespaced_pod(pod, space.name).status.phase)


def _reader(name: str) -> Manifest:
    return {
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "task",
                    "image": "busybox:1.36",
                    "command": ["cat", "/ledger/tries"],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": CLAIM, "mountPath": "/ledger"}],
                }
            ],
            "volumes": [{"name": CLAIM, "persistentVolumeClaim": {"claimName": CLAIM}}],
        },
    }
