"""tradewind.kube on a real API server."""
