"""Kubernetes for controllers: a client, informers, a writer, leader election, Events.

Knows Kubernetes and nothing of Dags; imports nothing else of Tradewind.

config.py       how to reach the API server: a kubeconfig, or a Pod's service account
credentials.py  tokens and plugins
tls.py          TLS contexts from certificates and keys in memory
client.py       requests, and streams for watches
lane.py         a client with its own limit on requests in flight
errors.py       errors
backoff.py      delays between attempts
persist.py      the one retry loop
resources.py    group, version and plural of kinds, and their paths
objects.py      structs for decoding lists and watches
decoding.py     from bytes to objects
informer.py     a local copy of the objects of one kind
writes.py       writes as values
writer.py       sends writes, never two of one object at once
throttle.py     the limit on writes in flight
events.py       events.k8s.io/v1 Events
lease.py        leader election
clock.py        time, which tests replace
working_on.py   the object that a thread is working on
"""
