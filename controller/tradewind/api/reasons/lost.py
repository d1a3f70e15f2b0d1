"""A try is lost through no fault of the task."""

from tradewind.api.reasons.section import Reason, Section

_NOTHING = "No action needed: the try is repeated."

LOST = Section(
    "A try is lost",
    "`status.tasks[].tries[].reason` of a try that is Lost, and the Event TryLost. It is repeated at once and "
    "does not use up a retry, up to `retries.onLost` times (3), always after a preemption. On a drained node it has "
    "[Kubernetes' own reason](#kubernetes-own).",
    {
        "Disrupted": Reason("Kubernetes deleted the Pod without a reason.", _NOTHING),
        "Evicted": Reason(
            "The node was short of memory, disk or process ids.", "Set `resources.requests` to what the task uses."
        ),
        "Lost": Reason("The try was lost for an unknown reason.", _NOTHING),
        "NodeAffinity": Reason("The node no longer matches the Pod's affinity.", _NOTHING),
        "NodeLost": Reason("The node or the kubelet lost the container.", _NOTHING),
        "NodePorts": Reason(
            "A port of the node that the Pod requests is in use.", "Remove `hostPort` from `podTemplate`."
        ),
        "NodeShutdown": Reason("The node was shut down.", _NOTHING),
        "OutOfcpu": Reason("The node has no CPU left for the Pod.", _NOTHING),
        "OutOfephemeral-storage": Reason("The node has no storage left for the Pod.", _NOTHING),
        "OutOfmemory": Reason("The node has no memory left for the Pod.", _NOTHING),
        "OutOfpods": Reason("The node takes no more Pods.", _NOTHING),
        "PodDeleted": Reason("A user or another program deleted the Pod.", _NOTHING),
        "PodFailed": Reason("The Pod failed before its container ran, without a reason.", "See the Pod's Events."),
        "PodLost": Reason("The node lost the Pod.", _NOTHING),
        "PodVanished": Reason(
            "The Pod was deleted while no controller watched, so its result is unknown.",
            "Set `resultProtection: Finalizer` if results must not be lost.",
        ),
        "Preempted": Reason("The Pod was preempted by one with a higher priority.", _NOTHING),
        "Preempting": Reason("The Pod was preempted by a critical one on its node.", _NOTHING),
        "PreemptionByScheduler": Reason("The Pod was preempted by one with a higher priority.", _NOTHING),
        "RunEnded": Reason("The Pod was stopped because its run finished."),
        "Shutdown": Reason("The node was shut down.", _NOTHING),
        "Sidecars": Reason("The task had finished; its Pod was stopped because its sidecar containers kept running."),
        "Superseded": Reason("The Pod was stopped because its task was rerun or marked."),
        "Terminated": Reason("The node was shut down gracefully.", _NOTHING),
        "UnexpectedAdmissionError": Reason("The node rejected the Pod, usually for a device.", _NOTHING),
    },
)
