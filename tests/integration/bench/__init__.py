"""Benchmarks on a cluster of fake nodes."""
