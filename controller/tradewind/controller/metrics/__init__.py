"""Metrics for Prometheus; a new one goes into one of these files.

instrumentation.py  counts what the controller does, as it happens
collector.py        counts the objects of the cluster when Prometheus scrapes
"""
