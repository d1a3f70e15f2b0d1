"""Commands that speak to a cluster, with the user's own kubeconfig and rights."""
