"""Metrics for Prometheus; a new one goes into one of these.

instrumentation.py  what the controller does, counted as it happens
collector.py        the state of the cluster, counted when Prometheus asks
"""
