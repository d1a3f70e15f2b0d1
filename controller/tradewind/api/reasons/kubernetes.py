"""Reasons that Kubernetes gives and that are passed on."""

from tradewind.api.reasons.section import Reason, Section

_IMAGE = "Correct `image`, or give the service account an image pull secret."
_DRAINED = "No action needed: the try is repeated."

KUBERNETES = Section(
    "Kubernetes' own",
    "Reasons of the kubelet and the scheduler, for a task whose Pod is waiting, or for a lost try. There may be "
    "others; `kubectl describe pod` says more. A task whose Pod does not start within `queuedTimeout` fails with them.",
    {
        "CreateContainerConfigError": Reason(
            "A Secret or ConfigMap that the container needs does not exist.", "Create it; the task then starts."
        ),
        "CreateContainerError": Reason("The container runtime could not create the container.", "See the message."),
        "DeletionByPodGC": Reason("The Pod's node was deleted.", _DRAINED),
        "DeletionByTaintManager": Reason("The Pod does not tolerate a taint of its node.", _DRAINED),
        "ErrImageNeverPull": Reason(
            "`imagePullPolicy` is Never and the node lacks the image.", "Load it, or change `imagePullPolicy`."
        ),
        "ErrImagePull": Reason("The image cannot be pulled.", _IMAGE),
        "EvictionByEvictionAPI": Reason("The node was drained.", _DRAINED),
        "ImagePullBackOff": Reason("The image cannot be pulled; the kubelet retries.", _IMAGE),
        "InvalidImageName": Reason("`image` is not a valid image name.", "Correct it."),
        "RunContainerError": Reason("The container runtime could not start the container.", "See the message."),
        "SchedulingGated": Reason(
            "A scheduling gate (Kueue and the like) holds the Pod.", "Check the controller that set the gate."
        ),
        "TerminationByKubelet": Reason(
            "The kubelet terminated the Pod: its node is shutting down or short of resources.", _DRAINED
        ),
        "Unschedulable": Reason(
            "No node matches the Pod and has room for it.", "Add nodes, lower `resources.requests`, or see the message."
        ),
    },
    of_kubernetes=True,
)
