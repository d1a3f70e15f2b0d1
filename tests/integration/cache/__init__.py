"""tradewind.cache on a real API server."""
