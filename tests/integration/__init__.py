"""Tests against a real API server, in folders named as the packages that they test."""
