"""Caches of the cluster: informers of our kinds and of our Pods, with the look-ups over them.

caches.py          informers of all kinds, and indexes
listeners.py       those who follow the caches
scopes.py          one namespace, or all of them, with its watches
watches.py         the watches of one kind in one scope
object_watches.py  watches of single objects, shared by all who need them
resources.py       our kinds, and the fields that informers keep of them
observation.py     a Pod's state as a report on a try
runtime_errors.py  messages of container runtimes in plain words
ended_runs.py      finished runs, which are not watched
"""
