"""What the workloads of the bench share: a cluster, controllers, the raw path, observers, results."""
