"""Kubernetes for controllers: a client, informers, a writer, leader election, Events.

Knows Kubernetes and nothing of Dags; imports nothing of Tradewind but itself.

config.py       where the API server is: a kubeconfig, or a Pod's service account
credentials.py  tokens and plugins
tls.py          TLS contexts from certificates and keys in memory
client.py       requests, and streams for watches
lane.py         requests for one purpose, of which only some are under way at once
errors.py       what can go wrong
backoff.py      how long to wait before the next attempt
persist.py      the one retry loop: again and again, until it succeeds
resources.py    group, version and plural of kinds, and their paths
objects.py      the shapes in which lists and watches are decoded
decoding.py     from bytes to objects
informer.py     a local copy of the objects of one kind
writes.py       writes as values
writer.py       sends them, never two of one object at once
throttle.py     how many may be in flight
events.py       events.k8s.io/v1 Events
lease.py        leader election
clock.py        time, which tests replace
working_on.py   the object that a thread is working on
"""
