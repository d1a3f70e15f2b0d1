"""Kubernetes for controllers: a client, informers, a writer, leader election, Events.

Knows Kubernetes and nothing of Dags; imports nothing of Tradewind but itself.
"""
