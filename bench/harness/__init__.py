"""The shared parts of the workloads: a cluster, controllers, the raw path, observers, results."""
