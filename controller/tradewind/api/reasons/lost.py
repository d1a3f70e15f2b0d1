"""A try is lost through no fault of the task."""

from tradewind.api.reasons.section import Reason, Section

_NOTHING = "Nothing: the try is made again."

LOST = Section(
    "A try is lost",
    "`status.tasks[].tries[].reason` of a try that is Lost, and the Event TryLost. Another try follows at once and "
    "does not count, `retries.onLost` times (3); after a preemption always. A lost try of a drained node has "
    "[Kubernetes' own reason](#kubernetes-own).",
    {
        "Disrupted": Reason("Kubernetes took the Pod away and gave no reason.", _NOTHING),
        "Evicted": Reason(
            "The node was short of memory, disk or process ids.", "Set `resources.requests` to what the task uses."
        ),
        "Lost": Reason("The try was lost and nothing says why.", _NOTHING),
        "NodeAffinity": Reason("The node no longer fits the Pod's affinity.", _NOTHING),
        "NodeLost": Reason("The node or the kubelet lost the container.", _NOTHING),
        "NodePorts": Reason(
            "A port of the node that the Pod asks for is taken.", "Remove `hostPort` from `podTemplate`."
        ),
        "NodeShutdown": Reason("The node was shut down.", _NOTHING),
        "OutOfcpu": Reason("The node has no CPU left for the Pod.", _NOTHING),
        "OutOfephemeral-storage": Reason("The node has no storage left for the Pod.", _NOTHING),
        "OutOfmemory": Reason("The node has no memory left for the Pod.", _NOTHING),
        "OutOfpods": Reason("The node takes no more Pods.", _NOTHING),
        "PodDeleted": Reason("Somebody deleted the Pod.", _NOTHING),
        "PodFailed": Reason("The Pod failed before its container ran and gave no reason.", "See the Pod's Events."),
        "PodLost": Reason("The node lost the Pod.", _NOTHING),
        "PodVanished": Reason(
            "The Pod was deleted while no controller watched, so its result is unknown.",
            "`resultProtection: Finalizer` keeps results where that matters.",
        ),
        "Preempted": Reason("The Pod made way for one of higher priority.", _NOTHING),
        "Preempting": Reason("The Pod made way for a critical one on its node.", _NOTHING),
        "PreemptionByScheduler": Reason("The Pod made way for one of higher priority.", _NOTHING),
        "RunEnded": Reason("The Pod was ended because its run has finished."),
        "Shutdown": Reason("The node was shut down.", _NOTHING),
        "Sidecars": Reason("The task had finished; its Pod was ended because containers beside it did not finish."),
        "Superseded": Reason("The Pod was ended because its task runs again or was marked."),
        "Terminated": Reason("The node was shut down in an orderly way.", _NOTHING),
        "UnexpectedAdmissionError": Reason("The node refused the Pod, mostly for a device.", _NOTHING),
    },
)
