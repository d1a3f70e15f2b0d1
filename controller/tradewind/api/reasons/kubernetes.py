"""Reasons that Kubernetes gives and that are passed on."""

from tradewind.api.reasons.section import Reason, Section

_IMAGE = "Correct `image`, or give the service account an image pull secret."
_DRAINED = "Nothing: the try is made again."

KUBERNETES = Section(
    "Kubernetes' own",
    "Words of the kubelet and the scheduler that a task has while its Pod waits, or that a lost try has. There may be "
    "others; `kubectl describe pod` says more. A task whose Pod does not start within `queuedTimeout` fails with them.",
    {
        "CreateContainerConfigError": Reason(
            "A Secret or ConfigMap that the container needs does not exist.", "Create it; the task then starts."
        ),
        "CreateContainerError": Reason("The container runtime could not create the container.", "See the message."),
        "DeletionByPodGC": Reason("The Pod's node is gone.", _DRAINED),
        "DeletionByTaintManager": Reason("The Pod does not tolerate a taint of its node.", _DRAINED),
        "ErrImageNeverPull": Reason(
            "`imagePullPolicy` is Never and the node lacks the image.", "Load it, or change that."
        ),
        "ErrImagePull": Reason("The image cannot be pulled.", _IMAGE),
        "EvictionByEvictionAPI": Reason("The node was drained.", _DRAINED),
        "ImagePullBackOff": Reason("The image cannot be pulled; the kubelet retries.", _IMAGE),
        "InvalidImageName": Reason("`image` is no name of an image.", "Correct it."),
        "RunContainerError": Reason("The container runtime could not start the container.", "See the message."),
        "SchedulingGated": Reason("A scheduling gate (Kueue and the like) holds the Pod.", "See who set the gate."),
        "TerminationByKubelet": Reason(
            "The kubelet ended the Pod: its node is shut down or short of something.", _DRAINED
        ),
        "Unschedulable": Reason(
            "No node has room for the Pod, or fits it.", "Add nodes, lower `resources.requests`, or see the message."
        ),
    },
    of_kubernetes=True,
)
