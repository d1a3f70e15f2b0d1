"""Shards of the controller on a real API server."""
