"""Valid inputs to start from: small, because parsing takes most of the time."""

from typing import Any

DAGS: list[dict[str, Any]] = [
    {
        "schedule": "0 6 * * 1-5",
        "timeZone": "Europe/Berlin",
        "startDate": "2026-01-01T00:00:00Z",
        "endDate": "2026-12-31T00:00:00Z",
        "startingDeadline": "1h",
        "maxActiveRuns": 2,
        "params": {"region": {"type": "string", "pattern": "^[a-z]+$", "default": "eu"}},
        "taskDefaults": {"image": "busybox", "retries": {"limit": 2, "delay": "30s", "backoff": 2, "maxDelay": "1h"}},
        "tasks": [
            {"name": "extract", "args": ["{{ ds }}", "{{ params.region }}"], "timeout": "5m", "connections": ["db"]},
            {"name": "load", "script": "echo {{ tasks.extract.output.n }}", "dependsOn": ["extract"], "pool": "p"},
        ],
    },
    {
        "schedules": ["@daily", "0 12 * * *"],
        "catchup": True,
        "params": {"rows": {"type": "array", "items": {"type": "integer"}, "default": [1, 2]}},
        "groups": [{"name": "g", "forEach": {"param": "rows"}}],
        "tasks": [
            {"name": "a", "image": "x", "group": "g", "args": ["{{ item }}"]},
            {
                "name": "b",
                "image": "x",
                "group": "g",
                "dependsOn": ["a"],
                "env": [{"name": "V", "value": "{{ index }}"}],
            },
            {"name": "c", "image": "x", "dependsOn": ["g"], "triggerRule": "AllDone"},
        ],
    },
    {
        "schedule": {"every": "15m"},
        "podTemplate": {"metadata": {"labels": {"team": "a"}}, "spec": {"nodeSelector": {"disk": "ssd"}}},
        "tasks": [
            {"name": "pick", "image": "x", "branch": True},
            {"name": "left", "image": "x", "dependsOn": ["pick"], "forEach": {"items": ["a", {"b": "{{ ds }}"}]}},
            {"name": "right", "noop": True, "dependsOn": ["pick"]},
            {"name": "wait", "waitFor": {"time": "{{ ts }}"}, "sensor": {"timeout": "1h", "mode": "Reschedule"}},
            {
                "name": "many",
                "image": "x",
                "dependsOn": ["left", "right"],
                "triggerRule": "NoneFailedMinOneSuccess",
                "forEach": [{"name": "i", "items": [1, 2]}, {"name": "j", "output": "pick.list"}],
                "combine": "Zip",
                "podTemplate": {"spec": {"containers": [{"name": "task", "resources": {"limits": {"cpu": "1"}}}]}},
            },
            {"name": "up", "image": "x", "setup": True},
            {"name": "down", "image": "x", "teardown": {"setups": ["up"]}, "dependsOn": ["many", "up"]},
        ],
    },
]
RUN: dict[str, Any] = {
    "dag": "d",
    "type": "Manual",
    "logicalDate": "2026-03-01T06:00:00Z",
    "dataInterval": {"start": "2026-02-28T06:00:00Z", "end": "2026-03-01T06:00:00Z"},
    "params": {"region": "us"},
    "suspend": False,
    "request": {"id": "1", "type": "Rerun", "tasks": ["load", "many[3]"], "onlyFailed": True, "requestedBy": "ann"},
}
BACKFILL: dict[str, Any] = {
    "dag": "d",
    "from": "2026-01-01T00:00:00Z",
    "to": "2026-02-01T00:00:00Z",
    "reprocess": "Failed",
    "maxActiveRuns": 3,
    "params": {"region": "eu"},
}
POOL: dict[str, Any] = {"slots": 4}
STATUSES: list[dict[str, Any]] = [
    {
        "phase": "Running",
        "startedAt": "2026-03-01T06:00:00Z",
        "revision": "d-0123456789",
        "logicalDate": "2026-03-01T06:00:00Z",
        "params": {"rows": [1, 2]},
        "done": "1/7",
        "tasks": [
            {
                "name": "up",
                "state": "Succeeded",
                "try": 1,
                "startedAt": "2026-03-01T06:00:01Z",
                "finishedAt": "2026-03-01T06:00:02Z",
            },
            {
                "name": "pick",
                "state": "Succeeded",
                "try": 2,
                "output": ["left"],
                "tries": [{"number": 1, "state": "Failed"}],
            },
            {
                "name": "wait",
                "state": "UpForReschedule",
                "try": 1,
                "pokes": 3,
                "firstPokeAt": "2026-03-01T06:00:01Z",
                "nextPokeAt": "2026-03-01T06:01:01Z",
            },
            {
                "name": "left",
                "state": "Running",
                "count": 2,
                "indexes": {"Succeeded": "0", "Running": "1"},
                "numbers": {"2": "1"},
                "lostTries": {"1": "1"},
                "outputs": {"0": {"n": 1}},
                "instances": [{"index": 1, "state": "Running", "try": 2, "startedAt": "2026-03-01T06:00:01Z"}],
            },
            {"name": "many", "state": "UpForRetry", "try": 1, "retryAt": "2026-03-01T06:05:00Z"},
        ],
        "requests": [{"id": "1", "type": "Rerun", "state": "Applied", "at": "2026-03-01T06:00:00Z"}],
    },
]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "string", "pattern": "^(a|b)+$"}, "b": {"type": "array", "items": {"enum": [1, "x"]}}},
    "patternProperties": {"^x": {"multipleOf": 0.1}},
    "additionalProperties": False,
    "anyOf": [{"required": ["a"]}, {"not": {"const": 3}}],
    "if": {"minProperties": 1},
    "then": {"maxProperties": 5},
    "default": {"a": "abab", "b": [1], "x1": 3},
}
POD: dict[str, Any] = {
    "metadata": {
        "name": "p",
        "namespace": "ns",
        "uid": "u",
        "resourceVersion": "5",
        "labels": {
            "tradewind.dev/run": "r",
            "tradewind.dev/task": "left",
            "tradewind.dev/try": "1",
            "tradewind.dev/index": "1",
        },
        "annotations": {"a": "b"},
        "ownerReferences": [
            {"apiVersion": "tradewind.dev/v1alpha1", "kind": "DagRun", "name": "r", "uid": "ru", "controller": True}
        ],
        "finalizers": ["tradewind.dev/result"],
    },
    "spec": {"nodeName": "n"},
    "status": {
        "phase": "Succeeded",
        "reason": "Evicted",
        "message": "low on memory",
        "conditions": [
            {
                "type": "Ready",
                "status": "False",
                "reason": "x",
                "message": "y",
                "lastTransitionTime": "2026-03-01T06:00:00Z",
            }
        ],
        "containerStatuses": [
            {
                "name": "task",
                "state": {
                    "terminated": {
                        "exitCode": 0,
                        "message": "{}",
                        "reason": "Completed",
                        "startedAt": "2026-03-01T06:00:00Z",
                        "finishedAt": "2026-03-01T06:00:05Z",
                    }
                },
            }
        ],
    },
}
