"""CRDs and the webhook on a real API server."""
