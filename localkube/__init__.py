"""A local Kubernetes cluster for development, tests and demos: `Cluster`, or `python -m localkube`.

If a Docker engine answers, `kind` creates the cluster; otherwise Kubernetes is
built from its Go modules and run as plain processes with containerd. Nothing
needs a container registry. See README.md beside this file.
"""

from localkube.cluster import Cluster
from localkube.errors import LocalkubeError
from localkube.native import ComponentStatus
from localkube.progress import Progress

__all__ = ["Cluster", "ComponentStatus", "LocalkubeError", "Progress"]
