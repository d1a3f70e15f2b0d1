"""Tests with real containers on a real node."""
