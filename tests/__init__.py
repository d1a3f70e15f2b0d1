"""Tests by what they need: `unit` nothing, `integration` a real API server, `e2e` real containers."""
